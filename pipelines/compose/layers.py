"""The layers of one shard, made lazily: nothing is estimated or denoised unless some draw asks for it, and never twice.

Finished layers live in the cache, named by content, so another shard, another seed or another run finds them there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, TypeVar, cast

from pipelines.compose.layer_cache import CachedLayer, LayerCache
from pipelines.compose.naming import foreground_method, thumbnail
from pipelines.compose.plan import PlannedForeground
from pipelines.executor.clock import StageClock
from pipelines.executor.runner import WORKER_DIED
from pipelines.executor.work import refusal
from rssn.errors import Rejected
from rssn.image.arrays import Alpha, Image, encode_png, to_float, to_uint8
from rssn.image.codecs import ImageCodec, encode_picture
from rssn.image.decoding import background_pixels, open_header
from rssn.route import compose as route
from rssn.route.draw import Draw
from rssn.route.foreground import estimate_layers
from rssn.route.recipe import ForegroundChoice, Recipe
from rssn.route.step import Applied, CutOut, Values
from rssn.sources.backgrounds import Background, background_bytes
from rssn.sources.mattes import MATTE_RULES
from rssn.sources.matting import MattingSample
from rssn.storage.buckets import version_of
from rssn.storage.files import content_id
from rssn.versions import version

_BASE_BYTES = 900 << 20
_BYTES_PER_PIXEL = 160


def worker_memory(pixels: int, recipe: Recipe) -> int:
    """Bytes to reserve for a worker that makes layers of at most this many pixels.

    0.9 GB and 160 MB for each megapixel, or what the hungriest step of the recipe needs. Where the closed form has to
    fall back on pymatting's solver, that takes more, which nobody knows before. The last lines of a run say what its
    largest worker took.
    """
    return _BASE_BYTES + max([_BYTES_PER_PIXEL, *(step.bytes_per_pixel for step in recipe.drawn)]) * pixels


READERS = ("rssn", "simplejpeg", "pillow", "opencv-python", "numpy")
"""Whose versions may change what is decoded."""


class UnusableBackground(Rejected):
    """A background that cannot be decoded, whoever asks and whenever: another one is drawn in its place."""


class FullBackground(NamedTuple):
    """A background at its own size."""

    pixels: Image  # H x W x 3
    steps: tuple[Applied, ...]  # what was applied to it, with what was measured


@dataclass(frozen=True)
class LayerContext:
    """What it takes to make layers: the recipe, the codec, the cache and the clock of a task."""

    recipe: Recipe
    codec: ImageCodec
    cache: LayerCache
    clock: StageClock
    begin_item: Callable[[str], None] = lambda _: None  # is told what is at hand, and may refuse it
    _measured: dict[tuple[str, ...], Values] = field(default_factory=dict, compare=False)  # by step and photograph

    def measured(
        self, steps: Iterable[Applied], key: tuple[str, ...], photograph: Callable[[], Image]
    ) -> tuple[Applied, ...]:
        """Steps on a source, with what they measure of the layer's photograph, which `key` names; once in a shard."""
        return tuple(self._measure(step, key, photograph) for step in steps)

    def _measure(self, drawn: Applied, key: tuple[str, ...], photograph: Callable[[], Image]) -> Applied:
        place = (drawn.step.name, *key)
        if place not in self._measured:
            with self.clock.stage(drawn.step.name):
                self._measured[place] = drawn.step.measure(photograph)
        return Applied(drawn.step, {**drawn.values, **self._measured[place]})

    def key_after(self, key: tuple[str, ...], steps: Sequence[Applied]) -> tuple[str, ...]:
        """The name in the cache of a layer after some steps, from the layer's own.

        Raises:
            DependencyError: If a package that a step needs is not installed.
        """
        for one in steps:
            settings = {name: value for name, value in asdict(one.step).items() if name != "probability"}
            key = (one.step.name, one.step.versions(), json.dumps([settings, one.values], sort_keys=True), *key)
        return key

    def after(self, read: Callable[[], CachedLayer], key: tuple[str, ...], steps: Sequence[Applied]) -> CachedLayer:
        """A layer after some steps; `key` names it, and it is read only if the cache does not hold a result."""
        if not steps:
            return read()

        def compute() -> CachedLayer:
            layer = self.after(read, key, steps[:-1])
            with self.clock.stage(steps[-1].step.name):
                return CachedLayer(steps[-1](layer.pixels), layer.method)

        if not steps[-1].step.cached:
            return compute()
        with self.clock.stage("cache"):
            return self.cache.get(self.key_after(key, steps), compute)

    def encode(self, image: Image) -> bytes:
        """A picture as it is stored."""
        with self.clock.stage("encode"):
            return encode_picture(to_uint8(image), self.codec)

    def encode_alpha(self, alpha: Alpha) -> bytes:
        """A matte as 8-bit PNG."""
        with self.clock.stage("encode"):
            return encode_png(to_uint8(alpha))

    def background(self, background: Background, drawn: Draw) -> FullBackground:
        """B after the steps on sources that were drawn, before it is resized."""
        self.begin_item(background.background_id)
        stored = self._stored(background)
        steps = self._steps(stored, drawn)
        layer = self.after(lambda: CachedLayer(self._decoded(stored), ""), stored.key, steps)
        return FullBackground(layer.pixels, steps)

    def missing(self, background: Background, drawn: Draw) -> list[Applied]:
        """The steps on B whose result the cache would have to make."""
        stored = self._stored(background)
        return self.uncached(stored.key, self._steps(stored, drawn))

    def uncached(self, key: tuple[str, ...], steps: Sequence[Applied]) -> list[Applied]:
        """Those of some steps that would have to be applied, for no later result is in the cache."""
        held = (n for n in range(len(steps), 0, -1) if self.cache.holds(self.key_after(key, steps[:n])))
        return list(steps[next(held, 0) :])

    def _steps(self, stored: _Stored, drawn: Draw) -> tuple[Applied, ...]:
        steps = drawn.applied(self.recipe, "source", "background")
        return self.measured(steps, stored.key, lambda: self._decoded(stored))

    def _stored(self, background: Background) -> _Stored:
        with self.clock.stage("read"), _attribute_errors(background):
            return _Stored(background, self._fetched(background))

    def _fetched(self, background: Background) -> bytes:
        """The encoded background; one in a bucket is fetched once for each machine."""
        ref = background.picture
        if not ref.in_bucket:
            return background_bytes(background)
        place = (ref.kind, str(ref.row_group), str(ref.place), ref.column, background.background_id)
        try:
            key = ("object", ref.path, _version_of(ref.path), *place)
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
def _attribute_errors(background: Background) -> Iterator[None]:
    """The row of the rejects bears the foreground's name; this names the background that could not be read."""
    try:
        yield
    except Rejected as error:
        words = f"background {background.source}: {error.message}"
        raise Rejected("background", error.reason, words) from error


