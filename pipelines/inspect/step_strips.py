"""Step strips: every step of a composite side by side, and what the blend of its stored layers does not explain.

Floor 3. What the row stores is shown as stored: F and B as blended, and the composite. What comes before it is composed
again from the sources; a step that the draw skipped says so, and so does one whose source is not there any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.compose.layer_cache import LayerCache
from pipelines.inspect.recompose import Recomposed, Sources, open_sources
from rssn.dataset.dataset import DataSet
from rssn.dataset.shards import Mark
from rssn.dataset.statistics import spread
from rssn.errors import InputError, Rejected
from rssn.image.arrays import Image, Pixels, fit_inside, to_float, to_uint8
from rssn.image.decoding import decode_image, decode_pixels
from rssn.report.contact_sheets import parts
from rssn.report.page import Tile, contact_sheet
from rssn.route import compose as route
from rssn.route.recipe import Recipe
from rssn.route.step import Layer, Step, Values
from rssn.sources.mattes import stored_matte

STRIP_SIDE = 480  # px
GAIN = 8  # the difference is shown this many times brighter
COLUMNS = 5
_BAND = 256  # rows of pixels at a time, so that big pictures need little memory
_NOT_DRAWN = "not drawn"
_LONG_SECONDS = 5.0
_LESS = "the cache holds no such layer, and --strips 0 does without"


@dataclass(frozen=True)
class Difference:
    """The composite minus the blend of what is stored with it."""

    pixels: Pixels  # absolute difference times `GAIN`
    mean: float  # 8-bit units
    deviation: float  # standard deviation, 8-bit units


def step_strips(
    folder: DataSet,
    marks: Sequence[Mark],
    recipe: Recipe,
    count: int,
    cache: LayerCache,
    log: Callable[[str], None],
) -> Iterator[Pixels]:
    """A strip for each of a few rows, spread evenly; what cannot be composed again leaves its tile empty.

    Args:
        folder: A data set of composites.
        marks: Its trusted marks.
        recipe: Its recipe.
        count: How many strips.
        cache: Where layers lie that would otherwise be made again.
        log: Is told what will take long.
    """
    sources: Sources | str
    try:
        sources = open_sources(folder, cache)
    except InputError as error:
        sources = str(error)
    for row in spread(folder, marks, count):
        if isinstance(sources, str) or row["draw_seed"] is None:
            yield step_strip(row, recipe, str(sources))
            continue
        again = Recomposed(row, sources)
        with suppress(Exception):  # the strip will say what is missing
            seconds = again.cost(whole=False)
            if seconds >= _LONG_SECONDS:
                log(f"composing {row['sample_id']} again for its strip, about {seconds:.0f} CPU-seconds; {_LESS}")
        yield step_strip(row, recipe, again)


def step_strip(row: Mapping[str, Any], recipe: Recipe, again: Recomposed | str, side: int = STRIP_SIDE) -> Pixels:
    """Three lines: the photograph, alpha, F and the steps on it; B and those on it; the blend, its steps, what is left.

    Args:
        row: All columns of a row.
        recipe: The data set's.
        again: The row, composed again; or words that say why that cannot be.
        side: The longer side of each picture, px.
    """
    if row["draw_seed"] is None:
        return contact_sheet([*parts([*_packed_tiles(row, side), _difference_tile(row, side)], COLUMNS)], side=side)
    maker = _Maker(again, row, recipe, side)
    original = maker.tile("original", row["foreground_source"], lambda made: made.original)
    lines = [
        [original, maker.stored("alpha", "alpha"), *maker.layer("foreground", "F", f"by {row['foreground_method']}")],
        maker.layer("background", "B", row["background_source"]),
        [*maker.composite(), _difference_tile(row, side)],
    ]
    return contact_sheet(lines, side=side)


def blend_difference(composite: Pixels, alpha_png: bytes, foreground: Pixels, background: Pixels) -> Difference:
    """How a composite differs from alpha F + (1 - alpha) B (equation 1): by its noise, and by what the codecs lost.

    Args:
        composite: H x W x 3 uint8.
        alpha_png: The encoded alpha, H x W.
        foreground: F, H x W x 3 uint8.
        background: B, H x W x 3 uint8.
    """
    alpha = to_float(stored_matte(alpha_png))[..., None]
    shown = np.empty_like(composite)
    total = squares = 0.0
    for top in range(0, composite.shape[0], _BAND):
        band = slice(top, top + _BAND)
        blend = alpha[band] * to_float(foreground[band]) + (1 - alpha[band]) * to_float(background[band])
        difference = 255 * (to_float(composite[band]) - blend).astype(np.float64)
        total += float(difference.sum())
        squares += float(np.square(difference).sum())
        shown[band] = np.minimum(np.rint(GAIN * np.abs(difference)), 255).astype(np.uint8)
    mean = total / composite.size
    return Difference(shown, mean, max(0.0, squares / composite.size - mean**2) ** 0.5)


@dataclass(frozen=True)
class _Maker:
    """Makes the tiles of a row: what it stores as stored, and what comes before that composed again."""

    again: Recomposed | str
    row: Mapping[str, Any]
    recipe: Recipe
    side: int

    def tile(self, name: str, words: str, make: Callable[[Recomposed], Image]) -> Tile:
        """A picture composed again, or the reason why it cannot be."""
        if isinstance(self.again, str):
            return Tile(None, f"{name}: cannot be shown: {self.again}")
        try:
            return Tile(fit_inside(to_uint8(make(self.again)), self.side), f"{name}: {words}")
        except Rejected as error:
            return Tile(None, f"{name}: cannot be shown: {error.message}")
        except Exception as error:  # a missing package, no memory: a report shows what it can
            return Tile(None, f"{name}: cannot be shown: {error or type(error).__name__}")

    def stored(self, column: str, caption: str) -> Tile:
        """A picture of the row."""
        return _stored(self.row, column, self.side, caption)

    def layer(self, layer: Layer, name: str, words: str) -> list[Tile]:
        """A layer, and what each step on it made of it."""
        steps = [step for step in self.recipe.steps if layer in step.layers]
        last = len(self._drawn(steps)) if not self._alike else -1  # what the row stores

        def tile(count: int, title: str, caption: str) -> Tile:
            if count == last:
                return self.stored(layer, f"{title}: {caption}")
            return self.tile(title, caption, lambda again: again.layer(layer, count))

        return [tile(0, name, words), *self._after(steps, name, tile)]

    def composite(self) -> list[Tile]:
        """The blend, and what each step made of it."""
        steps = [step for step in self.recipe.steps if step.stage == "composite"]
        last = len(self._drawn(steps))

        def tile(count: int, title: str, caption: str) -> Tile:
            words = f"{title}: {caption}" if caption else title
            if count == last:
                return self.stored("image", words)
            if count == 0 and not self._alike:
                return Tile(fit_inside(_blend(self.row), self.side), words)
            return self.tile(title, caption, lambda again: again.composite(count))

        return [tile(0, "blended: equation 1", ""), *self._after(steps, "composite", tile)]

    def _after(self, steps: Sequence[Step], name: str, tile: Callable[[int, str, str], Tile]) -> Iterator[Tile]:
        count = 0
        for step in steps:
            title, values = f"{name} after {step.name}", self._values(step)
            if values is None:
                yield Tile(None, f"{title}: {_NOT_DRAWN}")
            else:
                count += 1
                yield tile(count, title, step.describe(values))

    def _values(self, step: Step) -> Values | None:
        stored: Mapping[str, Values | None] = self.row.get("steps") or {}
        return stored.get(step.name)

    def _drawn(self, steps: Sequence[Step]) -> list[Step]:
        return [step for step in steps if self._values(step) is not None]

    @property
    def _alike(self) -> bool:
        """Whether a step on the composite changed the stored layers, too."""
        return any(step.also_on_layers for step in self._drawn(self.recipe.steps))


def _packed_tiles(row: Mapping[str, Any], side: int) -> Sequence[Tile]:
    """Nothing was drawn for a packed photograph: its layers are those of the picture itself."""
    method = row["foreground_method"]
    captions = {
        "image": f"original: {row['foreground_source']}",
        "alpha": "alpha",
        "foreground": f"F: by {method}",
        "background": f"B: by {method}",
    }
    return [_stored(row, column, side, caption) for column, caption in captions.items()]


def _difference_tile(row: Mapping[str, Any], side: int) -> Tile:
    stored = (decode_pixels(row[name]["bytes"]) for name in ("foreground", "background"))
    difference = blend_difference(decode_pixels(row["image"]["bytes"]), row["alpha"]["bytes"], *stored)
    words = (
        f"image minus the blend of the stored layers, times {GAIN}: mean {difference.mean:+.2f}, "
        f"deviation {difference.deviation:.2f} of 255\n{row['sample_id']}, {row['width']} x {row['height']} px"
    )
    return Tile(fit_inside(difference.pixels, side), words)


def _stored(row: Mapping[str, Any], column: str, side: int, caption: str) -> Tile:
    return Tile(fit_inside(decode_pixels(row[column]["bytes"]), side), caption)


def _blend(row: Mapping[str, Any]) -> Pixels:
    foreground, background = (decode_image(row[name]["bytes"]) for name in ("foreground", "background"))
    return to_uint8(route.blend(foreground, background, to_float(stored_matte(row["alpha"]["bytes"]))))
