"""The layers of one shard, made lazily: nothing is estimated or denoised unless some draw asks for it, and never twice.

Finished layers live in the cache, named by content, so another shard, another seed or another run finds them there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any, NamedTuple, TypeVar, cast

from pipelines.clock import StageClock
from pipelines.plan import PlannedForeground, foreground_method, thumbnail
from pipelines.runner import WORKER_DIED
from pipelines.work import refusal
from rssn.backgrounds import Background, load_background
from rssn.cache import CachedLayer, LayerCache
from rssn.codecs import ImageCodec, encode_picture
from rssn.denoise import backend_version, denoise
from rssn.errors import Rejected
from rssn.foreground import estimate_layers
from rssn.images import Alpha, Image, Pixels, encode_png, to_float, to_uint8
from rssn.matting import MattingSample
from rssn.noise_level import estimate_sigma
from rssn.recipe import ForegroundChoice, Recipe

_BASE_BYTES = 900 << 20
_BYTES_PER_PIXEL = 160
_BYTES_PER_PIXEL_BM3D = 1024


def worker_memory(pixels: int, recipe: Recipe) -> int:
    """Bytes to reserve for a worker that estimates or denoises pictures of at most this many pixels.

    0.9 GB and 160 MB for each megapixel; 1 GB for each where the package `bm3d` denoises. Measured were at most 1.0 GB
    with pictures of 2 MP, 1.5 with 8 MP and 3.4 with 25 MP. Where the closed form has to fall back on pymatting's
    solver, that takes 0.6 GB a megapixel, which nobody knows before. The last lines of a run say what its largest
    worker took.
    """
    package = recipe.denoise.probability > 0 and recipe.denoise.backend == "bm3d"
    return _BASE_BYTES + (_BYTES_PER_PIXEL_BM3D if package else _BYTES_PER_PIXEL) * pixels


_READERS = ("pillow", "opencv-python", "numpy")
_ESTIMATORS = ("rssn", "numba", "pymatting")
"""Whose versions may change a layer."""
R = TypeVar("R")


class Whole(NamedTuple):
    """A background at its own size."""

    pixels: Image  # H x W x 3
    sigma: float | None  # how strong it was denoised, in 8-bit units


@dataclass(frozen=True)
class LayerContext:
    """What it takes to make layers: the recipe, the codec, the cache and the clock of a task."""

    recipe: Recipe
    codec: ImageCodec
    cache: LayerCache
    clock: StageClock
    enter: Callable[[str], None] = lambda _: None  # hears what is at hand, and may refuse it

    def denoised_key(self, key: tuple[str, ...], sigma: float) -> tuple[str, ...]:
        """The name of the denoised layer in the cache, from the layer's own.

        Raises:
            DependencyError: If the denoiser is not installed.
        """
        backend = self.recipe.denoise.backend
        return ("denoised", backend, backend_version(backend), repr(sigma), *key)

    def sigma(self, measured: Callable[[], Image]) -> float:
        """How strong a layer is denoised, in 8-bit units; by its photograph, which is read only if the recipe asks."""
        if self.recipe.denoise.sigma != "auto":
            return float(self.recipe.denoise.sigma)
        picture = measured()
        with self.clock.stage("denoise"):
            return 255.0 * estimate_sigma(picture)

    @staticmethod
    def background_key(background: Background) -> tuple[str, ...]:
        """The name of a background's own layer."""
        return ("background", background.background_id, *map(version, _READERS))

    def denoise(self, read: Callable[[], CachedLayer], key: tuple[str, ...], sigma: float) -> CachedLayer:
        """A layer without its noise; `key` names it, and it is read only if the cache does not hold the result."""

        def compute() -> CachedLayer:
            layer = read()
            with self.clock.stage("denoise"):
                return CachedLayer(denoise(layer.pixels, sigma / 255.0, self.recipe.denoise.backend), layer.method)

        with self.clock.stage("cache"):
            return self.cache.get(self.denoised_key(key, sigma), compute)

    def encode(self, image: Image) -> bytes:
        """A picture as it is stored."""
        with self.clock.stage("encode"):
            return encode_picture(to_uint8(image), self.codec)

    def background(self, background: Background, *, denoised: bool) -> Whole:
        """B as the draw wants it: denoised before it is resized, while its noise is still its own."""
        self.enter(background.background_id)
        if not denoised:
            return Whole(self._decoded(background), None)
        sigma, key = self.background_sigma(background), self.background_key(background)
        layer = self.denoise(lambda: CachedLayer(self._decoded(background), ""), key, sigma)
        return Whole(layer.pixels, sigma)

    def background_sigma(self, background: Background) -> float:
        """How strong B is denoised, in 8-bit units."""
        return self.sigma(lambda: self._decoded(background))

    def _decoded(self, background: Background) -> Image:
        def decode() -> Pixels:
            try:
                return load_background(background)
            except Rejected as error:  # the row of the rejects bears the foreground's name
                words = f"background {background.source}: {error.message}"
                raise Rejected("background", error.reason, words) from error

        with self.clock.stage("read"):
            return to_float(self.cache.get_pixels(self.background_key(background), decode))


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
        return self._context.sigma(lambda: self.sample.picture)

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
        return ("foreground", self.planned.foreground_id, self.wanted, *map(version, (*_READERS, *_ESTIMATORS)))

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
