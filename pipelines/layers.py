"""The layers of one shard, made lazily: nothing is estimated or denoised unless some draw asks for it."""

from __future__ import annotations

from functools import cached_property

from pipelines.plan import PlannedForeground
from rssn.backgrounds import Background, load_background
from rssn.denoise import denoise
from rssn.foreground import estimate_foreground
from rssn.images import Alpha, Image, encode_jpeg, encode_png, to_uint8
from rssn.matting import MattingSample
from rssn.recipe import DenoiseStep, Recipe


class ForegroundLayers:
    """F of one foreground, with and without its noise, as floats and encoded; each made at most once.

    A failure is remembered too: the second composite of a broken foreground fails at once, for the same reason.
    """

    def __init__(self, planned: PlannedForeground, recipe: Recipe) -> None:
        self.planned = planned
        self.method = "given" if planned.pair.image is None else recipe.foreground
        self._recipe = recipe
        self._failure: Exception | None = None

    @property
    def alpha(self) -> Alpha:
        """The matte, H x W."""
        return self._sample.alpha

    @cached_property
    def alpha_png(self) -> bytes:
        """The matte as 8-bit PNG."""
        return encode_png(to_uint8(self.alpha))

    def layer(self, *, denoised: bool) -> Image:
        """F as the draw wants it, H x W x 3."""
        if self._failure is not None:
            raise self._failure
        try:
            return self._denoised if denoised else self._noisy
        except Exception as error:
            self._failure = error
            raise

    def encoded(self, *, denoised: bool) -> bytes:
        """F as the draw wants it, as JPEG."""
        return self._denoised_jpeg if denoised else self._noisy_jpeg

    @cached_property
    def _sample(self) -> MattingSample:
        return self.planned.load()

    @cached_property
    def _noisy(self) -> Image:
        if self.planned.pair.image is None:
            return self._sample.picture
        return estimate_foreground(self._sample.picture, self._sample.alpha, self._recipe.foreground)[0]

    @cached_property
    def _denoised(self) -> Image:
        return _denoise(self._noisy, self._recipe.denoise)

    @cached_property
    def _noisy_jpeg(self) -> bytes:
        return encode_jpeg(to_uint8(self._noisy))

    @cached_property
    def _denoised_jpeg(self) -> bytes:
        return encode_jpeg(to_uint8(self._denoised))


def background_layer(background: Background, recipe: Recipe, *, denoised: bool) -> Image:
    """B as the draw wants it, at its own size: denoised before it is resized, while its noise is still its own."""
    layer = load_background(background)
    return _denoise(layer, recipe.denoise) if denoised else layer


def _denoise(layer: Image, step: DenoiseStep) -> Image:
    return denoise(layer, step.sigma / 255.0, step.backend)
