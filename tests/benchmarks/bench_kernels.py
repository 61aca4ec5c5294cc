"""What a composite costs beside denoising and the closed form, step by step, and what compilation costs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np

from pipelines.compose.layer_cache import CachedLayer, LayerCache
from rssn.dataset.schema import COMPOSITES, picture
from rssn.dataset.shards import DatasetFolder, write_shard
from rssn.image.arrays import encode_png, to_uint8
from rssn.image.codecs import encode_picture
from rssn.image.decoding import decode_image
from rssn.route import compose as route
from rssn.route.steps.blur import box_blur
from rssn.route.steps.noise import add_noise
from rssn.sources.mattes import read_matte
from tests.benchmarks.bench_route import Composed
from tests.benchmarks.inputs import Pair
from tests.benchmarks.table import ONE_THREAD, Cost, Job, Row, command_cost, measured
from train.targets.rosta import make_trimap

REPEATS = 7
_SIGMA = 10.0 / 255.0
_WARM = "from rssn.route import denoise, foreground; denoise.warm_up('native'); foreground.warm_up('levin')"
_WORKER = """
from pipelines.executor.warm_up import warm_up
from rssn.route.recipe import load_recipe
warm_up(load_recipe("comp-rssn"))
"""
_LONGEST = 300.0  # seconds
_Step: TypeAlias = Callable[[], Any]


def times(run: Composed) -> dict[str, float]:
    """How often a composite takes each step, the mean over the draws of a run; a trimap: as if each had one."""
    count, denoised = len(run.rows), run.of("denoise")
    foregrounds = len({row["foreground_id"] for row in run.rows})
    clean, noisy = (run.distinct("foreground_id", denoised=which) for which in (True, False))
    backgrounds = run.distinct("background_id", denoised=True)
    taken = {
        "decode photograph": foregrounds,
        "decode alpha": foregrounds,
        "decode background": count - denoised + backgrounds,
        "store a layer": foregrounds + clean + backgrounds,
        "load a layer": denoised - backgrounds,
        "fit background": count,
        "blur 60 px": run.of("blur"),
        "blend": count,
        "noise": run.of("noise"),
        "to 8 bits": 2 * count + clean + noisy + foregrounds,
        "composite as JPEG": count,
        "background as JPEG": count,
        "foreground as JPEG": clean + noisy,
        "composite as PNG": count,
        "composite as WebP": count,
        "alpha as PNG": foregrounds,
        "write and hash a row": count,
        "trimap, 25 px": count,
        "trimap, 50 px": count,
    }
    return {name: number / count for name, number in taken.items()}


def row(name: str, pair: Pair, background: Path, share: float) -> Row:
    """A step on one photograph.

    Args:
        name: Of `times`.
        pair: The photograph and its matte.
        background: The background.
        share: How often a composite takes it, in a composite's seconds.
    """
    ours = measured(prepare, "ours", name, pair, background, repeats=REPEATS)
    theirs = None
    if name in _REFERENCES:
        theirs = measured(prepare, "reference", name, pair, background, repeats=REPEATS)
    quality = _agreement(theirs, ours) if theirs else ""
    return Row(name, theirs, ours, quality=quality, share=ours.seconds * share)


def compile_rows() -> Iterator[Row]:
    """The first call of the kernels on a machine, also by two workers, and in a process; Python's start included."""
    start = command_cost(["-c", "import rssn.route.denoise, rssn.route.foreground"])
    words = f"{start.seconds:.1f} s of it without kernels"
    together = f", {_wall_of_two():.1f} s by the clock until two workers are ready"
    with tempfile.TemporaryDirectory() as folder:
        for name, more in (("first call of the kernels on a machine", together), ("first call in a process", "")):
            yield Row(name, None, command_cost(["-c", _WARM], {"NUMBA_CACHE_DIR": folder}), quality=words + more)


