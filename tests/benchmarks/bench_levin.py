"""The closed form for F and B: pymatting at its defaults against ours, on every photograph of a data set."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
import pymatting

from rssn.image.arrays import Alpha, Image
from rssn.image.decoding import decode_image
from rssn.route.foreground import REGULARIZATION, estimate_layers, warm_up
from rssn.sources.mattes import read_matte
from tests.benchmarks.inputs import Pair
from tests.benchmarks.table import Cost, Job, Row, measured

DEFAULT, CONVERGED = 1e-5, 1e-8
"""The relative tolerance of pymatting's solver, and the one that gives F* and B*."""


def load(pair: Pair) -> tuple[Image, Alpha]:
    """Photograph and matte."""
    photo, matte = pair
    return decode_image(photo.read_bytes()), read_matte(matte.read_bytes()).alpha


def prepare(tolerance: float | None, pair: Pair) -> Job:
    """Estimate both layers, by pymatting at a tolerance or (None) by us; keeps them."""
    image, alpha = load(pair)
    if tolerance is None:
        warm_up("levin")
        return Job(lambda: estimate_layers(image, alpha)[:2], lambda layers: layers)
    settings = {"regularization": REGULARIZATION, "rtol": tolerance, "return_background": True}
    arrays = image.astype(np.float64), alpha.astype(np.float64)
    return Job(lambda: pymatting.estimate_foreground_cf(*arrays, **settings), _as_float32)


def costs(pairs: Sequence[Pair]) -> list[tuple[Cost, Cost]]:
    """Pymatting's cost and ours for each photograph."""
    return [(measured(prepare, DEFAULT, p), measured(prepare, None, p, repeats=3)) for p in pairs]


def row(pairs: Sequence[Pair], found: Sequence[tuple[Cost, Cost]], *, exact: bool) -> Row:
    """The medians over the photographs; `exact` solves each once more, to the end, and compares."""
    theirs, ours = (_median([pair[which] for pair in found]) for which in (0, 1))
    ratio = statistics.median(reference.seconds / own.seconds for reference, own in found)
    work = f"closed form, median of {len(pairs)} photographs"
    quality = _distances(pairs, found) if exact else ""
    return Row(work, theirs, ours, ratio, quality)


def _distances(pairs: Sequence[Pair], found: Sequence[tuple[Cost, Cost]]) -> str:
    """The worst of |alpha (F - F*)| and |(1 - alpha)(B - B*)| over all photographs, of ours and of pymatting's."""
    worst = [0.0, 0.0]
    for pair, results in zip(pairs, found, strict=True):
        alpha = load(pair)[1][:, :, None]
        goal = measured(prepare, CONVERGED, pair).kept
        for which, result in enumerate(results):
            for weight, layer, end in zip((alpha, 1 - alpha), result.kept, goal, strict=True):
                worst[which] = max(worst[which], 255 * float(np.abs(weight * (layer - end)).max()))
    return f"at most {worst[1]:.2f}/255 from F*, B*; theirs {worst[0]:.1f}"


def _as_float32(layers: tuple[np.ndarray, np.ndarray]) -> tuple[Image, ...]:
    return tuple(np.clip(layer, 0.0, 1.0).astype(np.float32) for layer in layers)


def _median(found: Sequence[Cost]) -> Cost:
    middle = statistics.median
    return Cost(middle(cost.seconds for cost in found), int(middle(cost.peak or 0 for cost in found)))
