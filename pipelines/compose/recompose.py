"""One stored row, composed again from its draw and the sources: layer by layer, and only as far as it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipelines.compose.dry_run import CPU_SECONDS_PER_MEGAPIXEL
from pipelines.compose.foreground_layers import ForegroundLayers
from pipelines.compose.layer_cache import LayerCache
from pipelines.compose.layers import LayerContext
from pipelines.compose.plan import Plan, PlannedForeground, has_plan, load_plan
from pipelines.compose.rows import blend_layers, in_frame, stored_draw
from pipelines.executor.clock import StageClock
from rssn.dataset.manifest import read_manifest
from rssn.dataset.schema import picture
from rssn.dataset.shards import DatasetFolder
from rssn.errors import InputError, Rejected
from rssn.image.arrays import Image
from rssn.route.recipe import recipe_from_dict
from rssn.sources.backgrounds import Background


@dataclass(frozen=True)
class Sources:
    """What leads from a stored row back to what it was made from."""

    plan: Plan
    context: LayerContext


def open_sources(folder: DatasetFolder, cache: LayerCache) -> Sources:
    """The plan and the recipe of a data set of composites.

    Args:
        folder: The data set.
        cache: Where layers may lie already.

    Raises:
        InputError: If it holds no composites, or its plan is gone or damaged.
    """
    manifest = read_manifest(folder.root)
    if manifest.kind != "composites":
        raise InputError(f"{folder.root}: holds {manifest.kind}; only composites can be replayed")
    if not has_plan(folder.root):
        raise InputError(f"{folder.root}: its plan is gone; the same rssn compose writes it again")
    recipe = recipe_from_dict(manifest.plan["recipe"], str(folder.manifest))
    codec = manifest.plan["output"]["codec"]
    return Sources(load_plan(folder.root), LayerContext(recipe, codec, cache, StageClock()))


class Recomposed:
    """A row on its way back: every property and method may raise `InputError` or `Rejected` with what is missing."""

    def __init__(self, row: Mapping[str, Any], sources: Sources) -> None:
        self._row = row
        self._plan = sources.plan
        self._context = sources.context
        self._draw, self._crop = stored_draw(row)
        self._wholes: dict[bool, Image] = {}  # the background at its own size, denoised or not

    @property
    def original(self) -> Image:
        """The photograph, H x W x 3."""
        if self._layers.planned.pair.image is None:
            raise Rejected("read", "no_photograph", "the data set ships F alone")
        return self._layers.sample.picture

    @property
    def foreground(self) -> Image:
        """F before it was denoised, H x W x 3."""
        return self._layers.layer(denoised=False)

    def background(self, *, denoised: bool) -> Image:
        """B in the frame, before it was blurred, H x W x 3."""
        return in_frame(self._context, self._whole(denoised=denoised), self._crop)

    def pictures(self) -> dict[str, dict[str, bytes | str]]:
        """The picture columns, encoded again."""
        whole = self._whole(denoised=self._draw.denoise)
        composite = blend_layers(self._context, self._layers, whole, self._crop, self._draw)
        again = {
            "image": self._context.encode(composite.image),
            "alpha": self._layers.alpha_png,
            "foreground": self._layers.encoded(denoised=self._draw.denoise),
            "background": self._context.encode(composite.background),
        }
        return {name: picture(data, self._row[name]["path"]) for name, data in again.items()}

    def cost(self, *, whole: bool) -> float:
        """CPU-seconds, about, of the layers that the cache does not hold: of the whole row, or of its strip alone."""
        recipe, layers, background = self._context.recipe, self._layers, self._background
        pixels, cache = layers.planned.width * layers.planned.height, self._context.cache
        denoise = CPU_SECONDS_PER_MEGAPIXEL[recipe.denoise.backend] if self._draw.denoise else 0.0
        cost = 0.0
        if (whole or self._draw.denoise) and not cache.holds(layers.key):
            cost += pixels * CPU_SECONDS_PER_MEGAPIXEL[layers.wanted]
        if whole and denoise and not cache.holds(self._context.denoised_key(layers.key, layers.sigma)):
            cost += pixels * denoise
        if (whole or self._draw.blur_size) and denoise:
            held = self._context.holds_denoised(background)
            cost += 0.0 if held else background.width * background.height * denoise
        return cost / 1e6

    def _whole(self, *, denoised: bool) -> Image:
        if denoised not in self._wholes:
            self._wholes[denoised] = self._context.background(self._background, denoised=denoised).pixels
        return self._wholes[denoised]

    @cached_property
    def _layers(self) -> ForegroundLayers:
        return ForegroundLayers(self._planned, self._context)

    @cached_property
    def _planned(self) -> PlannedForeground:
        name = self._row["foreground_id"]
        for planned in self._plan.foregrounds:
            if planned.foreground_id == name:
                return planned
        raise InputError(f"the plan has no foreground {name}; compose again with its folder")

    @cached_property
    def _background(self) -> Background:
        name = self._row["background_id"]
        for background in self._plan.backgrounds:
            if background.background_id == name:
                return background
        raise InputError(f"the plan has no background {name}; compose again with its folder")
