from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest

from rssn.errors import DependencyError
from rssn.gap.classifiers import fit_linear, one_thread, require_scikit_learn, score_pictures
from rssn.gap.pairs import Scored, count_pairs

linear_model = pytest.importorskip("sklearn.linear_model")


@pytest.mark.parametrize(("rows", "share"), [(40, 0.8), (300, 0.5), (25, 0.9)])
def test_the_linear_model_is_that_of_scikit_learn(rows: int, share: float) -> None:
    dice = np.random.default_rng(rows)
    values = dice.normal(3, 5, (rows, 30)) * np.arange(1, 31)
    composed = np.arange(rows) < share * rows
    values[composed] += dice.normal(0, 4, 30)
    ours = fit_linear(values, composed)
    theirs = linear_model.LogisticRegression(C=0.05, class_weight="balanced", tol=1e-10, max_iter=1000)
    standard = (values - values.mean(0)) / values.std(0)
    expected = theirs.fit(standard, composed).decision_function(standard)
    assert np.allclose(ours.score(values), expected, atol=1e-4)


def test_a_value_that_is_always_the_same_says_nothing() -> None:
    values = np.column_stack([np.arange(20.0), np.full(20, 7.0)])
    assert fit_linear(values, np.arange(20) < 10).weights[1] == 0


def area(groups: list[str], truth: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> float:
    scores, folds = score_pictures(values, groups, truth, 0)
    return count_pairs([Scored(scores, truth, np.zeros(len(groups), np.int64), folds)], 1).area


def test_a_leak_would_show() -> None:
    """Ten pictures of each foreground are alike, and which are composites is chosen by lot: there is nothing to learn.

    Where the pictures of a foreground are in several folds, a model knows each of them by its twins.
    """
    leaking, tight = [], []
    for seed in range(20):
        dice = np.random.default_rng(seed)
        truth = dice.permutation(30) < 15
        values = dice.normal(size=(30, 40)).repeat(10, axis=0) + 0.01 * dice.normal(size=(300, 40))
        groups = [f"g{number}" for number in range(30) for _ in range(10)]
        tight.append(area(groups, truth.repeat(10), values))
        leaking.append(area([f"{group}/{n}" for n, group in enumerate(groups)], truth.repeat(10), values))
    assert np.mean(leaking) > 0.95
    assert abs(np.mean(tight) - 0.5) < 0.07


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def without(name: str, *arguments: Any) -> Any:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return found(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DependencyError, match=r"pip install 'rssn\[gap\]'"):
        require_scikit_learn()


def test_one_thread_works() -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")
    with one_thread():
        assert {pool["num_threads"] for pool in threadpoolctl.threadpool_info()} == {1}
