"""Composites of a recipe that nobody stores: a source of the meter's pictures, for recipes that are only tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipelines.compose.layer_cache import LayerCache
from pipelines.compose.layers import ForegroundLayers, LayerContext
from pipelines.compose.plan import Plan, PlannedForeground
from pipelines.compose.rows import OtherForeground, Sample, compose_sample
from pipelines.compose.shard import DrawnBackgrounds
from pipelines.executor.clock import StageClock
from pipelines.gap.sources import Chosen, Loaded
from rssn.gap.pictures import Named
from rssn.image.arrays import to_uint8
from rssn.image.codecs import ImageCodec
from rssn.image.decoding import decode_pixels
from rssn.route.draw import draw
from rssn.route.recipe import Recipe
from rssn.storage.location import Location


@dataclass(frozen=True)
class Composed:
    """The composites that `rssn compose` would store, with the same draws."""

    place: Location  # of the photographs
    plan: Plan
    recipe: Recipe
    seed: int
    codec: ImageCodec  # what is stored is what a network sees
    cache: LayerCache

    @property
    def chosen(self) -> Chosen:
        """All of them."""
        count = len(self.plan.foregrounds)
        return Chosen(count * self.recipe.k, self.recipe.k, count, count)

    @property
    def compressed(self) -> bool:
        """Whether its composites are stored as JPEGs."""
        return self.codec == "jpeg"

    def caption(self, name: str) -> str:
        """The files of foreground and background."""
        foreground_id, _, k = name.rpartition("/")
        planned = next(each for each in self.plan.foregrounds if each.foreground_id == foreground_id)
        return f"{Path(planned.source).name} on {Path(self._backgrounds(planned)[int(k)].source).name}"

    def pictures(self) -> Iterator[tuple[str, Callable[[], Loaded]]]:
        """Each composite; those of a foreground share its layers."""
        context = LayerContext(self.recipe, self.codec, self.cache, StageClock())
        for planned in self.plan.foregrounds:
            layers = ForegroundLayers(planned, context)
            for k in range(self.recipe.k):
                yield f"{planned.foreground_id}/{k}", partial(self._compose, context, layers, k)

    def load(self, name: str) -> Loaded:
        """One of them again."""
        foreground_id, _, k = name.rpartition("/")
        context = LayerContext(self.recipe, self.codec, self.cache, StageClock())
        planned = next(each for each in self.plan.foregrounds if each.foreground_id == foreground_id)
        return self._compose(context, ForegroundLayers(planned, context), int(k))

    def _backgrounds(self, planned: PlannedForeground) -> DrawnBackgrounds:
        return DrawnBackgrounds(self.plan, self.plan.eligible(planned, self.recipe), self.recipe, self.seed, planned)

    def _compose(self, context: LayerContext, layers: ForegroundLayers, k: int) -> Loaded:
        planned = layers.planned
        drawn = draw(self.recipe, self.seed, planned.foreground_id, k)
        background = self._backgrounds(planned)[k]
        other = OtherForeground(context, drawn, self.plan.others(planned, drawn))
        composite = compose_sample(context, Sample(layers, background, k, drawn, other)).composite
        stored = decode_pixels(context.encode(composite.image))
        named = Named(f"{planned.foreground_id}/{k}", planned.foreground_id, background.background_id)
        return named, stored, to_uint8(composite.alpha)
