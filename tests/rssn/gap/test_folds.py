from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from rssn.gap.folds import FOLDS, deal_folds

GROUPS = [f"g{number % 23}" for number in range(92)]
KINDS = np.arange(92) < 60  # g0 to g22 hold both


def test_a_group_is_in_one_fold() -> None:
    for deal in range(3):
        seen = defaultdict(set)
        for group, fold in zip(GROUPS, deal_folds(GROUPS, KINDS, deal), strict=True):
            seen[group].add(int(fold))
        assert all(len(folds) == 1 for folds in seen.values())
        assert len(set.union(*seen.values())) == FOLDS


def test_the_order_of_pictures_does_not_matter_and_another_deal_does() -> None:
    order = np.random.default_rng(0).permutation(92)
    folds = deal_folds(GROUPS, KINDS)
    assert np.array_equal(deal_folds([GROUPS[n] for n in order], KINDS[order]), folds[order])
    assert not np.array_equal(deal_folds(GROUPS, KINDS, 1), folds)


def test_every_fold_has_its_share_of_each_kind() -> None:
    groups = [f"c{n}" for n in range(11)] + [f"p{n}" for n in range(7)]
    kinds = np.arange(18) < 11
    for kind, least, most in ((True, 2, 3), (False, 1, 2)):
        counts = Counter(deal_folds(groups, kinds)[kinds == kind].tolist())
        assert sorted(counts) == list(range(FOLDS))
        assert least <= min(counts.values()) <= max(counts.values()) <= most
