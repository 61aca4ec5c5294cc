"""From layers and a draw to one row of the contract; the same code composes, packs and replays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from pipelines.compose.layers import ForegroundLayers, LayerContext
from pipelines.compose.plan import PlannedForeground
from rssn.dataset.schema import picture, with_steps
from rssn.errors import Rejected
from rssn.image.arrays import Image
from rssn.image.codecs import suffix
from rssn.route import compose as route
from rssn.route.compose import Composite, Crop
from rssn.route.draw import Draw
from rssn.route.draw_check import stored_values
from rssn.route.recipe import Recipe
from rssn.route.step import OTHER, Applied, CutOut, Layer
from rssn.sources.backgrounds import Background
from rssn.storage.files import Row


def composite_schema(recipe: Recipe) -> pa.Schema:
    """The columns of a recipe's composites."""
    return with_steps({step.name: step.struct() for step in recipe.steps})


class OtherForeground:
    """The other foreground of a sample: chosen and read when a step asks for it; the last one that was asked for.

    Args:
        context: As of the sample's own foreground.
        drawn: The sample's draw: the same steps act on the other at its own size.
        candidates: In the order in which they are tried; those that cannot be read are passed over.
    """

    def __init__(self, context: LayerContext, drawn: Draw, candidates: Iterable[PlannedForeground]) -> None:
        self._context, self._drawn, self._candidates = context, drawn, candidates
        self._taken: ForegroundLayers | None = None

    def __iter__(self) -> Iterator[CutOut]:
        for planned in self._candidates:
            layers = ForegroundLayers(planned, self._context)
            try:
                cut_out = CutOut(layers.layer(layers.steps(self._drawn)), layers.alpha)
            except Rejected:  # its own samples say why
                continue
            self._taken = layers
            yield cut_out

    @property
    def flags(self) -> tuple[str, ...]:
        """What is odd about its matte."""
        return self._taken.sample.flags if self._taken else ()

    @property
    def columns(self) -> dict[str, str | None]:
        """What a row says of it; empty where no step asked."""
        if self._taken is None:
            return {}
        planned = self._taken.planned
        return dict(zip(OTHER, (planned.foreground_id, planned.source, planned.pair.licence or None), strict=True))


@dataclass(frozen=True)
class Sample:
    """What one sample is made from."""

    layers: ForegroundLayers
    background: Background
    k: int
    drawn: Draw
    other: OtherForeground


@dataclass(frozen=True)
class Made:
    """A composed sample."""

    composite: Composite
    crop: Crop
    steps: Mapping[Layer, Sequence[Applied]]  # those at the layers' own size, with what they measured


def compose_sample(context: LayerContext, sample: Sample) -> Made:
    """Compose one sample (Pipeline 1, lines 11 to 23).

    Raises:
        Rejected: If a picture cannot be read or a step fails.
    """
    layers, background, drawn = sample.layers, sample.background, sample.drawn
    full = context.background(background, drawn)
    steps = layers.steps(drawn)
    layers.layer(steps)  # a worker that dies of it has died of the foreground, not of the sample
    cut_out = layers.placed(steps, drawn, sample.other)
    context.begin_item(f"{layers.planned.foreground_id}/{sample.k}")
    height, width = cut_out.alpha.shape
    fitted = route.fitted_size((background.width, background.height), (width, height), context.recipe.fit)
    crop = route.place_crop(fitted, (width, height), drawn)
    composite = blend_layers(context, cut_out, fit_to_frame(context.recipe, full.pixels, crop), drawn)
    return Made(composite, crop, {"foreground": steps, "background": full.steps})


