"""Contact sheets of a data set: what each sample looks like and what was done to it.

Floor 3. Sheets come one by one, and tiles are shrunk as they are read, so that memory does not grow with the number
or the size of the samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeAlias, TypeVar

from rssn.dataset.shards import DatasetFolder, Mark
from rssn.dataset.statistics import spread
from rssn.errors import Rejected
from rssn.image.arrays import Pixels, fit_inside
from rssn.image.decoding import decode_pixels
from rssn.report.page import Tile, contact_sheet
from rssn.route.recipe import Recipe
from rssn.sources.picture_ref import PictureRef

T = TypeVar("T")

TILE_SIDE = 240  # px
TILES_PER_ROW = 6
Originals: TypeAlias = Callable[[str], PictureRef | None]
_ROWS_PER_SHEET = 12
_HEADING = ("original", "alpha", "foreground F", "background B", "composite", "what the draw did")


def composite_sheets(
    folder: DatasetFolder, marks: Sequence[Mark], recipe: Recipe, originals: Originals, samples: int
) -> Iterator[Pixels]:
    """Sheets with a row per sample: original, alpha, F, B, composite, and the draw in words.

    Args:
        folder: A data set of composites.
        marks: Its trusted marks.
        recipe: The data set's.
        originals: Where the photograph of a foreground is, by its id.
        samples: How many samples to show, spread evenly.
    """
    rows = (_composite_tiles(row, recipe, originals) for row in spread(folder, marks, samples))
    for part in parts(rows, _ROWS_PER_SHEET):
        yield contact_sheet(part, _HEADING, TILE_SIDE)


def background_sheets(folder: DatasetFolder, marks: Sequence[Mark], samples: int) -> Iterator[Pixels]:
    """Sheets of kept backgrounds, with their source, split and score."""
    tiles = (background_tile(row) for row in spread(folder, marks, samples))
    for part in parts(parts(tiles, TILES_PER_ROW), _ROWS_PER_SHEET):
        yield contact_sheet(part, side=TILE_SIDE)


def original_of(row: dict[str, Any], originals: Originals) -> Pixels | None:
    """The original photograph of a composite, or None where it is not there any more."""
    picture = originals(row["foreground_id"])
    try:
        return decode_pixels(picture.read()) if picture else None
    except Rejected:
        return None


def draw_words(row: Mapping[str, Any], recipe: Recipe) -> str:
    """What the draw did, line by line."""
    stored = row.get("steps") or {}
    lines = [
        f"{row['foreground_source']}, k = {row['k']}",
        f"{row['width']} x {row['height']} px, F by {row['foreground_method']}",
    ]
    for step in recipe.steps:
        values = stored.get(step.name)
        lines.append(f"{step.name}: {'not drawn' if values is None else step.describe(values)}")
    if row["background_source"]:
        lines.append(f"background: {row['background_source']}")
    if row["background_crop"]:
        lines.append(f"crop at {row['background_crop']['x']}, {row['background_crop']['y']}")
    return "\n".join(lines)


def small_tile(pixels: Pixels | None, caption: str = "") -> Tile:
    """A tile that keeps no more pixels than a sheet shows."""
    return Tile(None if pixels is None else fit_inside(pixels, TILE_SIDE), caption)


def parts(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one shorter."""
    stream = iter(items)
    while part := list(islice(stream, size)):
        yield part


def _composite_tiles(row: dict[str, Any], recipe: Recipe, originals: Originals) -> list[Tile]:
    original = original_of(row, originals)
    missing = "" if original is not None else f"not found: {row['foreground_source']}"
    stored = [
        row[name] and decode_pixels(row[name]["bytes"]) for name in ("alpha", "foreground", "background", "image")
    ]
    return [small_tile(original, missing), *map(small_tile, stored), Tile(None, draw_words(row, recipe))]


def background_tile(row: dict[str, Any]) -> Tile:
    """A kept background with its source, split, score and flags."""
    screened = f"object score {row['object_score']:.2f}" if row["object_score"] is not None else "not screened"
    return small_tile(
        decode_pixels(row["image"]["bytes"]), "\n".join([row["source"], f"{row['split']}, {screened}", *row["flags"]])
    )