def _wall_of_two() -> float:
    """Seconds that two workers take who start together where nothing is compiled."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        environment = os.environ | ONE_THREAD | {"NUMBA_CACHE_DIR": folder, "TMPDIR": folder}
        workers = [subprocess.Popen([sys.executable, "-c", _WORKER], env=environment) for _ in range(2)]
        try:
            codes = [worker.wait(_LONGEST) for worker in workers]
        finally:
            for worker in workers:
                worker.kill()
        if any(codes):
            raise RuntimeError(f"workers ended with {codes}")
        return time.perf_counter() - start


def prepare(which: str, name: str, pair: Pair, background: Path) -> Job:
    """One step on one photograph, ours or the reference; keeps the result where it is an array."""
    step = (_REFERENCES if which == "reference" else _STEPS)[name](_Inputs(pair, background))
    step()
    return Job(step, lambda result: result if isinstance(result, np.ndarray) else None)


class _Inputs:
    """What the steps work on."""

    def __init__(self, pair: Pair, background: Path) -> None:
        self.photo, self.matte, self.background = (path.read_bytes() for path in (*pair, background))
        self.image, self.alpha, self.whole = (
            decode_image(self.photo),
            read_matte(self.matte).alpha,
            decode_image(self.background),
        )
        height, width = self.alpha.shape
        fitted = route.fitted_size((self.whole.shape[1], self.whole.shape[0]), (width, height), "cover")
        self.place = fitted, route.Crop(0, 0, width, height)
        self.fitted = route.fit_background(self.whole, *self.place)
        self.composite = route.blend(self.image, self.fitted, self.alpha)
        self.noisy = add_noise(self.composite, _SIGMA, 7)
        self.pixels = {"composite": to_uint8(self.noisy), "background": to_uint8(self.fitted)}
        self.pixels["foreground"] = to_uint8(self.image)
        self.folder = Path(tempfile.mkdtemp())  # removed with the benchmark's own


def _store(inputs: _Inputs) -> _Step:
    layer, numbers = CachedLayer(inputs.whole, "levin"), iter(range(1 << 30))
    return lambda: LayerCache(inputs.folder / "cache", 1 << 40).get((str(next(numbers)),), lambda: layer)


def _load(inputs: _Inputs) -> _Step:
    cache = LayerCache(inputs.folder / "cache", 1 << 40)
    cache.get(("one",), lambda: CachedLayer(inputs.whole, "levin"))
    return lambda: cache.get(("one",), lambda: CachedLayer(inputs.whole[:1], "damaged"))


def _write(inputs: _Inputs) -> _Step:
    encoded = {name: picture(encode_picture(pixels, "jpeg"), name) for name, pixels in inputs.pixels.items()}
    row = dict.fromkeys(COMPOSITES.names) | encoded | {"image": encoded["composite"]}
    row = {name: row[name] for name in COMPOSITES.names}
    return lambda: write_shard(DatasetFolder(inputs.folder), "one", COMPOSITES, [row], [])


def _encode(what: str, codec: Any) -> Callable[[_Inputs], _Step]:
    return lambda inputs: lambda: encode_picture(inputs.pixels[what], codec)


def _trimap(size: int) -> Callable[[_Inputs], _Step]:
    return lambda inputs: lambda: make_trimap(inputs.alpha, size)


def _opencv_trimap(size: int) -> Callable[[_Inputs], _Step]:
    def run(alpha: np.ndarray) -> np.ndarray:
        ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        trimap = np.full(alpha.shape, 128, np.uint8)
        trimap[cv2.dilate((alpha > 0).astype(np.uint8), ellipse) == 0] = 0
        trimap[cv2.erode((alpha == 1).astype(np.uint8), ellipse) > 0] = 255
        return trimap

    return lambda inputs: lambda: run(inputs.alpha)


def _opencv_webp(inputs: _Inputs) -> _Step:
    return lambda: cv2.imencode(".webp", inputs.pixels["composite"], [cv2.IMWRITE_WEBP_QUALITY, 101])[0]


def _numpy_blend(inputs: _Inputs) -> _Step:
    weight = inputs.alpha[:, :, None]
    return lambda: inputs.image * weight + inputs.fitted * (1 - weight)


def _numpy_noise(inputs: _Inputs) -> _Step:
    return lambda: inputs.composite + np.random.default_rng(7).normal(0, _SIGMA, inputs.composite.shape)


_STEPS: dict[str, Callable[[_Inputs], _Step]] = {
    "decode photograph": lambda inputs: lambda: decode_image(inputs.photo),
    "decode alpha": lambda inputs: lambda: read_matte(inputs.matte).alpha,
    "decode background": lambda inputs: lambda: decode_image(inputs.background),
    "store a layer": _store,
    "load a layer": _load,
    "fit background": lambda inputs: lambda: route.fit_background(inputs.whole, *inputs.place),
    "blur 60 px": lambda inputs: lambda: box_blur(inputs.fitted, 60),
    "blend": lambda inputs: lambda: route.blend(inputs.image, inputs.fitted, inputs.alpha),
    "noise": lambda inputs: lambda: add_noise(inputs.composite, _SIGMA, 7),
    "to 8 bits": lambda inputs: lambda: to_uint8(inputs.noisy),
    "composite as JPEG": _encode("composite", "jpeg"),
    "background as JPEG": _encode("background", "jpeg"),
    "foreground as JPEG": _encode("foreground", "jpeg"),
    "composite as PNG": _encode("composite", "png"),
    "composite as WebP": _encode("composite", "webp"),
    "alpha as PNG": lambda inputs: lambda: encode_png(to_uint8(inputs.alpha)),
    "write and hash a row": _write,
    "trimap, 25 px": _trimap(25),
    "trimap, 50 px": _trimap(50),
}

_REFERENCES: dict[str, Callable[[_Inputs], _Step]] = {
    "blend": _numpy_blend,
    "noise": _numpy_noise,
    "composite as WebP": _opencv_webp,
    "trimap, 25 px": _opencv_trimap(25),
    "trimap, 50 px": _opencv_trimap(50),
}
"""What people write today, with NumPy and OpenCV."""


def _agreement(theirs: Cost, ours: Cost) -> str:
    if ours.kept is None or ours.kept.dtype != np.uint8:
        return ""
    return "the same to the bit" if np.array_equal(theirs.kept, ours.kept) else "DIFFERENT"
