"""From layers and a draw to one row of the contract; the same code composes, packs and replays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pipelines.compose.foreground_layers import ForegroundLayers
from pipelines.compose.layers import LayerContext
from pipelines.compose.plan import PlannedForeground
from rssn.dataset.schema import picture
from rssn.image.arrays import Image
from rssn.image.codecs import suffix
from rssn.route import compose as route
from rssn.route.compose import Composite, Crop
from rssn.route.draw import Draw
from rssn.route.recipe import Recipe
from rssn.sources.backgrounds import Background
from rssn.storage.files import Row


def compose_row(context: LayerContext, layers: ForegroundLayers, background: Background, k: int, drawn: Draw) -> Row:
    """Compose one sample and encode it (Pipeline 1, lines 11 to 23).

    Raises:
        Rejected: If a picture cannot be read or a step fails.
    """
    height, width = layers.alpha.shape
    fitted = route.fitted_size((background.width, background.height), (width, height), context.recipe.fit)
    crop = route.place_crop(fitted, (width, height), drawn)
    whole = context.background(background, denoised=drawn.denoise)
    layers.layer(denoised=drawn.denoise)  # a worker that dies of it has died of the foreground, not of the sample
    context.enter(f"{layers.planned.foreground_id}/{k}")
    composite = blend_layers(context, layers, whole.pixels, crop, drawn)
    stem = f"{layers.planned.foreground_id}-{k}"
    end = suffix(context.codec)
    return {
        "sample_id": f"{layers.planned.foreground_id}/{k}",
        "image": picture(context.encode(composite.image), f"{stem}{end}"),
        "alpha": picture(layers.alpha_png, f"{stem}-alpha.png"),
        "foreground": picture(layers.encoded(denoised=drawn.denoise), f"{stem}-foreground{end}"),
        "background": picture(context.encode(composite.background), f"{stem}-background{end}"),
        "k": k,
        "width": width,
        "height": height,
        "background_crop": asdict(crop),
        "foreground_method": layers.method,
        **_origin_columns(layers.planned, background),
        **_draw_columns(context.recipe, drawn),
        "matte_flags": list(layers.sample.flags),
        "denoise_sigma": layers.sigma if drawn.denoise else None,
        "background_denoise_sigma": whole.sigma,
    }


def blend_layers(context: LayerContext, layers: ForegroundLayers, whole: Image, crop: Crop, drawn: Draw) -> Composite:
    """The composite of a draw, as floats; `whole` is the background at its own size, denoised or not as drawn."""
    foreground = layers.layer(denoised=drawn.denoise)
    with context.clock.stage("compose"):
        return route.compose(foreground, in_frame(context, whole, crop), layers.alpha, drawn)


def in_frame(context: LayerContext, whole: Image, crop: Crop) -> Image:
    """B at the frame's size, from the background at its own."""
    fitted = route.fitted_size((whole.shape[1], whole.shape[0]), (crop.width, crop.height), context.recipe.fit)
    return route.fit_background(whole, fitted, crop)


def stored_draw(row: Mapping[str, Any]) -> tuple[Draw, Crop]:
    """The draw of a row, read back from its columns; the crop's place is stored itself."""
    drawn = Draw(
        seed=row["draw_seed"],
        denoise=row["denoised"],
        blur_size=row["blur_size"],
        noise_sigma=row["noise_sigma"],
        noise_seed=row["noise_seed"],
        crop_x=0.0,
        crop_y=0.0,
    )
    return drawn, Crop(**row["background_crop"])


def _origin_columns(planned: PlannedForeground, background: Background) -> dict[str, Any]:
    return {
        "foreground_id": planned.foreground_id,
        "background_id": background.background_id,
        "foreground_source": planned.source,
        "background_source": background.source,
        "foreground_licence": planned.pair.licence or None,
        "background_licence": background.licence or None,
    }


def _draw_columns(recipe: Recipe, drawn: Draw) -> dict[str, Any]:
    return {
        "recipe": recipe.label,
        "denoised": drawn.denoise,
        "denoiser": recipe.denoise.backend if drawn.denoise else None,
        "blur_size": drawn.blur_size,
        "noise_sigma": drawn.noise_sigma,
        "noise_seed": drawn.noise_seed,
        "draw_seed": drawn.seed,
    }