_ESTIMATORS = ("numba", "pymatting")
"""Whose versions may change F."""

_KEPT = 2  # F as it is, and after steps

R = TypeVar("R")


def _name(steps: Sequence[Applied]) -> str:
    return json.dumps([[one.step.name, one.values] for one in steps], sort_keys=True)


class ForegroundLayers:
    """F of one foreground, before and after steps, as floats and encoded; what composites share is made once.

    A failure is remembered too: the second composite of a broken foreground fails at once, for the same reason.
    """

    def __init__(self, planned: PlannedForeground, context: LayerContext) -> None:
        self.planned = planned
        self._context = context
        self._layers: dict[str, CachedLayer] = {}  # by the steps that made them
        self._encoded: dict[str, bytes] = {}
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
        steps = drawn.applied(self._context.recipe, "source", "foreground")
        key = ("photograph", self.planned.foreground_id)
        return self._context.measured(steps, key, lambda: self.sample.picture)

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
        return self._context.encode_alpha(self.alpha)

    def layer(self, steps: Sequence[Applied] = ()) -> Image:
        """F after some steps, H x W x 3."""
        made = self._recent(self._layers, steps, lambda: self._after(steps))
        return made.pixels

    def placed(self, steps: Sequence[Applied], drawn: Draw, others: Iterable[CutOut]) -> CutOut:
        """F and alpha after the steps that were drawn at their own size, and those that place them.

        Raises:
            Rejected: If they cannot be placed so, or another foreground is needed and none can be read.
        """
        cut_out = CutOut(self.layer(steps), self.alpha)
        with self._context.clock.stage("compose"):
            return route.place(cut_out, drawn.applied(self._context.recipe, "placement"), others)

    def encoded(self, steps: Sequence[Applied] = ()) -> bytes:
        """F after some steps, as it is stored."""
        return self._recent(self._encoded, steps, lambda: self._context.encode(self.layer(steps)))

    def _after(self, steps: Sequence[Applied]) -> CachedLayer:
        def after() -> CachedLayer:
            self._context.begin_item(self.planned.foreground_id)
            return self._context.after(lambda: self._remembered("F", lambda: self._noisy), self.key, steps)

        return self._remembered(_name(steps), after)

    def _recent(self, kept: dict[str, R], steps: Sequence[Applied], make: Callable[[], R]) -> R:
        """What was made of the last few draws: those that random values tell apart are not worth their memory."""
        key = _name(steps)
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
