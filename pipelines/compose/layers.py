"""The layers of one shard, made lazily: nothing is estimated or denoised unless some draw asks for it, and never twice.

Finished layers live in the cache, named by content, so another shard, another seed or another run finds them there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipelines.compose.layer_cache import CachedLayer, LayerCache
from pipelines.executor.clock import StageClock
from rssn.errors import Rejected
from rssn.image.arrays import Image, to_float, to_uint8
from rssn.image.codecs import ImageCodec, encode_picture
from rssn.image.decoding import background_pixels, open_header
from rssn.route.denoise import backend_version, denoise
from rssn.route.noise_level import estimate_sigma
from rssn.route.recipe import Recipe
from rssn.sources.backgrounds import Background, background_bytes
from rssn.storage.buckets import version_of
from rssn.storage.files import content_id
from rssn.storage.urls import url_of
from rssn.versions import version

_BASE_BYTES = 900 << 20
_BYTES_PER_PIXEL = 160
_BYTES_PER_PIXEL_BM3D = 1024


def worker_memory(pixels: int, recipe: Recipe) -> int:
    """Bytes to reserve for a worker that estimates or denoises pictures of at most this many pixels.

    0.9 GB and 160 MB for each megapixel; 1 GB for each where the package `bm3d` denoises. Where the closed form has to
    fall back on pymatting's solver, that takes more, which nobody knows before. The last lines of a run say what its
    largest worker took.
    """
    package = recipe.denoise.probability > 0 and recipe.denoise.backend == "bm3d"
    return _BASE_BYTES + (_BYTES_PER_PIXEL_BM3D if package else _BYTES_PER_PIXEL) * pixels


READERS = ("rssn", "simplejpeg", "pillow", "opencv-python", "numpy")
"""Whose versions may change what is decoded."""


class UnusableBackground(Rejected):
    """A background that cannot be decoded, whoever asks and whenever: another one is drawn in its place."""


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

    def sigma(self, measured: Callable[[], Image], key: tuple[str, ...]) -> float:
        """How strong a layer is denoised, in 8-bit units; by its photograph, which is read only if the recipe asks."""
        if self.recipe.denoise.sigma != "auto":
            return float(self.recipe.denoise.sigma)

        def estimate() -> CachedLayer:
            picture = measured()
            with self.clock.stage("denoise"):
                return CachedLayer(np.full((1, 1, 3), estimate_sigma(picture), dtype=np.float32), "")

        with self.clock.stage("cache"):
            found = self.cache.get(("sigma", version("rssn"), *key), estimate)
        return round(2550.0 * float(found.pixels[0, 0, 0])) / 10.0

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
        stored = self._stored(background)
        if not denoised:
            return Whole(self._decoded(stored), None)
        sigma = self.sigma(lambda: self._decoded(stored), stored.key)
        layer = self.denoise(lambda: CachedLayer(self._decoded(stored), ""), stored.key, sigma)
        return Whole(layer.pixels, sigma)

    def holds_denoised(self, background: Background) -> bool:
        """Whether the cache holds B without its noise."""
        stored = self._stored(background)
        sigma = self.sigma(lambda: self._decoded(stored), stored.key)
        return self.cache.holds(self.denoised_key(stored.key, sigma))

    def _stored(self, background: Background) -> _Stored:
        with self.clock.stage("read"), _blaming(background):
            return _Stored(background, self._fetched(background))

    def _fetched(self, background: Background) -> bytes:
        """The encoded background; one in a bucket is fetched once for each machine."""
        url = url_of(Path(background.path))
        if url is None:
            return background_bytes(background)
        place = (str(background.row_group), str(background.row), background.background_id)
        try:
            key = ("object", url, _version_of(url), *place)
        except OSError as error:
            raise Rejected("read", "unreadable", str(error)) from error
        return self.cache.get_bytes(key, lambda: background_bytes(background))

    def _decoded(self, stored: _Stored) -> Image:
        with self.clock.stage("read"):
            try:
                return to_float(self.cache.get_pixels(stored.key, lambda: background_pixels(open_header(stored.data))))
            except Rejected as error:
                raise UnusableBackground("background", error.reason, error.message) from error


@lru_cache(maxsize=65_536)
def _version_of(url: str) -> str:
    """Asked once in each process: an object that changes in the middle of a run is refused by its content."""
    return version_of(url)


@dataclass(frozen=True)
class _Stored:
    """A background and its bytes."""

    background: Background
    data: bytes

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The name of its own layer, by the bytes that are decoded: a curated one bears its source's id."""
        return ("background", content_id(self.data), *map(version, READERS))


@contextmanager
def _blaming(background: Background) -> Iterator[None]:
    """The row of the rejects bears the foreground's name; this names the background that could not be read."""
    try:
        yield
    except Rejected as error:
        words = f"background {background.source}: {error.message}"
        raise Rejected("background", error.reason, words) from error
