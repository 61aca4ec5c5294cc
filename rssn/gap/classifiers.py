"""The two classifiers of the meter, each scored on folds that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from rssn.errors import DependencyError
from rssn.gap.cues import LOW_LEVEL
from rssn.gap.folds import deal_folds
from rssn.gap.pairs import Scored
from rssn.gap.pictures import Floats, Pictures

DEALS = 5
"""Ways to deal folds that a distance is averaged over; few photographs are dealt very differently."""

_PENALTY = 0.05  # C of the logistic regression: some thirty features, often as few photographs
_NEWTON_STEPS, _CONVERGED = 25, 1e-6
_LEAST_SPREAD = 1e-9
_TREES = 60
_LEAVES = 16


def require_scikit_learn() -> Any:
    """Its gradient-boosted trees.

    Raises:
        DependencyError: If scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise DependencyError("rssn gap: scikit-learn is not installed: pip install 'rssn[gap]'") from error
    return HistGradientBoostingClassifier


def one_thread() -> AbstractContextManager[object]:
    """Work with one thread: these fits are so small that threads wait for each other, busily.

    Raises:
        DependencyError: If scikit-learn, which brings what is needed, is not installed.
    """
    require_scikit_learn()
    import threadpoolctl  # noqa: PLC0415  (an extra)

    limited: AbstractContextManager[object] = threadpoolctl.threadpool_limits(1)
    return limited


def score_patches(pictures: Pictures, numbers: npt.NDArray[np.int64]) -> Scored:
    """How much each patch of the sample looks like F, by trees that have seen neither it nor its foreground.

    Args:
        pictures: Of one set.
        numbers: The number of each picture's group.

    Raises:
        DependencyError: If scikit-learn is not installed.
    """
    trees = require_scikit_learn()(
        max_iter=_TREES, max_leaf_nodes=_LEAVES, early_stopping=False, random_state=0, class_weight="balanced"
    )
    values, inside = pictures.patches[:, LOW_LEVEL], pictures.patch_in_foreground
    folds = deal_folds(pictures.groups, [True] * len(pictures))[pictures.patch_picture]
    scores = np.zeros(len(values))
    for fold in np.unique(folds):
        held = folds == fold
        if not held.all():  # one foreground alone: nothing to learn from
            scores[held] = trees.fit(values[~held], inside[~held]).decision_function(values[held])
    return Scored(scores, inside, numbers[pictures.patch_picture], folds)


def score_pictures(
    values: Floats, groups: Sequence[str], composed: npt.NDArray[np.bool_], deal: int
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """How much each picture looks like a composite, by a model that has seen no picture of its foreground.

    Args:
        values: P x V, a vector for each picture.
        groups: P, the foreground of each.
        composed: P, which are composites.
        deal: The way to deal folds.

    Returns:
        P scores, and the P folds.
    """
    folds = deal_folds(groups, composed, deal)
    scores = np.zeros(len(values))
    for fold in np.unique(folds):
        held = folds == fold
        if np.unique(composed[~held]).size == 2:
            scores[held] = fit_linear(values[~held], composed[~held]).score(values[held])
    return scores, folds


@dataclass(frozen=True)
class Linear:
    """A linear model of vectors of V values.

    Attributes:
        weights: V.
        middle: V, which scores `bias`.
        bias: The middle's score.
    """

    weights: Floats
    middle: Floats
    bias: float

    def score(self, values: Floats) -> Floats:
        """Of P x V; above 0: more like a composite."""
        return np.asarray((values - self.middle) @ self.weights + self.bias)


def fit_linear(values: Floats, composed: npt.NDArray[np.bool_]) -> Linear:
    """Logistic regression with a squared penalty of standardised vectors, both kinds of equal weight.

    By Newton's method. scikit-learn's `LogisticRegression(C=0.05, class_weight="balanced")` gives the same and takes
    ten times as long for so few values; a permutation test fits thousands.
    """
    middle, spread = values.mean(0), values.std(0)
    spread = np.where(spread > _LEAST_SPREAD, spread, 1.0)
    columns = np.column_stack([(values - middle) / spread, np.ones(len(values))])
    share = np.where(composed, 0.5 / composed.mean(), 0.5 / (1 - composed.mean()))
    penalty = np.diag(np.append(np.full(values.shape[1], 1 / _PENALTY), 0.0))
    found = np.zeros(columns.shape[1])
    for _ in range(_NEWTON_STEPS):
        likely = expit(columns @ found)
        slope = columns.T @ (share * (likely - composed)) + penalty @ found
        bend = (columns.T * (share * likely * (1 - likely))) @ columns + penalty
        step = np.linalg.solve(bend, slope)
        found -= step
        if np.abs(step).max() < _CONVERGED:
            break
    return Linear(found[:-1] / spread, middle, float(found[-1]))
