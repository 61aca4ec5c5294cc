"""`rssn replay`: compose one stored row again, say whether the bytes agree, and show every step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.clock import StageClock
from pipelines.composites import blend_layers, stored_draw
from pipelines.layers import ForegroundLayers, LayerContext
from pipelines.manifest import read_manifest
from pipelines.plan import Plan, PlannedForeground, load_plan
from rssn import route
from rssn.cache import LayerCache
from rssn.errors import InputError
from rssn.images import Image, Pixels, encode_png, to_uint8
from rssn.recipe import recipe_from_dict
from rssn.report import Tile, contact_sheet
from rssn.rows import iter_rows, place_of, read_row
from rssn.shards import DatasetFolder

_SIDE = 420  # px of a tile


@dataclass(frozen=True)
class Replay:
    """What composing a row again showed."""

    differences: list[str]  # columns whose bytes differ
    strip: Path
    made_with: Mapping[str, str]  # library versions of the stored row


def run_replay(root: Path, sample_id: str, out: Path | None) -> Replay:
    """Compose a row again from its stored draw and the sources.

    Args:
        root: A data set of composites.
        sample_id: `<foreground_id>/<k>`.
        out: The step strip's PNG; `report/replay-<sample>.png` in the data set where None.

    Raises:
        InputError: If the data set has no such row, or its plan no longer leads to the sources.
        Rejected: If a source cannot be read or has changed.
    """
    folder = DatasetFolder(root)
    manifest = read_manifest(folder)
    if manifest["plan"]["kind"] != "composites":
        raise InputError(f"{root}: holds {manifest['plan']['kind']}; only composites can be replayed")
    row = _find_row(folder, sample_id)
    if row["draw_seed"] is None:
        raise InputError(f"{sample_id}: a packed photograph, not a composite; nothing was drawn for it")
    plan = load_plan(root)
    recipe = recipe_from_dict(manifest["plan"]["recipe"], str(folder.manifest))
    context = LayerContext(recipe, manifest["plan"]["output"]["codec"], LayerCache(root, 0), StageClock())
    layers = ForegroundLayers(_planned(plan, row), context)
    background = next((b for b in plan.backgrounds if b.background_id == row["background_id"]), None)
    if background is None:
        raise InputError(f"{root}: the plan has no background {row['background_id']}; compose again with its folder")
    drawn, crop = stored_draw(row)
    composite = blend_layers(context, layers, background, crop, drawn)
    again = {
        "image": context.encode(composite.image),
        "alpha": layers.alpha_png,
        "foreground": layers.encoded(denoised=drawn.denoise),
        "background": context.encode(composite.background),
    }
    strip = out or folder.report / f"replay-{sample_id.replace('/', '-')}.png"
    strip.parent.mkdir(parents=True, exist_ok=True)
    whole = [context.background(background, denoised=denoised) for denoised in (False, drawn.denoise)]
    fitted = [_fit(context, picture, crop) for picture in whole]
    strip.write_bytes(encode_png(_strip(row, layers, fitted, composite)))
    return Replay([name for name, data in again.items() if data != row[name]["bytes"]], strip, manifest["versions"])


def _fit(context: LayerContext, whole: Image, crop: route.Crop) -> Image:
    fitted = route.fitted_size((whole.shape[1], whole.shape[0]), (crop.width, crop.height), context.recipe.fit)
    return route.fit_background(whole, fitted, crop)


def _strip(row: Mapping[str, Any], layers: ForegroundLayers, fitted: list[Image], composite: route.Composite) -> Pixels:
    """Original, alpha, F, F denoised, B, B denoised, B blurred, blended, noisy."""
    drawn, _ = stored_draw(row)
    quiet = replace(drawn, noise_sigma=0.0)
    blended = route.compose(composite.foreground, fitted[1], composite.alpha, quiet).image
    strength = f"{row['denoiser']}, sigma {row['denoise_sigma']:g}" if row["denoised"] else "not drawn"
    steps = [
        ("original", layers.sample.picture if layers.planned.pair.image else None, row["foreground_source"]),
        ("alpha", layers.alpha, "as stored"),
        ("foreground F", layers.layer(denoised=False), row["foreground_method"]),
        ("F denoised", composite.foreground if row["denoised"] else None, strength),
        ("background B", fitted[0], row["background_source"]),
        ("B denoised", fitted[1] if row["denoised"] else None, strength),
        ("B blurred", composite.background if row["blur_size"] else None, f"{row['blur_size'] or 'not drawn'}"),
        ("blended", blended, "equation 1"),
        ("noise added", composite.image if row["noise_sigma"] else None, f"sigma {row['noise_sigma']:g}"),
    ]
    tiles = [Tile(None if image is None else to_uint8(image), f"{name}: {words}") for name, image, words in steps]
    return contact_sheet([tiles[start : start + 3] for start in (0, 3, 6)], side=_SIDE)


def _planned(plan: Plan, row: Mapping[str, Any]) -> PlannedForeground:
    for planned in plan.foregrounds:
        if planned.foreground_id == row["foreground_id"]:
            return planned
    raise InputError(f"the plan has no foreground {row['foreground_id']}; compose again with its folder")


def _find_row(folder: DatasetFolder, sample_id: str) -> dict[str, Any]:
    for mark in folder.marks():
        path = folder.data(mark.name)
        for number, row in enumerate(iter_rows(path, ["sample_id"])):
            if row["sample_id"] == sample_id:
                return read_row(path, place_of(path, number))
    raise InputError(f"{folder.root}: no sample {sample_id}; a sample is <foreground_id>/<k>, see rssn inspect")