def compose_row(context: LayerContext, sample: Sample) -> Row:
    """Compose one sample and encode it.

    Raises:
        Rejected: As `compose_sample` does.
    """
    made, layers = compose_sample(context, sample), sample.layers
    composite, k = made.composite, sample.k
    height, width = composite.alpha.shape
    stem = f"{layers.planned.foreground_id}-{k}"
    end = suffix(context.codec)
    foreground = encode_foreground(context, layers, made.steps["foreground"], composite)
    row = {
        "sample_id": f"{layers.planned.foreground_id}/{k}",
        "image": picture(context.encode(composite.image), f"{stem}{end}"),
        "alpha": picture(encode_alpha(context, layers, composite), f"{stem}-alpha.png"),
        "foreground": picture(foreground, f"{stem}-foreground{end}"),
        "background": picture(context.encode(composite.background), f"{stem}-background{end}"),
        "k": k,
        "width": width,
        "height": height,
        "background_crop": asdict(made.crop),
        "foreground_method": layers.method,
        **_origin_columns(layers.planned, sample.background),
        "recipe": context.recipe.label,
        "draw_seed": sample.drawn.seed,
        "matte_flags": sorted({*layers.sample.flags, *sample.other.flags}),
    }
    steps = stored_steps(context.recipe, sample.drawn, made.steps, sample.other.columns)
    return row | ({"steps": steps} if context.recipe.steps else {})


def blend_layers(context: LayerContext, cut_out: CutOut, background: Image, drawn: Draw) -> Composite:
    """The composite of a draw, as floats.

    Args:
        context: Recipe and clock.
        cut_out: F and alpha, placed.
        background: B in the frame, after the steps on it at its own size.
        drawn: What the dice said.
    """
    with context.clock.stage("compose"):
        return route.compose(cut_out, background, context.recipe, drawn)


def encode_alpha(context: LayerContext, layers: ForegroundLayers, composite: Composite) -> bytes:
    """Alpha as it is stored; encoded once where no step made another alpha of this sample."""
    return layers.alpha_png if composite.alpha is layers.alpha else context.encode_alpha(composite.alpha)


def encode_foreground(
    context: LayerContext, layers: ForegroundLayers, steps: Sequence[Applied], composite: Composite
) -> bytes:
    """F as it is stored; encoded once where no step made another F of this sample."""
    own = composite.foreground is not layers.layer(steps)
    return context.encode(composite.foreground) if own else layers.encoded(steps)


def fit_to_frame(recipe: Recipe, full: Image, crop: Crop) -> Image:
    """B at the frame's size, from the background at its own."""
    fitted = route.fitted_size((full.shape[1], full.shape[0]), (crop.width, crop.height), recipe.fit)
    return route.fit_background(full, fitted, crop)


def stored_steps(
    recipe: Recipe, drawn: Draw, sources: Mapping[Layer, Sequence[Applied]], taken: Mapping[str, str | None]
) -> dict[str, dict[str, Any] | None]:
    """The value of the column `steps`: what each step drew, what it measured of each layer, and whom it took."""
    stored: dict[str, dict[str, Any] | None] = {}
    for step in recipe.steps:
        values = drawn.steps[step.name]
        measured = {
            f"{layer}_{name}": one.values[name]
            for layer, applied in sources.items()
            for one in applied
            if one.step is step
            for name in step.measured
        }
        other = taken if step.takes_other else {}
        stored[step.name] = None if values is None else {**values, **measured, **other} or {"drawn": True}
    return stored


def stored_draw(row: Mapping[str, Any], recipe: Recipe) -> tuple[Draw, Crop]:
    """The draw of a row, read back from its columns; the crop's place is stored itself."""
    stored = row.get("steps") or {}
    steps = {step.name: stored_values(step, stored.get(step.name)) for step in recipe.steps}
    return Draw(row["draw_seed"], 0.0, 0.0, steps), Crop(**row["background_crop"])


def _origin_columns(planned: PlannedForeground, background: Background) -> dict[str, Any]:
    return {
        "foreground_id": planned.foreground_id,
        "background_id": background.background_id,
        "foreground_source": planned.source,
        "background_source": background.source,
        "foreground_licence": planned.pair.licence or None,
        "background_licence": background.licence or None,
    }
