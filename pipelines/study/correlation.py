"""The gap meter's figures beside what networks do: does it order a study's rows as their SAD does?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import scipy  # its parts are loaded when they are used

from pipelines.study.crossed import LEVEL, Floats
from pipelines.study.meter import MEASURED
from pipelines.study.results import Line
from pipelines.study.steps import Plan
from rssn.gap.pairs import Estimate
from rssn.storage.files import read_json
from rssn.storage.location import Location

_LEAST = 3  # rows of a correlation
_DRAWN = 100_000  # permutations; all of them where there are no more: of up to 8 rows


@dataclass(frozen=True)
class Measured:
    """The meter's figures of one row.

    Attributes:
        strength: Cue strength of the composites.
        target: That of the photographs.
        distance: How well composites are told from photographs.
    """

    strength: Estimate
    target: Estimate
    distance: Estimate


def read_measured(plan: Plan, root: Location) -> dict[str, Measured]:
    """The figures of every row that was measured, as `rssn gap` wrote them."""
    return {row: _measured(step.out(root) / "gap.json") for row, step in plan.meters.items()}


def _measured(path: Location) -> Measured:
    found = read_json(path, "remove its folder and run the same command again")
    ours = found["sets"][MEASURED]
    return Measured(
        _estimate(ours["cue_strength"]), _estimate(found["photographs"]["cue_strength"]), _estimate(ours["distance"])
    )


def _estimate(facts: Mapping[str, Any]) -> Estimate:
    return Estimate(facts["value"], facts["low"], facts["high"])


@dataclass(frozen=True)
class Correlation:
    """Whether rows that the meter calls farther from photographs have the larger SAD.

    Attributes:
        variant: Of the network.
        figure: Of the meter.
        rows: How many.
        rho: Spearman's, of the figure and the geometric mean of SAD.
        p: Two-sided, by all permutations of the rows up to 8 of them, else by 100,000.
    """

    variant: str
    figure: str
    rows: int
    rho: float
    p: float

    def words(self, *, with_p: bool) -> str:
        """In a sentence; of a set that is tested with p, and with what so many rows can show."""
        found = f"SAD and {self.figure}, {self.rows} rows of {self.variant}: rho {self.rho:+.2f}"
        if not with_p:
            return found
        least = needed(self.rows)
        can = f"|rho| must be {least:.3f} or more for" if least else "no rho gives"
        return f"{found}, p {self.p:.2g}; of {self.rows} rows {can} a p below {LEVEL}"


def correlations(lines: Sequence[Line], measured: Mapping[str, Measured]) -> Iterator[Correlation]:
    """Of each variant with three rows or more: of distance, and of how far cue strength is from the photographs'."""
    by_variant: dict[str, list[Line]] = {}
    for line in lines:
        if line.row in measured:
            by_variant.setdefault(line.variant, []).append(line)
    for variant, some in by_variant.items():
        if len(some) < _LEAST:
            continue
        sad = np.array([line.logarithms.mean() for line in some])
        rows = [measured[line.row] for line in some]
        figures = {
            "distance": [one.distance.value for one in rows],
            "distance of cue strength from its target": [abs(one.strength.value - one.target.value) for one in rows],
        }
        for name, values in figures.items():
            yield Correlation(variant, name, len(some), *spearman(np.array(values), sad))


def spearman(values: Floats, others: Floats) -> tuple[float, float]:
    """Spearman's rank correlation and its p by permutations; 0 and 1 where one of them does not vary."""
    ranks, theirs = scipy.stats.rankdata(values), scipy.stats.rankdata(others)
    if np.ptp(ranks) == 0 or np.ptp(theirs) == 0:
        return 0.0, 1.0
    found = _permuted(ranks, theirs)
    return float(found.statistic), float(found.pvalue)


def _permuted(ranks: Floats, theirs: Floats) -> Any:
    centred = theirs - theirs.mean()
    scale = np.sqrt((centred**2).sum() * ((ranks - ranks.mean()) ** 2).sum())
    return scipy.stats.permutation_test(
        (ranks,),
        lambda shuffled, axis: (shuffled * centred).sum(axis) / scale,
        permutation_type="pairings",
        vectorized=True,
        n_resamples=_DRAWN,
        rng=np.random.default_rng(0),
    )


@cache
def needed(rows: int) -> float | None:
    """The smallest |rho| of so many rows, none alike, of which p is below the level; None where there is none."""
    ranks = np.arange(1.0, rows + 1)
    sizes = np.abs(_permuted(ranks, ranks).null_distribution).round(9)
    possible = [size for size in np.unique(sizes) if np.mean(sizes >= size) < LEVEL]
    return float(possible[0]) if possible else None
