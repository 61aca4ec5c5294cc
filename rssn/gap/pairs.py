"""The area under the ROC curve from pairs of the same fold, and its interval by a jackknife over foregrounds.

Scores of different folds come from different models, whose offsets lean against what their fold holds. Pairs within a
fold are scored by one model that has seen neither, and so are right half the time where there is nothing to find.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from rssn.gap.pictures import Floats

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Scored:
    """S scored items.

    Attributes:
        scores: S.
        positive: S, which should have the higher scores.
        folds: S.
    """

    scores: Floats
    positive: npt.NDArray[np.bool_]
    folds: npt.NDArray[np.int64]


def area(scored: Sequence[Scored]) -> float:
    """The share of pairs of a fold whose positive item has the higher score, over several ways to deal folds.

    Equal scores count half. NaN where there are no pairs.
    """
    right, every = 0.0, 0
    for one in scored:
        for fold in np.unique(one.folds):
            inside = one.folds == fold
            above, below = one.scores[inside & one.positive], np.sort(one.scores[inside & ~one.positive])
            right += sum(float(np.searchsorted(below, above, side).sum()) for side in ("left", "right")) / 2
            every += above.size * below.size
    return right / every if every else float("nan")


@dataclass(frozen=True)
class Jackknifed:
    """A figure, and what it is without each block of foregrounds, all models fitted again.

    Models are part of the figure: with ten or twenty foregrounds their fit varies as much as what they are tested on,
    and a bootstrap of scores that are fixed leaves it out.

    Attributes:
        value: Of everything.
        without: J.
    """

    value: float
    without: Floats

    def less(self, other: Jackknifed) -> Jackknifed:
        """The difference of two figures of the same blocks."""
        return Jackknifed(self.value - other.value, self.without - other.without)

    def estimate(self, low: float = 0, high: float = 1) -> Estimate:
        """The figure with its 95 % interval: Student's, with the jackknife's standard error, inside of what can be.

        Source: Kott, "The delete-a-group jackknife", Journal of Official Statistics 17 (2001).
        """
        found = self.without[np.isfinite(self.without)]
        if found.size < 2:
            return Estimate(self.value, low, high)
        error = np.sqrt((found.size - 1) * found.var())
        reach = float(student.ppf((1 + LEVEL) / 2, found.size - 1) * error)
        return Estimate(self.value, max(low, self.value - reach), min(high, self.value + reach))
