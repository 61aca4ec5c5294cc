"""Upscaled photographs: how many enlarged ones are found and how many others are flagged, on photographs left out.

python -m tests.benchmarks.bench_upscaling DATA [--fit FILE]

DATA holds the folders `photos` and `crawl`, each with `labels.tsv`. Of each photograph, shrunk to 1000 px and as its
sharpest 1000 px at full resolution (`crawl`: as it is), there are made: enlarged ones (1.25 to 4 times; linear, cubic
and Lanczos by OpenCV and Pillow; of a JPEG or not; stored as JPEG 75 to 95 or not), and ones that are no enlargements:
as they are, shrunk, out of focus with grain, sharpened, each as JPEG, too. The rule is fitted six times, each time
without a sixth of the photographs (copies together), and judged on those. `--fit` writes the rule fitted on all.
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as PillowImage
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from bg20k.upscaling import traces, upscaling_score
from bg20k.verdict import THRESHOLDS
from rssn.image.arrays import Pixels
from rssn.image.photograph import TILE_SIDE, decode_photograph
from tests.benchmarks.bench_flags import LABELS
from tests.pictures import group_of, read_table

_SIDE = 1000  # px
_LONGEST = 1500  # px
_FOLDS = 6
_OPENCV = {
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
    "area": cv2.INTER_AREA,
}
_PILLOW = {
    "linear": PillowImage.Resampling.BILINEAR,
    "cubic": PillowImage.Resampling.BICUBIC,
    "lanczos": PillowImage.Resampling.LANCZOS,
}
_SHRINKING = (*(f"pillow {name}" for name in _PILLOW), "opencv area")
_QUALITIES = (None, 95, 90, 75, 75)
_HEADER = '''"""The weights of the rule in `bg20k.upscaling`, as `bench_upscaling --fit` writes them."""

from __future__ import annotations

from typing import Final

BIAS: Final = {bias}
WEIGHTS: Final = (
{rows}
)
'''


@dataclass(frozen=True)
class Way:
    """How a picture was made.

    Attributes:
        kind: `as is` (the file), `clean`, `shrunk`, `defocused`, `sharpened` or `enlarged`.
        factor: Its side over the source's.
        filter: Of the resizing.
        before: JPEG quality of what was enlarged; None: not stored in between.
        quality: JPEG quality of the result; None: not stored.
        base: What it was made of: `shrunk`, `crop` or `crawl`.
    """

    kind: str
    factor: float = 1.0
    filter: str = ""
    before: int | None = None
    quality: int | None = None
    base: str = ""


@dataclass(frozen=True)
class Sample:
    """One picture: how it was made, of which group of copies, whether of a graphic, and its traces."""

    way: Way
    group: str
    graphic: bool
    traces: np.ndarray


def samples(data: Path) -> Iterator[Sample]:
    """All pictures of both sets, in a fixed order."""
    kinds = {(row["set"], row["file"]): row["kind"] for row in read_table(LABELS)}
    for folder in ("photos", "crawl"):
        for row in read_table(data / folder / "labels.tsv"):
            if not row["file"].startswith("copy-"):
                graphic = kinds[folder, row["file"]] == "graphic"
                for way, pixels in _made(data / folder / row["file"], folder):
                    yield Sample(way, group_of(row), graphic, traces(_tiles(pixels)))


def _made(path: Path, folder: str) -> Iterator[tuple[Way, Pixels]]:
    rng = np.random.default_rng(zlib.crc32(path.name.encode()))
    whole = _array(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    yield Way("as is", base=folder), whole
    if folder == "crawl":
        bases = {"crawl": whole}
    else:
        small = _resized(whole, _SIDE / min(whole.shape), str(rng.choice(_SHRINKING)))
        bases = {"shrunk": small, "crop": _sharpest(whole)}
    for name, base in bases.items():
        for way, pixels in _variants(np.ascontiguousarray(base[:_LONGEST, :_LONGEST]), rng):
            yield replace(way, base=name), pixels


def _variants(base: Pixels, rng: np.random.Generator) -> Iterator[tuple[Way, Pixels]]:
    yield Way("clean"), base
    yield from ((Way("clean", quality=quality), _jpeg(base, quality)) for quality in (90, 75))
    for factor in (*rng.uniform(0.4, 0.97, 3).tolist(), 0.6):
        way = Way("shrunk", factor, str(rng.choice(_SHRINKING)), None, _quality(rng))
        if min(base.shape) * factor >= 300:
            yield way, _jpeg(_resized(base, factor, way.filter), way.quality)
    for radius in (1.2, 2.5, 5.0):
        way = Way("defocused", quality=_quality(rng))
        yield way, _jpeg(_defocused(base, radius, rng), way.quality)
    way = Way("sharpened", quality=_quality(rng))
    yield way, _jpeg(_array(cv2.addWeighted(base, 1.8, cv2.GaussianBlur(base, (0, 0), 1.0), -0.8, 0)), way.quality)
    filters = [f"{library} {name}" for library in ("opencv", "pillow") for name in _PILLOW]
    plain = [(factor, name) for factor in (1.5, 2.0) for name in filters]
    others = [(factor, str(rng.choice(filters))) for factor in (1.25, 1.75, 3.0, 4.0, float(rng.uniform(1.4, 2.5)))]
    for factor, name in plain + others:
        before = (None, None, 90, 75)[rng.integers(4)]
        way = Way("enlarged", factor, name, before, _quality(rng))
        yield way, _jpeg(_resized(_jpeg(base, before), factor, name), way.quality)


def _quality(rng: np.random.Generator) -> int | None:
    return _QUALITIES[rng.integers(len(_QUALITIES))]


def _array(values: np.ndarray | None) -> Pixels:
    return np.asarray(values, dtype=np.uint8)


def _jpeg(pixels: Pixels, quality: int | None) -> Pixels:
    if quality is None:
        return pixels
    return _array(cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 0))


def _resized(pixels: Pixels, factor: float, name: str) -> Pixels:
    library, kind = name.split()
    size = (round(pixels.shape[1] * factor), round(pixels.shape[0] * factor))
    if library == "opencv":
        return _array(cv2.resize(pixels, size, interpolation=_OPENCV[kind]))
    return _array(np.asarray(PillowImage.fromarray(pixels).resize(size, _PILLOW[kind])))


def _defocused(pixels: Pixels, radius: float, rng: np.random.Generator) -> Pixels:
    """As an open aperture blurs: a disc, and the sensor's grain on top."""
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
    blurred = cv2.filter2D(pixels.astype(np.float32), -1, disc / disc.sum())
    return np.clip(np.rint(blurred + rng.normal(0, rng.uniform(0.4, 2), pixels.shape)), 0, 255).astype(np.uint8)


