"""The layers of one foreground, see `layers`: its photograph, F, F without its noise, and the bytes of each."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar, cast

from pipelines.compose.layer_cache import CachedLayer
from pipelines.compose.layers import READERS, LayerContext
from pipelines.compose.plan import PlannedForeground, foreground_method, thumbnail
from pipelines.executor.runner import WORKER_DIED
from pipelines.executor.work import refusal
from rssn.errors import Rejected
from rssn.image.arrays import Alpha, Image, encode_png, to_uint8
from rssn.route.foreground import estimate_layers
from rssn.route.recipe import ForegroundChoice
from rssn.sources.mattes import MATTE_RULES
from rssn.sources.matting import MattingSample
from rssn.versions import version

_ESTIMATORS = ("numba", "pymatting")
"""Whose versions may change F."""

R = TypeVar("R")


class ForegroundLayers:
    """F of one foreground, with and without its noise, as floats and encoded; each made at most once.

    A failure is remembered too: the second composite of a broken foreground fails at once, for the same reason.
    """

    def __init__(self, planned: PlannedForeground, context: LayerContext) -> None:
        self.planned = planned
        self._context = context
        self._failures: dict[str, Exception] = {}  # what failed: the pair, F, or F without its noise

    @property
    def sample(self) -> MattingSample:
        """The decoded pair."""
        return self._remembered("pair", lambda: self._sample)

    @property
    def alpha(self) -> Alpha:
        """The matte, H x W."""
        return self.sample.alpha

    @cached_property
    def sigma(self) -> float:
        """How strong F is denoised, in 8-bit units; by its photograph, for F is smooth where it does not show."""
        key = ("photograph", self.planned.foreground_id, *map(version, READERS))
        return self._context.sigma(lambda: self.sample.picture, key)

    @property
    def method(self) -> str:
        """How F was made: the recipe's method, a fallback, or `given` (the data set ships it)."""
        return self._noisy.method

    def refusal(self, error: Exception, k: int) -> dict[str, Any]:
        """The reject row of a composite, with a small JPEG of the colour file where it can be decoded."""
        poisoned = isinstance(error, Rejected) and error.reason == WORKER_DIED
        small = None if poisoned else self._thumbnail
        return refusal(error, f"{self.planned.foreground_id}/{k}", self.planned.source, small)

    @cached_property
    def _thumbnail(self) -> bytes | None:
        return thumbnail(self.planned.pair.picture)

    @cached_property
    def alpha_png(self) -> bytes:
        """The matte as 8-bit PNG."""
        with self._context.clock.stage("encode"):
            return encode_png(to_uint8(self.alpha))

    def layer(self, *, denoised: bool) -> Image:
        """F as the draw wants it, H x W x 3."""
        noisy = self._remembered("F", lambda: self._noisy)
        return self._remembered("denoised F", lambda: self._denoised).pixels if denoised else noisy.pixels

    def _remembered(self, what: str, make: Callable[[], R]) -> R:
        if what in self._failures:
            raise self._failures[what]
        try:
            return make()
        except Exception as error:
            self._failures[what] = error
            raise

    def encoded(self, *, denoised: bool) -> bytes:
        """F as the draw wants it, as it is stored."""
        return self._denoised_bytes if denoised else self._noisy_bytes

    @cached_property
    def _sample(self) -> MattingSample:
        self._context.enter(self.planned.foreground_id)
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
        self._context.enter(self.planned.foreground_id)
        if method == "given":
            return CachedLayer(cast(Image, sample.foreground), method)  # there is one: `foreground_method` looked

        def compute() -> CachedLayer:
            with self._context.clock.stage("foreground"):
                layers = estimate_layers(sample.picture, sample.alpha, method)
            return CachedLayer(layers.foreground, layers.method)

        with self._context.clock.stage("cache"):
            return self._context.cache.get(self.key, compute)

    @cached_property
    def _denoised(self) -> CachedLayer:
        self._context.enter(self.planned.foreground_id)
        return self._context.denoise(lambda: self._noisy, self.key, self.sigma)

    @cached_property
    def _noisy_bytes(self) -> bytes:
        return self._context.encode(self._noisy.pixels)

    @cached_property
    def _denoised_bytes(self) -> bytes:
        return self._context.encode(self._denoised.pixels)
