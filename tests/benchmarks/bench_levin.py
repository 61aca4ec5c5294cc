"""The closed form for F and B: pymatting at its defaults against ours, on every photograph of a data set.

`python -m tests.benchmarks.bench_levin DATA... --shrink 1,2,3` prints how far both are from the converged solution.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pymatting

from rssn.image.arrays import Alpha, Image
from rssn.image.decoding import decode_image
from rssn.route.foreground import REGULARIZATION, estimate_layers, warm_up
from rssn.sources.layouts import find_pairs
from rssn.sources.mattes import read_matte
from tests.benchmarks.inputs import Pair
from tests.benchmarks.table import Cost, Job, Row, measured

DEFAULT, CONVERGED = 1e-5, 1e-8
"""The relative tolerance of pymatting's solver, and the one that gives F* and B*."""


def load(pair: Pair) -> tuple[Image, Alpha]:
    """Photograph and matte."""
    photo, matte = pair
    return decode_image(photo.read_bytes()), read_matte(matte.read_bytes()).alpha


def prepare(native: bool, pair: Pair) -> Job:
    """Estimate both layers, by us or by pymatting as it comes."""
    image, alpha = load(pair)
    if native:
        warm_up("levin")
        return Job(lambda: estimate_layers(image, alpha))
    return Job(lambda: by_pymatting(image, alpha, DEFAULT))


def by_pymatting(image: Image, alpha: Alpha, tolerance: float) -> tuple[Image, Image]:
    """F and B in [0, 1] by pymatting."""
    settings = {"regularization": REGULARIZATION, "rtol": tolerance, "return_background": True}
    found = pymatting.estimate_foreground_cf(image.astype(np.float64), alpha.astype(np.float64), **settings)
    return tuple(np.clip(layer, 0.0, 1.0).astype(np.float32) for layer in found)  # type: ignore[return-value]


def costs(pairs: Sequence[Pair]) -> list[tuple[Cost, Cost]]:
    """Pymatting's cost and ours for each photograph."""
    return [(measured(prepare, False, p), measured(prepare, True, p, repeats=3)) for p in pairs]


def row(pairs: Sequence[Pair], found: Sequence[tuple[Cost, Cost]], *, exact: bool) -> Row:
    """The medians over the photographs, and how far both are from F*, B*: three at a third of the size, or all."""
    theirs, ours = (_median([pair[which] for pair in found]) for which in (0, 1))
    ratio = statistics.median(reference.seconds / own.seconds for reference, own in found)
    work = f"closed form, median of {len(pairs)} photographs"
    judged = [distances(pair, 1 if exact else 3) for pair in (pairs if exact else pairs[:3])]
    worst = [max(each) for each in zip(*judged, strict=True)]
    words = "F {:.2f}, B {:.2f}/255 from the converged; theirs {:.2f}, {:.2f}".format(*worst)
    return Row(work, theirs, ours, ratio, words if exact else f"{words}, at a third of the size")


class Distances(NamedTuple):
    """The worst of |alpha (F - F*)| and |(1 - alpha)(B - B*)| over a photograph, times 255.

    In F* and B*, and in pymatting's layers, the photograph stands where alpha says what they are: in F at 1, in B at 0,
    as in ours. The energy smooths them there across edges of alpha: `known` says how far from the photograph.
    """

    foreground: float
    background: float
    their_foreground: float
    their_background: float
    known_foreground: float
    known_background: float


def distances(pair: Pair, shrink: int = 1) -> Distances:
    """How far both are from the converged solution, on a photograph so many times smaller."""
    image, alpha = load(pair)
    size = (alpha.shape[1] // shrink, alpha.shape[0] // shrink)
    image, alpha = (np.clip(cv2.resize(each, size, interpolation=cv2.INTER_AREA), 0, 1) for each in (image, alpha))
    goal = by_pymatting(image, alpha, CONVERGED)
    weights = alpha[:, :, None], 1 - alpha[:, :, None]

    def known(layers: Sequence[Image]) -> list[Image]:
        return [np.where(weight == 1, image, layer) for weight, layer in zip(weights, layers, strict=True)]

    ends = known(goal)
    judged = [*estimate_layers(image, alpha)[:2], *known(by_pymatting(image, alpha, DEFAULT)), *goal]
    return Distances(
        *(255 * float(np.abs(weights[n % 2] * (each - ends[n % 2])).max()) for n, each in enumerate(judged))
    )


_HEAD = """In 1/255, the worst pixel, F weighted by alpha and B by 1 - alpha.
F* and B* minimise the energy; what a solver is "off" them is its error. "Stored" is no error: where alpha is 1, F is
stored as the photograph itself, and so is B where alpha is 0; the last columns say how far F* and B* are from it there.

| photograph | a side of it | our F off F* | our B off B* | pymatting's F off F* | B off B* | F stored | B stored |
| --- | --- | --- | --- | --- | --- | --- | --- |"""


def _median(found: Sequence[Cost]) -> Cost:
    middle = statistics.median
    return Cost(middle(cost.seconds for cost in found), int(middle(cost.peak or 0 for cost in found)))


def main() -> None:
    """Print a line for each photograph and size, as it is solved."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path, help="matting data sets with photographs")
    parser.add_argument("--shrink", default="3", help="how many times smaller, several by commas")
    options = parser.parse_args()
    print(_HEAD)  # noqa: T201
    for shrink in map(int, options.shrink.split(",")):
        worst: list[Distances] = []
        for pair in (pair for data in options.data for pair in find_pairs(data).pairs if pair.image is not None):
            worst.append(distances((Path(pair.image.path), Path(pair.alpha.path)), shrink))
            print(_line(Path(pair.image.path).name, shrink, worst[-1]), flush=True)  # noqa: T201
        print(_line("worst", shrink, [max(each) for each in zip(*worst, strict=True)]), flush=True)  # noqa: T201


def _line(name: str, shrink: int, figures: Sequence[float]) -> str:
    return f"| {name} | 1/{shrink} | " + " | ".join(f"{each:.2f}" for each in figures) + " |"


if __name__ == "__main__":
    main()
