"""One stored row, composed again from its draw and the sources: layer by layer, and only as far as it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pipelines.compose.layer_cache import LayerCache
from pipelines.compose.layers import ForegroundLayers, LayerContext
from pipelines.compose.plan import Plan, PlannedForeground, has_plan, load_plan
from pipelines.compose.rows import (
    OtherForeground,
    blend_layers,
    encode_alpha,
    encode_foreground,
    fit_to_frame,
    stored_draw,
)
from pipelines.executor.clock import StageClock
from rssn.dataset.dataset import DataSet
from rssn.dataset.schema import picture
from rssn.errors import InputError, Rejected
from rssn.image.arrays import Image
from rssn.route.compose import Composite, apply_steps
from rssn.route.draw import Draw
from rssn.route.foreground import foreground_cpu_seconds
from rssn.route.recipe import recipe_from_dict
from rssn.route.step import Applied, CutOut, Layer
from rssn.sources.backgrounds import Background


@dataclass(frozen=True)
class Sources:
    """What leads from a stored row back to what it was made from."""

    plan: Plan
    context: LayerContext


def open_sources(data: DataSet, cache: LayerCache) -> Sources:
    """The plan and the recipe of a data set of composites.

    Args:
        data: The data set.
        cache: Where layers may lie already.

    Raises:
        InputError: If it holds no composites, or its plan is gone or damaged.
    """
    plan = data.manifest.plan
    if data.manifest.kind != "composites":
        raise InputError(f"{data.root}: holds {data.manifest.kind}; only composites can be replayed")
    if not has_plan(data.root):
        raise InputError(f"{data.root}: its plan is missing; run the same rssn compose again to write it")
    recipe = recipe_from_dict(plan["recipe"], str(data.manifest_path))
    codec = plan["output"]["codec"]
    return Sources(load_plan(data.root), LayerContext(recipe, codec, cache, StageClock()))


class Recomposed:
    """A row on its way back: every property and method may raise `InputError` or `Rejected` with what is missing."""

    def __init__(self, row: Mapping[str, Any], sources: Sources) -> None:
        self._row = row
        self._plan = sources.plan
        self._context = sources.context
        self._recipe = sources.context.recipe
        self._draw, self._crop = stored_draw(row, self._recipe)
        self._fulls: dict[tuple[str, ...], Image] = {}  # the background at its own size, by the steps on it

    @property
    def original(self) -> Image:
        """The photograph, H x W x 3."""
        if self._layers.planned.pair.image is None:
            raise Rejected("read", "no_photograph", "the data set ships F alone")
        return self._layers.sample.picture

    def layer(self, layer: Layer, count: int) -> Image:
        """F or B in the frame after the first `count` of the steps that were drawn for it, H x W x 3."""
        drawn = self._drawn_until(layer, count)
        in_frame = list(drawn.applied(self._recipe, "frame", layer))
        if any(one.step.sees_scene for one in in_frame):
            composite = self._blend(drawn)
            return composite.foreground if layer == "foreground" else composite.background
        if layer == "foreground":
            pixels = self._cut_out(drawn).foreground
        else:
            pixels = fit_to_frame(self._recipe, self._full(drawn), self._crop)
        return apply_steps(pixels, in_frame)

    def _drawn_until(self, layer: Layer, count: int) -> Draw:
        """The draw without the steps after the count-th that was drawn for a layer; those on the composite apart."""
        names = self.drawn_for(layer)[:count]
        order = [step.name for step in self._recipe.steps if step.stage != "composite"]
        until = order[: order.index(names[-1]) + 1] if names else []
        return replace(self._draw, steps={name: self._draw.steps[name] for name in until})

    def drawn_for(self, layer: Layer) -> list[str]:
        """The steps that were drawn for a layer, in order."""
        steps = [step.name for step in self._recipe.steps if layer in step.layers]
        return [name for name in steps if self._draw.steps[name] is not None]

    def composite(self, count: int) -> Image:
        """The composite after the first `count` of the steps that were drawn for it, H x W x 3."""
        after = [step.name for step in self._recipe.steps if step.stage == "composite"]
        names = [name for name in after if self._draw.steps[name] is not None]
        later = dict.fromkeys(names[count:])
        return self._blend(replace(self._draw, steps={**self._draw.steps, **later})).image

    def pictures(self) -> dict[str, dict[str, bytes | str]]:
        """The picture columns, encoded again."""
        composite = self._blend(self._draw)
        again = {
            "image": self._context.encode(composite.image),
            "alpha": encode_alpha(self._context, self._layers, composite),
            "foreground": encode_foreground(self._context, self._layers, self._layers.steps(self._draw), composite),
            "background": self._context.encode(composite.background),
        }
        return {name: picture(data, self._row[name]["path"]) for name, data in again.items()}

    def cost(self, *, whole: bool) -> float:
        """CPU-seconds, about, of the layers that the cache does not hold: of the whole row, or of its strip alone.

        The strip makes no layer that the row stores: the last one of F and of B.
        """
        layers, background = self._layers, self._background
        steps = layers.steps(self._draw)
        frame, full = layers.planned.width * layers.planned.height, background.width * background.height
        cost = 0.0
        if (whole or self.drawn_for("foreground")) and not self._context.cache.holds(layers.key):
            cost += frame * foreground_cpu_seconds(layers.wanted)
        cost += frame * self._missing("foreground", self._context.uncached(layers.key, steps), whole=whole)
        cost += full * self._missing("background", self._context.missing(background, self._draw), whole=whole)
        return cost / 1e6

    def _missing(self, layer: Layer, steps: Sequence[Applied], *, whole: bool) -> float:
        last = self.drawn_for(layer)[-1:]
        return sum(one.step.cpu_seconds for one in steps if whole or [one.step.name] != last)

    def _blend(self, drawn: Draw) -> Composite:
        background = fit_to_frame(self._recipe, self._full(drawn), self._crop)
        return blend_layers(self._context, self._cut_out(drawn), background, drawn)

    def _cut_out(self, drawn: Draw) -> CutOut:
        stored = (self._row.get("steps") or {}).values()
        taken = (self._find(values["other_id"]) for values in stored if values and values.get("other_id"))
        other = OtherForeground(self._context, drawn, taken)
        return self._layers.placed(self._layers.steps(drawn), drawn, other)

    def _full(self, drawn: Draw) -> Image:
        """B at its own size after the steps on it; each made once, for a replay has no cache."""
        names = tuple(one.step.name for one in drawn.applied(self._recipe, "source", "background"))
        if names not in self._fulls:
            self._fulls[names] = self._context.background(self._background, drawn).pixels
        return self._fulls[names]

    @cached_property
    def _layers(self) -> ForegroundLayers:
        return ForegroundLayers(self._planned, self._context)

    @cached_property
    def _planned(self) -> PlannedForeground:
        return self._find(self._row["foreground_id"])

    def _find(self, name: str) -> PlannedForeground:
        planned = self._plan.find_foreground(name)
        if planned is None:
            raise InputError(f"the plan has no foreground {name}; compose again with its folder")
        return planned

    @cached_property
    def _background(self) -> Background:
        name = self._row["background_id"]
        number = self._plan.find_background(name)
        if number is None:
            raise InputError(f"the plan has no background {name}; compose again with its folder")
        return self._plan.backgrounds[number]
