from __future__ import annotations

import builtins
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rssn.errors import DependencyError
from rssn.gap.classifiers import fit_linear, one_thread, require_scikit_learn, score_patches, score_pictures
from rssn.gap.cues import CUES
from rssn.gap.folds import Deal
from rssn.gap.pairs import area
from rssn.gap.pictures import Measured, Named, Pictures

linear_model = pytest.importorskip("sklearn.linear_model")


@pytest.mark.parametrize(("rows", "share"), [(40, 0.8), (300, 0.5), (25, 0.9)])
def test_the_linear_model_is_that_of_scikit_learn(rows: int, share: float) -> None:
    dice = np.random.default_rng(rows)
    values = dice.normal(3, 5, (rows, 30)) * np.arange(1, 31)
    composed = np.arange(rows) < share * rows
    values[composed] += dice.normal(0, 4, 30)
    seen = np.ones((2, rows), np.bool_)
    seen[0] = dice.random(rows) < 0.7
    ours = fit_linear(values, composed, seen).score(values)
    theirs = linear_model.LogisticRegression(C=0.05, class_weight="balanced", tol=1e-10, max_iter=1000)
    for scores, used in zip(ours, seen, strict=True):
        standard = (values - values[used].mean(0)) / values[used].std(0)
        expected = theirs.fit(standard[used], composed[used]).decision_function(standard)
        assert np.allclose(scores, expected, atol=1e-4)


def test_a_value_that_is_always_the_same_says_nothing() -> None:
    values = np.column_stack([np.arange(20.0), np.full(20, 7.0)])
    assert fit_linear(values, np.arange(20) < 10, np.ones((1, 20), np.bool_)).weights[0, 1] == 0


def test_a_model_that_sees_one_kind_alone_knows_nothing() -> None:
    values, composed = np.arange(20.0)[:, None], np.arange(20) < 10
    assert (fit_linear(values, composed, np.array([composed, ~composed])).score(values) == 0).all()


def of_pictures(groups: list[str], truth: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> float:
    one = Deal.of(groups, truth, np.full(len(groups), -1), 0)
    return area([score_pictures(values, truth, one, np.ones(len(groups), np.bool_))])


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
        tight.append(of_pictures(groups, truth.repeat(10), values))
        leaking.append(of_pictures([f"{group}/{n}" for n, group in enumerate(groups)], truth.repeat(10), values))
    assert np.mean(leaking) > 0.95
    assert abs(np.mean(tight) - 0.5) < 0.07


def looked(seed: int, foregrounds: int, pool: int) -> Pictures:
    """Five composites of each foreground, whose patches are like each other; which side is F says nothing."""
    dice = np.random.default_rng(seed)
    sides = dice.normal(size=(2, max(foregrounds, pool), len(CUES)))

    def one(number: int, k: int, behind: int) -> Measured:
        patches = [sides[side][at] + 0.1 * dice.normal(size=(4, len(CUES))) for side, at in ((0, number), (1, behind))]
        named = Named(f"{number:02d}/{k}", f"{number:02d}", f"{behind:02d}")
        f, b = (each.astype(np.float32) for each in patches)
        return Measured(named, (99, 99), (4, 4), np.zeros((2, 2, len(CUES)), np.float32), (f, b))

    drawn = [(number, k, int(b)) for number in range(foregrounds) for k, b in enumerate(dice.permutation(pool)[:5])]
    return Pictures.of(one(*each) for each in drawn)


def strength(pictures: Pictures, groups: tuple[str, ...], backgrounds: tuple[str, ...]) -> float:
    numbers = np.unique(backgrounds, return_inverse=True)[1] if any(backgrounds) else np.full(len(backgrounds), -1)
    one = Deal.of(groups, [True] * len(groups), numbers, 0)
    return area([score_patches(pictures, one, np.ones(len(pictures), np.bool_))])


def test_a_leak_of_patches_would_show() -> None:
    """A foreground, or a background, in several folds is known again, and which side it is with it."""
    found = np.array([measure_leaks(looked(seed, 12, 30)) for seed in range(6)]).mean(0)
    tight, by_foreground, by_background = found
    assert abs(tight - 0.5) < 0.1
    assert by_foreground > tight + 0.2
    assert by_background > tight + 0.1


def measure_leaks(pictures: Pictures) -> tuple[float, float, float]:
    groups, backgrounds = pictures.groups, pictures.backgrounds
    nothing = ("",) * len(pictures)
    return (
        strength(pictures, groups, backgrounds),
        strength(pictures, pictures.names, backgrounds),
        strength(pictures, groups, nothing),
    )


def test_only_the_order_of_values_counts_for_trees() -> None:
    pictures = looked(0, 6, 30)
    one = Deal.of(pictures.groups, [True] * len(pictures), np.full(len(pictures), -1), 0)
    bent = replace(pictures, patches=np.exp(pictures.patches))
    everything = np.ones(len(pictures), np.bool_)
    assert np.array_equal(*(score_patches(each, one, everything).scores for each in (pictures, bent)))


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
