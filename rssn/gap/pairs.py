"""The area under the ROC curve from pairs of the same fold, and its bootstrap over groups.

Scores of different folds come from different models, whose offsets lean against what their fold holds. Pairs within a
fold are scored by one model that has seen neither, and so are right half the time where there is nothing to find.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rssn.gap.pictures import Floats

DRAWS = 1000
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
        groups: S, numbers from 0.
        folds: S.
    """

    scores: Floats
    positive: npt.NDArray[np.bool_]
    groups: npt.NDArray[np.int64]
    folds: npt.NDArray[np.int64]


@dataclass(frozen=True)
class PairCounts:
    """Pairs of a positive and a negative item of one fold, by their groups.

    Attributes:
        right: G x G, pairs of which the positive item (row) has the higher score; equal scores count half.
        all: G x G, all such pairs.
    """

    right: Floats
    all: Floats

    @property
    def area(self) -> float:
        """The share of pairs that are right; NaN where there are none."""
        total = self.all.sum()
        return float(self.right.sum() / total) if total else float("nan")

    def resampled(self, weights: Floats) -> Floats:
        """The area where groups occur several times or not at all.

        Args:
            weights: D x G, how often. Each copy of a group is compared with itself and with other groups, not with
                other copies of it: they would be pairs within a group that stand for pairs of two.

        Returns:
            D.
        """
        right, every = (
            np.einsum("dg,gh,dh->d", weights, counts, weights, optimize=True)
            - (weights * (weights - 1)) @ np.diagonal(counts)
            for counts in (self.right, self.all)
        )
        return np.asarray(np.divide(right, every, out=np.full_like(right, np.nan), where=every > 0))


def count_pairs(scored: Sequence[Scored], groups: int) -> PairCounts:
    """Pairs by group, summed over several ways to deal folds."""
    right, every = np.zeros((2, groups, groups))
    for one in scored:
        for fold in np.unique(one.folds):
            inside = one.folds == fold
            _count_fold(
                one, np.flatnonzero(inside & one.positive), np.flatnonzero(inside & ~one.positive), right, every
            )
    return PairCounts(right, every)


def _count_fold(
    one: Scored, above: npt.NDArray[np.int64], below: npt.NDArray[np.int64], right: Floats, every: Floats
) -> None:
    if not above.size or not below.size:
        return
    below = below[np.argsort(one.scores[below], kind="stable")]
    columns, place = np.unique(one.groups[below], return_inverse=True)
    of_group = np.zeros((len(below) + 1, len(columns)))
    of_group[np.arange(1, len(below) + 1), place] = 1
    lower = np.cumsum(of_group, axis=0)  # how many of each group are among the n lowest
    sorted_scores = one.scores[below]
    for row in np.unique(one.groups[above]):
        scores = one.scores[above[one.groups[above] == row]]
        less, same = (np.searchsorted(sorted_scores, scores, side) for side in ("left", "right"))
        right[row, columns] += (lower[less].sum(0) + lower[same].sum(0)) / 2
        every[row, columns] += len(scores) * lower[-1]


def draw_groups(groups: int, seed: int, draws: int = DRAWS) -> Floats:
    """D x G: how often each group is drawn, of as many draws with replacement as there are groups."""
    dice = np.random.default_rng([seed, groups])
    return dice.multinomial(groups, np.full(groups, 1 / groups), size=draws).astype(np.float64)


def estimate(value: float, drawn: Floats) -> Estimate:
    """A value with the middle 95 % of what was drawn."""
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))
