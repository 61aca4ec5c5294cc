"""From layers and a draw to one row of the contract; the same code composes, packs and replays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from pipelines.compose.layers import ForegroundLayers, LayerContext
from pipelines.compose.plan import PlannedForeground
from rssn.dataset.schema import picture, with_steps
from rssn.image.arrays import Image
from rssn.image.codecs import suffix
from rssn.route import compose as route
from rssn.route.compose import Composite, Crop
from rssn.route.draw import Draw
from rssn.route.draw_check import stored_values
from rssn.route.recipe import Recipe
from rssn.route.step import Applied, Layer
from rssn.sources.backgrounds import Background
from rssn.storage.files import Row


def composite_schema(recipe: Recipe) -> pa.Schema:
    """The columns of a recipe's composites."""
    return with_steps({step.name: step.struct() for step in recipe.steps})


def compose_row(context: LayerContext, layers: ForegroundLayers, background: Background, k: int, drawn: Draw) -> Row:
    """Compose one sample and encode it (Pipeline 1, lines 11 to 23).

    Raises:
        Rejected: If a picture cannot be read or a step fails.
    """
    height, width = layers.alpha.shape
    fitted = route.fitted_size((background.width, background.height), (width, height), context.recipe.fit)
    crop = route.place_crop(fitted, (width, height), drawn)
    full = context.background(background, drawn)
    steps = layers.steps(drawn)
    layers.layer(steps)  # a worker that dies of it has died of the foreground, not of the sample
    context.begin_item(f"{layers.planned.foreground_id}/{k}")
    composite = blend_layers(context, layers, steps, fit_to_frame(context.recipe, full.pixels, crop), drawn)
    stem = f"{layers.planned.foreground_id}-{k}"
    end = suffix(context.codec)
    row = {
        "sample_id": f"{layers.planned.foreground_id}/{k}",
        "image": picture(context.encode(composite.image), f"{stem}{end}"),
        "alpha": picture(layers.alpha_png, f"{stem}-alpha.png"),
        "foreground": picture(encode_foreground(context, layers, steps, composite), f"{stem}-foreground{end}"),
        "background": picture(context.encode(composite.background), f"{stem}-background{end}"),
        "k": k,
        "width": width,
        "height": height,
        "background_crop": asdict(crop),
        "foreground_method": layers.method,
        **_origin_columns(layers.planned, background),
        "recipe": context.recipe.label,
        "draw_seed": drawn.seed,
        "matte_flags": list(layers.sample.flags),
    }
    stored: dict[Layer, Sequence[Applied]] = {"foreground": steps, "background": full.steps}
    return row | ({"steps": stored_steps(context.recipe, drawn, stored)} if context.recipe.steps else {})


def blend_layers(
    context: LayerContext, layers: ForegroundLayers, steps: Sequence[Applied], background: Image, drawn: Draw
) -> Composite:
    """The composite of a draw, as floats.

    Args:
        context: Recipe and clock.
        layers: F and alpha.
        steps: On F at its own size.
        background: B in the frame, after the steps on it at its own size.
        drawn: What the dice said.
    """
    foreground = layers.layer(steps)
    with context.clock.stage("compose"):
        return route.compose(foreground, background, layers.alpha, context.recipe, drawn)


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
    recipe: Recipe, drawn: Draw, sources: Mapping[Layer, Sequence[Applied]]
) -> dict[str, dict[str, Any] | None]:
    """The value of the column `steps`: what each step drew, and what it measured of each layer."""
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
        stored[step.name] = None if values is None else {**values, **measured} or {"drawn": True}
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
