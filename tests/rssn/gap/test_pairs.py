from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from rssn.gap.pairs import PairCounts, Scored, count_pairs, draw_groups, estimate

metrics = pytest.importorskip("sklearn.metrics")


def scored(seed: int = 0, groups: int = 7, folds: int = 1) -> Scored:
    dice = np.random.default_rng(seed)
    number = np.arange(90) % groups
    positive = dice.random(90) < 0.4
    scores = np.round(dice.normal(size=90) + positive, 1)  # with ties
    return Scored(scores, positive, number, number % folds)


def test_within_one_fold_it_is_the_area_as_it_is_known() -> None:
    one = scored()
    found = count_pairs([one], 7)
    assert found.area == pytest.approx(metrics.roc_auc_score(one.positive, one.scores), abs=1e-12)
    assert found.all.sum() == one.positive.sum() * (~one.positive).sum()


def test_pairs_of_two_folds_do_not_count() -> None:
    one = scored(folds=3)
    areas = [metrics.roc_auc_score(one.positive[f], one.scores[f]) for f in (one.folds == k for k in range(3))]
    sizes = [one.positive[f].sum() * (~one.positive[f]).sum() for f in (one.folds == k for k in range(3))]
    offset = Scored(one.scores + 100 * one.folds, one.positive, one.groups, one.folds)
    expected = np.average(areas, weights=sizes)
    assert count_pairs([one], 7).area == pytest.approx(expected, abs=1e-12)
    assert count_pairs([offset], 7).area == pytest.approx(expected, abs=1e-12)


def test_a_group_drawn_twice_is_two_groups_that_are_not_compared() -> None:
    one = scored()
    weights = np.array([[2.0, 0, 1, 1, 0, 3, 1]])
    right = every = 0.0
    copies = [group for group, count in enumerate(weights[0].astype(int)) for _ in range(count)]
    for here, first in enumerate(copies):
        for there, second in enumerate(copies):
            if first != second or here == there:
                above = one.scores[one.positive & (one.groups == first)][:, None]
                below = one.scores[~one.positive & (one.groups == second)][None]
                right += (above > below).sum() + (above == below).sum() / 2
                every += above.size * below.size
    assert count_pairs([one], 7).resampled(weights)[0] == pytest.approx(right / every, abs=1e-12)


def test_drawing_every_group_once_gives_the_area() -> None:
    found = count_pairs([scored()], 7)
    assert found.resampled(np.ones((1, 7)))[0] == pytest.approx(found.area, abs=1e-12)


def test_no_pairs_are_no_area() -> None:
    nothing = PairCounts(np.zeros((2, 2)), np.zeros((2, 2)))
    assert np.isnan(nothing.area)
    assert np.isnan(nothing.resampled(np.ones((1, 2)))).all()


def test_draws_are_as_many_as_groups_and_follow_the_seed() -> None:
    drawn = draw_groups(13, 5)
    assert (drawn.sum(1) == 13).all()
    assert np.array_equal(drawn, draw_groups(13, 5))
    assert not np.array_equal(drawn, draw_groups(13, 6))


def test_the_interval_holds_the_true_area_nineteen_times_in_twenty() -> None:
    """Scores lie 1 apart; what a foreground adds to all of its own counts between foregrounds alone."""
    groups, positive = np.repeat(np.arange(30), 6), np.tile([True] * 3 + [False] * 3, 30)
    truth = norm.cdf(1 / np.sqrt(2)) / 6 + norm.cdf(1 / np.sqrt(2.5)) * 5 / 6  # 6 foregrounds a fold
    held = 0
    for seed in range(200):
        dice = np.random.default_rng(seed)
        scores = dice.normal(size=180) + positive + 0.5 * dice.normal(size=30)[groups]
        found = count_pairs([Scored(scores, positive, groups, groups % 5)], 30)
        interval = estimate(found.area, found.resampled(draw_groups(30, seed, 300)))
        held += interval.low <= truth <= interval.high
    assert 0.9 <= held / 200 <= 0.985
