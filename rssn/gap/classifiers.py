"""The two classifiers of the meter, each scored on folds that it has not seen."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from rssn.errors import DependencyError
from rssn.gap.cues import LOW_LEVEL
from rssn.gap.folds import Deal, Flags
from rssn.gap.pairs import Scored
from rssn.gap.patches import Values
from rssn.gap.pictures import Floats, Pictures

_PENALTY = 0.05  # C of the logistic regression: some thirty features, often as few photographs
_NEWTON_STEPS, _CONVERGED = 25, 1e-6
_LEAST_SPREAD = 1e-9
_TREES = 60
_BINS = 255
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


def score_patches(pictures: Pictures, one: Deal, kept: Flags) -> Scored:
    """How much each patch of the sample looks like F, by trees that have seen neither it nor its F or B.

    Args:
        pictures: P of one set.
        one: Their folds.
        kept: P, which are there at all.

    Raises:
        DependencyError: If scikit-learn is not installed.
    """
    trees = require_scikit_learn()(
        max_iter=_TREES, max_leaf_nodes=_LEAVES, early_stopping=False, random_state=0, class_weight="balanced"
    )
    values = _ranked(pictures.patches[:, LOW_LEVEL])
    inside, whose = pictures.patch_in_foreground, pictures.patch_picture
    scores = np.zeros(len(values))
    for fold, seen in enumerate(one.seen):
        held, learned = (flags[whose] for flags in ((one.folds == fold) & kept, seen & kept))
        if held.any() and np.unique(inside[learned]).size == 2:
            scores[held] = trees.fit(values[learned], inside[learned]).decision_function(values[held])
    there = kept[whose]
    return Scored(scores[there], inside[there], one.folds[whose][there])


def _ranked(values: Values) -> npt.NDArray[np.uint8]:
    """Each column by its 255 quantile bins, which is all that these trees look at.

    scikit-learn would bin each time that it fits, by weighted quantiles, which takes longer than the trees.
    """
    edges = np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1], axis=0)
    bins = [np.searchsorted(*pair, "right") for pair in zip(edges.T, values.T, strict=True)]
    return np.stack(bins, axis=1).astype(np.uint8)


def score_pictures(values: Floats, composed: Flags, one: Deal, kept: Flags) -> Scored:
    """How much each picture looks like a composite, by a model that has seen no picture of its F or B.

    Args:
        values: P x V, a vector for each picture.
        composed: P, which are composites.
        one: Their folds.
        kept: P, which are there at all.
    """
    model = fit_linear(values, composed, one.seen & kept)
    scores = model.score(values)[one.folds, np.arange(len(values))]
    return Scored(scores[kept], composed[kept], one.folds[kept])


@dataclass(frozen=True)
class Linear:
    """M linear models of vectors of V values.

    Attributes:
        weights: M x V.
        bias: M.
    """

    weights: Floats
    bias: Floats

    def score(self, values: Floats) -> Floats:
        """M x P, of P x V; above 0: more like a composite."""
        return np.asarray(self.weights @ values.T + self.bias[:, None])


def fit_linear(values: Floats, composed: Flags, seen: Flags) -> Linear:
    """Logistic regressions with a squared penalty of standardised vectors, both kinds of equal weight.

    By Newton's method, several models at once. scikit-learn's `LogisticRegression(C=0.05, class_weight="balanced")`
    gives the same and takes far longer for so few values; an interval and a permutation test fit thousands.

    Args:
        values: P x V.
        composed: P.
        seen: M x P: what each model learns from. One that sees no two kinds scores everything 0.
    """
    count = seen.sum(1, keepdims=True)
    kinds = (seen & composed).sum(1, keepdims=True), (seen & ~composed).sum(1, keepdims=True)
    learns = (kinds[0] > 0) & (kinds[1] > 0)
    share = seen * learns * count / 2 / np.maximum(np.where(composed, *kinds), 1)
    centre = values.mean(0)  # else squares of values far from 0 would cancel
    values = values - centre
    middle = seen @ values / np.maximum(count, 1)
    spread = np.sqrt(np.maximum(seen @ values**2 / np.maximum(count, 1) - middle**2, 0))
    spread = np.where(spread > _LEAST_SPREAD * (1 + np.abs(centre)), spread, np.inf)
    columns = np.ones((*seen.shape, values.shape[1] + 1))
    columns[..., :-1] = (values - middle[:, None]) / spread[:, None]
    penalty = np.append(np.full(values.shape[1], 1 / _PENALTY), _LEAST_SPREAD)
    found = np.zeros((len(seen), columns.shape[2]))
    for _ in range(_NEWTON_STEPS):
        likely = expit((columns @ found[..., None])[..., 0])
        slope = ((share * (likely - composed))[:, None] @ columns)[:, 0] + penalty * found
        bend = (columns * (share * likely * (1 - likely))[..., None]).swapaxes(1, 2) @ columns + np.diag(penalty)
        step = np.linalg.solve(bend, slope[..., None])[..., 0]
        found -= step
        if np.abs(step).max() < _CONVERGED:
            break
    weights = found[:, :-1] / spread
    return Linear(weights, found[:, -1] - (weights * (middle + centre)).sum(1))
