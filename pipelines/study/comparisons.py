"""Whether two rows of a study differ: over the photographs that they were evaluated on, and over the seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan, nan

import numpy as np
import numpy.typing as npt
import scipy  # its parts are loaded when they are used

from pipelines.study.results import Line

LEVEL = 0.05
"""Below it a difference is called significant; after Holm's correction."""


@dataclass(frozen=True)
class Comparison:
    """Two rows with the same variant of a network, or each with its own.

    A row is better if that holds for photographs that were not drawn (over the images) and for trainings that were not
    made (over the seeds): its p is the larger one of the two, which is a test of both at once (intersection and union).

    Attributes:
        first, second: The rows.
        variant: See `pipelines.study.schema.Network`; of networks without a common one, both.
        difference: Mean SAD of the second less that of the first.
        median: Of the images' differences.
        smaller: Images on which the second has the smaller SAD.
        images: All of them.
        ranks: Sum of Wilcoxon's signed ranks; below 0 where the second tends to the smaller SAD.
        p_images: Of Wilcoxon's signed-rank test, each image by its mean over the seeds; NaN where none differs.
        p_seeds: Of Welch's t-test, each seed by its mean over the images; NaN where a row has one seed. Both two-sided.
        least: The smallest p over the images that so many differences and comparisons allow.
        corrected: The larger p after Holm's correction for all comparisons of the study.
    """

    first: str
    second: str
    variant: str
    difference: float
    median: float
    smaller: int
    images: int
    ranks: float
    p_images: float
    p_seeds: float
    least: float
    corrected: float = 1.0

    @property
    def p(self) -> float:
        """Of both at once; 1 where one of them is not known."""
        return max(1.0 if isnan(p) else p for p in (self.p_images, self.p_seeds))

    @property
    def verdict(self) -> str:
        """What may be claimed."""
        if self.corrected < LEVEL:
            if self.difference * self.ranks <= 0:
                return "no claim: the mean says one thing, most photographs another"
            return f"{self.second if self.ranks < 0 else self.first} is better"
        if isnan(self.p_seeds):
            return "no claim: one seed tells networks apart, not what they were trained on"
        if self.least >= LEVEL:
            return f"no claim: {self.images} images cannot give a p below {self.least:.2g}"
        return "no significant difference"


def compare(lines: Sequence[Line], pairs: Sequence[tuple[str, str]]) -> list[Comparison]:
    """Test pairs of rows against each other, for each variant that both have; where they have none, the first ones."""
    found = [_compared(*each) for each in _chosen(lines, pairs)]
    corrected = holm([each.p for each in found])
    return [
        replace(each, corrected=value, least=min(1.0, each.least * len(found)))
        for each, value in zip(found, corrected, strict=True)
    ]


def _chosen(lines: Sequence[Line], pairs: Sequence[tuple[str, str]]) -> list[tuple[Line, Line]]:
    """What is compared, variant by variant; at the end rows that have none in common."""
    by_row: dict[str, dict[str, Line]] = {}
    for line in lines:
        by_row.setdefault(line.row, {})[line.variant] = line
    both = [(by_row[first], by_row[second]) for first, second in pairs if first in by_row and second in by_row]
    variants = dict.fromkeys(line.variant for line in lines)
    alike = [(one[each], other[each]) for each in variants for one, other in both if each in one and each in other]
    apart = [(one, other) for one, other in both if not one.keys() & other.keys()]
    return alike + [(next(iter(one.values())), next(iter(other.values()))) for one, other in apart]


def holm(values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the i-th smallest of n values, from 0, times n - i; rising, at most 1."""
    order = np.argsort(values, kind="stable")
    scaled = np.asarray(values)[order] * (len(values) - np.arange(len(values)))
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(value) for value in corrected]


def _compared(first: Line, second: Line) -> Comparison:
    before, after = first.by_image, second.by_image
    changes: npt.NDArray[np.float64] = np.array([after[image] - before[image] for image in before])
    differing = changes[changes != 0]
    ranks = float((np.sign(differing) * scipy.stats.rankdata(np.abs(differing))).sum())
    return Comparison(
        first.row,
        second.row,
        ", ".join(dict.fromkeys((first.variant, second.variant))),
        difference=float(changes.mean()),
        median=float(np.median(changes)),
        smaller=int((changes < 0).sum()),
        images=len(changes),
        ranks=ranks,
        p_images=float(scipy.stats.wilcoxon(differing).pvalue) if differing.size else nan,
        p_seeds=_welch(list(first.by_seed.values()), list(second.by_seed.values())),
        least=2.0 ** (1 - differing.size),
    )


def _welch(first: Sequence[float], second: Sequence[float]) -> float:
    if min(len(first), len(second)) < 2:
        return nan
    facts = [float(f(each)) for each in (first, second) for f in (np.mean, _deviation)]
    with np.errstate(divide="ignore", invalid="ignore"):  # no spread at all: equal or not, nothing in between
        found = scipy.stats.ttest_ind_from_stats(*facts[:2], len(first), *facts[2:], len(second), equal_var=False)
    return 1.0 if facts[0] == facts[2] else float(found.pvalue)


def _deviation(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1))
