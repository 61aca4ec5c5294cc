"""The layers of one foreground, see `layers`: its photograph, F, F after steps, and the bytes of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeVar, cast

from pipelines.compose.layer_cache import CachedLayer
from pipelines.compose.layers import READERS, LayerContext
from pipelines.compose.plan import PlannedForeground, foreground_method, thumbnail
from pipelines.executor.runner import WORKER_DIED
from pipelines.executor.work import refusal
from rssn.errors import Rejected
from rssn.image.arrays import Alpha, Image, encode_png, to_uint8
from rssn.route.draw import Draw
from rssn.route.foreground import estimate_layers
from rssn.route.recipe import ForegroundChoice
from rssn.route.step import Applied, Values
from rssn.sources.mattes import MATTE_RULES
from rssn.sources.matting import MattingSample
from rssn.versions import version

_ESTIMATORS = ("numba", "pymatting")
"""Whose versions may change F."""

_KEPT = 2  # F as it is, and after steps

R = TypeVar("R")


class ForegroundLayers:
    """F of one foreground, before and after steps, as floats and encoded; what composites share is made once.

    A failure is remembered too: the second composite of a broken foreground fails at once, for the same reason.
    """

    def __init__(self, planned: PlannedForeground, context: LayerContext) -> None:
        self.planned = planned
        self._context = context
        self._layers: dict[str, CachedLayer] = {}  # by the steps that made them
        self._encoded: dict[str, bytes] = {}
        self._measured: dict[str, Values] = {}  # by step
        self._failures: dict[str, Exception] = {}  # what failed: the pair, or F after steps

    @property
    def sample(self) -> MattingSample:
        """The decoded pair."""
        return self._remembered("pair", lambda: self._sample)

    @property
    def alpha(self) -> Alpha:
        """The matte, H x W."""
        return self.sample.alpha

    def steps(self, drawn: Draw) -> tuple[Applied, ...]:
        """The steps on F at its own size, with what they measure of its photograph: F is smooth where it is hidden."""
        return tuple(map(self._measure, drawn.applied(self._context.recipe, "source", "foreground")))

    def _measure(self, drawn: Applied) -> Applied:
        """Measured once: of one photograph a step always measures the same."""
        if drawn.step.name not in self._measured:
            whole = self._context.measured(drawn, lambda: self.sample.picture)
            self._measured[drawn.step.name] = {name: whole.values[name] for name in drawn.step.measured}
        return Applied(drawn.step, {**drawn.values, **self._measured[drawn.step.name]})

    @property
    def method(self) -> str:
        """How F was made: the recipe's method, a fallback, or `given` (the data set ships it)."""
        return self._noisy.method

    def refusal(self, error: Exception, k: int) -> dict[str, Any]:
        """The reject row of a composite, with a small JPEG of the colour file where it can be decoded."""
        quarantined = isinstance(error, Rejected) and error.reason == WORKER_DIED
        small = None if quarantined else self._thumbnail
        return refusal(error, f"{self.planned.foreground_id}/{k}", self.planned.source, small)

    @cached_property
    def _thumbnail(self) -> bytes | None:
        return thumbnail(self.planned.pair.picture)

    @cached_property
    def alpha_png(self) -> bytes:
        """The matte as 8-bit PNG."""
        with self._context.clock.stage("encode"):
            return encode_png(to_uint8(self.alpha))

    def layer(self, steps: Sequence[Applied] = ()) -> Image:
        """F after some steps, H x W x 3."""
        made = self._recent(self._layers, steps, lambda: self._after(steps))
        return made.pixels

    def encoded(self, steps: Sequence[Applied] = ()) -> bytes:
        """F after some steps, as it is stored."""
        return self._recent(self._encoded, steps, lambda: self._context.encode(self.layer(steps)))

    def _after(self, steps: Sequence[Applied]) -> CachedLayer:
        def after() -> CachedLayer:
            self._context.begin_item(self.planned.foreground_id)
            return self._context.after(lambda: self._noisy, self.key, steps)

        return self._remembered(repr([one.words for one in steps]), after)

    def _recent(self, kept: dict[str, R], steps: Sequence[Applied], make: Callable[[], R]) -> R:
        """What was made of the last few draws: those that random values tell apart are not worth their memory."""
        key = json.dumps([[one.step.name, one.values] for one in steps], sort_keys=True)
        if key not in kept:
            made = make()
            while len(kept) >= _KEPT:
                del kept[next(iter(kept))]
            kept[key] = made
        return kept[key]

    def _remembered(self, what: str, make: Callable[[], R]) -> R:
        if what in self._failures:
            raise self._failures[what]
        try:
            return make()
        except Exception as error:
            self._failures[what] = error
            raise

    @cached_property
    def _sample(self) -> MattingSample:
        self._context.begin_item(self.planned.foreground_id)
        with self._context.clock.stage("read"):
            return self.planned.load()

    @property
    def wanted(self) -> ForegroundChoice:
        """The method that F is to be made by; a fallback may be what makes it, see `method`."""
        return foreground_method(self.planned.pair, self._context.recipe.foreground)

    @property
    def key(self) -> tuple[str, ...]:
        """The name of F in the cache: everything that decides its values."""
        matte = f"matte {MATTE_RULES}, scale {self.planned.pair.alpha_scale}"
        versions = map(version, (*READERS, *_ESTIMATORS))
        return ("foreground", self.planned.foreground_id, self.wanted, matte, *versions)

    @cached_property
    def _noisy(self) -> CachedLayer:
        method, sample = self.wanted, self.sample
        self._context.begin_item(self.planned.foreground_id)
        if method == "given":
            return CachedLayer(cast(Image, sample.foreground), method)  # there is one: `foreground_method` looked

        def compute() -> CachedLayer:
            with self._context.clock.stage("foreground"):
                layers = estimate_layers(sample.picture, sample.alpha, method)
            return CachedLayer(layers.foreground, layers.method)

        with self._context.clock.stage("cache"):
            return self._context.cache.get(self.key, compute)
