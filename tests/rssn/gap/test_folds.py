from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from rssn.gap.folds import FOLDS, Deal, deal

GROUPS = [f"g{number % 23}" for number in range(92)]
KINDS = np.arange(92) < 60  # g0 to g22 hold both


def test_a_group_is_in_one_fold() -> None:
    for number in range(3):
        seen = defaultdict(set)
        for group, fold in zip(GROUPS, deal(GROUPS, KINDS, f"deal {number}"), strict=True):
            seen[group].add(int(fold))
        assert all(len(folds) == 1 for folds in seen.values())
        assert len(set.union(*seen.values())) == FOLDS


def test_the_order_of_pictures_does_not_matter_and_another_deal_does() -> None:
    order = np.random.default_rng(0).permutation(92)
    folds = deal(GROUPS, KINDS, "one")
    assert np.array_equal(deal([GROUPS[n] for n in order], KINDS[order], "one"), folds[order])
    assert not np.array_equal(deal(GROUPS, KINDS, "another"), folds)


def test_every_fold_has_its_share_of_each_kind() -> None:
    groups = [f"c{n}" for n in range(11)] + [f"p{n}" for n in range(7)]
    kinds = np.arange(18) < 11
    for kind, least, most in ((True, 2, 3), (False, 1, 2)):
        counts = Counter(deal(groups, kinds, "one")[kinds == kind].tolist())
        assert sorted(counts) == list(range(FOLDS))
        assert least <= min(counts.values()) <= max(counts.values()) <= most


def test_a_model_sees_neither_foregrounds_nor_backgrounds_of_its_fold() -> None:
    dice = np.random.default_rng(0)
    groups = [f"g{number % 12}" for number in range(60)] + [f"g{number}" for number in range(12)]
    backgrounds = np.append(dice.integers(0, 30, 60), np.full(12, -1))
    one = Deal.of(groups, np.arange(72) < 60, backgrounds, 0)
    for fold, seen in enumerate(one.seen):
        held = one.folds == fold
        assert not seen[held].any()
        assert not set(backgrounds[seen].tolist()) & set(backgrounds[held].tolist()) - {-1}
        shared = np.isin(backgrounds, backgrounds[held]) & (backgrounds >= 0)
        assert seen[~held & ~shared].all(), "nothing else is kept from it"