def _sharpest(pixels: Pixels) -> Pixels:
    """The square of 16 with most detail."""
    tops, lefts = (np.linspace(0, length - _SIDE, 4).astype(int) for length in pixels.shape)
    squares = [pixels[top : top + _SIDE, left : left + _SIDE] for top in tops for left in lefts]
    return max(squares, key=lambda one: float(np.abs(cv2.Laplacian(one, cv2.CV_16S)).mean()))


def _tiles(pixels: Pixels) -> Pixels:
    """Samples as `rssn.image.photograph` takes them."""
    tops, lefts = (np.linspace(0, length - TILE_SIDE, 6).astype(int) for length in pixels.shape)
    return np.stack([pixels[top : top + TILE_SIDE, left : left + TILE_SIDE] for top in tops for left in lefts])


def judged(found: Sequence[Sample]) -> np.ndarray:
    """The score of every sample by a rule that was fitted without its photograph.

    Enlarged graphics are left out of the fit: they hold no detail that could be missing.
    """
    inputs, truth, groups = _inputs(found), _truth(found), [one.group for one in found]
    used = _used(found)
    scores = np.zeros(len(found))
    for train, test in GroupKFold(_FOLDS).split(inputs, truth, groups):
        chosen = train[used[train]]
        scores[test] = _model().fit(inputs[chosen], truth[chosen]).predict_proba(inputs[test])[:, 1]
    return scores


def fitted(found: Sequence[Sample]) -> tuple[list[float], float]:
    """Weights and bias of the rule on all samples, for traces as they are."""
    used = _used(found)
    model = _model().fit(_inputs(found)[used], _truth(found)[used])
    scaler, rule = model[0], model[1]
    weights = rule.coef_[0] / scaler.scale_
    return weights.tolist(), float(rule.intercept_[0] - weights @ scaler.mean_)


def _model() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=500))


def _inputs(found: Sequence[Sample]) -> np.ndarray:
    return np.stack([one.traces for one in found])


def _truth(found: Sequence[Sample]) -> np.ndarray:
    return np.array([one.way.kind == "enlarged" for one in found])


def _used(found: Sequence[Sample]) -> np.ndarray:
    return np.array([one.way.kind != "enlarged" or not one.graphic for one in found])


def lines(found: Sequence[Sample], scores: np.ndarray) -> Iterator[str]:
    """Shares that reach the threshold, by how the pictures were made."""
    over = scores >= THRESHOLDS["upscaled"].limit
    ways = [one.way for one in found]
    graphic = np.array([one.graphic for one in found])
    groups, limit = {one.group for one in found}, THRESHOLDS["upscaled"].limit
    yield f"{len(found)} pictures of {len(groups)} photographs, limit {limit}"
    for folder in ("photos", "crawl"):
        as_is = [way.kind == "as is" and way.base == folder for way in ways]
        yield _share(f"false, {folder} as they are", over, as_is)
    for kind in ("clean", "shrunk", "defocused", "sharpened"):
        yield _share(f"false, {kind}, graphics left out", over, ~graphic & [way.kind == kind for way in ways])
    for factor in (1.25, 1.5, 1.75, 2.0, 3.0, 4.0):
        chosen = ~graphic & [way.kind == "enlarged" and way.factor == factor for way in ways]
        yield _share(f"found, {factor} times", over, chosen)
        for name in ("quality", "before", "filter", "base") if factor in (1.5, 2.0) else ():
            values = np.array([str(getattr(way, name)) for way in ways])
            yield from (
                _share(f"    {name} {each}", over, chosen & (values == each)) for each in np.unique(values[chosen])
            )


def _share(name: str, over: np.ndarray, chosen: np.ndarray | Sequence[bool]) -> str:
    picked = np.asarray(chosen, dtype=bool)
    return f"{name}: {over[picked].mean():.3f} of {picked.sum()}"


def cost(data: Path) -> str:
    """CPU time of the measure, per photograph."""
    times = []
    for path in sorted((data / "photos").glob("[!c]*.jpg"))[:10]:
        tiles = decode_photograph(path.read_bytes(), 1080).tiles
        start = time.process_time()
        upscaling_score(tiles)
        times.append(time.process_time() - start)
    return f"CPU time per photograph: {1000 * np.median(times):.0f} ms"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--fit", type=Path, metavar="FILE", help="write the rule here, as bg20k/upscaling_weights.py")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    found = list(samples(options.data))
    print("\n".join([*lines(found, judged(found)), cost(options.data)]))  # noqa: T201
    if options.fit:
        weights, bias = fitted(found)
        rows = "\n".join(f"    {weight:.5g}," for weight in weights)
        options.fit.write_text(_HEADER.format(bias=f"{bias:.5g}", rows=rows), encoding="utf-8")


if __name__ == "__main__":
    main()
