"""Whether two rows of a study differ; the test is that of `pipelines.study.crossed`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan
from typing import Any

import numpy as np

from pipelines.study.correlation import Measured
from pipelines.study.crossed import LEVEL, difference
from pipelines.study.parts import EvaluationSet
from pipelines.study.results import Line, summarise
from pipelines.study.schema import Study


@dataclass(frozen=True)
class Comparison:
    """Two rows with the same variant of a network, or each with its own.

    Attributes:
        first, second: The rows.
        variant: See `pipelines.study.parts.Network`; of networks without a common one, both.
        difference: Mean SAD of the second less that of the first; described, not tested.
        change: By what share the second's SAD is larger than the first's, by geometric means; -0.2 is a fifth smaller.
        interval: Of the change, of 95 %, not corrected for several comparisons; NaN where there is one training or
            photograph.
        smaller: Photographs on which the second has the smaller SAD, by the mean over the seeds.
        images: All of them.
        seeds: Trainings of the row that has fewer.
        p: Two-sided; NaN where the interval is.
        corrected: p after Holm's correction for all comparisons of the study; 1 where there is none.
    """

    first: str
    second: str
    variant: str
    difference: float
    change: float
    interval: tuple[float, float]
    smaller: int
    images: int
    seeds: int
    p: float
    corrected: float = 1.0

    @property
    def verdict(self) -> str:
        """What may be claimed."""
        if self.seeds < 2:
            return "no claim: one seed tells networks apart, not what they were trained on"
        if self.images < 2:
            return "no claim: one photograph tells nothing of others"
        if self.corrected < LEVEL:
            return f"{self.second if self.change < 0 else self.first} is better"
        return "no significant difference"


@dataclass(frozen=True)
class SetResult:
    """What was found on one set of photographs.

    Attributes:
        name: Of the set; empty where the study has one.
        about: What is known of it.
        tested: Whether this is the set of the study's one test; on others differences are described.
        lines: Of its table.
        comparisons: Of its rows.
        measured: The meter's figures by row; empty where it was not asked.
    """

    name: str
    about: EvaluationSet
    tested: bool
    lines: Sequence[Line]
    comparisons: Sequence[Comparison]
    measured: Mapping[str, Measured]


def by_set(study: Study, figures: Sequence[Mapping[str, Any]], measured: Mapping[str, Measured]) -> list[SetResult]:
    """The results of a study on each set of photographs, that of the test first."""
    found: list[SetResult] = []
    for name, one in study.evaluation.named.items():
        lines = summarise([each for each in figures if each["set"] == name])
        tested = not found and study.evaluation.tested is not None
        found.append(SetResult(name, one, tested, lines, compare(lines, study.pairs), measured))
    return found


def compare(lines: Sequence[Line], pairs: Sequence[tuple[str, str]]) -> list[Comparison]:
    """Test pairs of rows against each other, for each variant that both have; where they have none, the first ones."""
    found = [_compared(*each) for each in _chosen(lines, pairs)]
    corrected = holm([1.0 if isnan(each.p) else each.p for each in found])
    return [replace(each, corrected=value) for each, value in zip(found, corrected, strict=True)]


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
    found = difference(first.logarithms, second.logarithms)
    low, high = np.expm1(found.interval())
    changes = second.matrix.mean(1) - first.matrix.mean(1)
    return Comparison(
        first.row,
        second.row,
        ", ".join(dict.fromkeys((first.variant, second.variant))),
        difference=float(changes.mean()),
        change=float(np.expm1(found.mean)),
        interval=(float(low), float(high)),
        smaller=int((changes < 0).sum()),
        images=len(changes),
        seeds=min(len(first.sad), len(second.sad)),
        p=float(found.p),
    )
