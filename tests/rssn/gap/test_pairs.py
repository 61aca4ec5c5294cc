from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from rssn.gap.pairs import Estimate, Jackknifed, Scored, area

metrics = pytest.importorskip("sklearn.metrics")


def scored(seed: int = 0, folds: int = 1) -> Scored:
    dice = np.random.default_rng(seed)
    positive = dice.random(90) < 0.4
    scores = np.round(dice.normal(size=90) + positive, 1)  # with ties
    return Scored(scores, positive, np.arange(90) % folds)


def test_within_one_fold_it_is_the_area_as_it_is_known() -> None:
    one = scored()
    assert area([one]) == pytest.approx(metrics.roc_auc_score(one.positive, one.scores), abs=1e-12)


def test_pairs_of_two_folds_do_not_count() -> None:
    one = scored(folds=3)
    areas = [metrics.roc_auc_score(one.positive[f], one.scores[f]) for f in (one.folds == k for k in range(3))]
    sizes = [one.positive[f].sum() * (~one.positive[f]).sum() for f in (one.folds == k for k in range(3))]
    offset = Scored(one.scores + 100 * one.folds, one.positive, one.folds)
    expected = np.average(areas, weights=sizes)
    assert area([one]) == pytest.approx(expected, abs=1e-12)
    assert area([offset]) == pytest.approx(expected, abs=1e-12)


def test_several_deals_are_one_sum_of_pairs_and_no_pairs_are_no_area() -> None:
    first, second = scored(), scored(1, folds=2)
    pairs = [
        sum(int(a.sum() * (~a).sum()) for a in (one.positive[one.folds == f] for f in range(2)))
        for one in (first, second)
    ]
    expected = np.average([area([first]), area([second])], weights=pairs)
    assert area([first, second]) == pytest.approx(expected, abs=1e-12)
    assert np.isnan(area([Scored(first.scores, first.positive, np.arange(90))]))


def test_of_a_mean_it_is_the_interval_of_students_test() -> None:
    values = np.random.default_rng(0).normal(0.4, 0.1, 12)
    without = np.array([np.delete(values, each).mean() for each in range(12)])
    found = Jackknifed(float(values.mean()), without).estimate()
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.value, found.low, found.high) == pytest.approx(
        (values.mean(), expected.low, expected.high), abs=1e-12
    )


def test_an_interval_stays_inside_of_what_can_be() -> None:
    found = Jackknifed(0.95, np.array([0.9, 0.99, 0.8, np.nan]))
    inside, free = found.estimate(), found.estimate(-9, 9)
    assert (inside.low, inside.high) == (free.low, 1)
    assert free.high > 1
    assert Jackknifed(0.5, np.full(3, np.nan)).estimate() == Estimate(0.5, 0, 1), "nothing is known"


def test_the_difference_of_two_figures_is_block_by_block() -> None:
    one, other = np.array([0.6, 0.7, 0.8]), np.array([0.5, 0.6, 0.7])
    found = Jackknifed(0.7, one).less(Jackknifed(0.6, other)).estimate(-1, 1)
    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1)), "both vary, the difference does not"
