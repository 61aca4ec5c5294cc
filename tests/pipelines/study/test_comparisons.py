from __future__ import annotations

from dataclasses import replace
from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.study.comparisons import Comparison, compare, holm
from pipelines.study.crossed import difference
from pipelines.study.results import summarise
from tests.pipelines.study.test_results import figures

FOUND = Comparison(
    "a", "b", "TT", difference=-2.0, change=-0.3, interval=(-0.5, -0.1), smaller=8, images=9, seeds=3, p=0.01,
    corrected=0.02,
)  # fmt: skip
PAIR = [("plain", "rssn")]


def test_rows_are_compared_image_by_image_and_training_by_training() -> None:
    plain = {0: [10.0, 20.0, 30.0], 1: [14.0, 22.0, 36.0]}
    rssn = {0: [9.0, 18.0, 22.0], 1: [9.0, 24.0, 22.0]}
    [found] = compare(summarise(figures({"plain": plain, "rssn": rssn})), PAIR)
    by_hand = difference(*(np.log([*row.values()]).T for row in (plain, rssn)))
    assert (found.smaller, found.images, found.seeds) == (2, 3, 2)
    assert (found.difference, found.p) == (pytest.approx(-28 / 6), pytest.approx(float(by_hand.p)))
    ratio = (9 * 9 * 18 * 24 * 22 * 22 / (10 * 14 * 20 * 22 * 30 * 36)) ** (1 / 6)
    assert found.change == pytest.approx(ratio - 1)
    assert found.interval == pytest.approx([np.exp(end) - 1 for end in by_hand.interval()])


def test_every_photograph_counts_alike() -> None:
    """One that is a hundred times larger turns the means, not the test."""
    plain = {seed: [10.0, 20.0, 30.0, 3000.0] for seed in range(2)}
    rssn = {seed: [5.0, 10.0, 15.0, 3300.0] for seed in range(2)}
    [found] = compare(summarise(figures({"plain": plain, "rssn": rssn})), PAIR)
    assert found.difference == 67.5
    assert found.change == pytest.approx((1.1 / 8) ** 0.25 - 1)


def test_photographs_that_are_all_but_perfect_do_not_decide() -> None:
    rows = {"plain": {0: [0.0, 0.1], 1: [1e-9, 0.1]}, "rssn": {0: [0.09, 0.2], 1: [0.1, 0.2]}}
    [found] = compare(summarise(figures(rows)), PAIR)
    assert found.change == pytest.approx(2**0.5 - 1)


def test_images_are_matched_by_name() -> None:
    rows = figures({"plain": {0: [1.0, 5.0, 9.0], 1: [1.0, 5.0, 9.0]}, "rssn": {0: [2.0, 10.0, 18.0]}})
    rows += [{**each, "seed": 1} for each in rows[:5:-1]]  # the other way round
    [found] = compare(summarise(rows), PAIR)
    assert (found.difference, found.change, found.p) == (5.0, pytest.approx(1), pytest.approx(0, abs=1e-12))


def test_rows_of_other_networks_are_compared_by_their_first_variant() -> None:
    rows = figures({name: {0: [1.0, 2.0], 1: [1.5, 2.5]} for name in ("gfm", "both", "shm")})
    also = [{**each, "row": "both", "variant": "FT"} for each in rows if each["row"] == "gfm"]
    lines = summarise([{**each, "variant": "SHM"} if each["row"] == "shm" else each for each in [*rows, *also]])
    found = compare(lines, [("shm", "both"), ("gfm", "both")])
    assert [(each.first, each.second, each.variant) for each in found] == [
        ("gfm", "both", "TT"),
        ("shm", "both", "SHM, TT"),
    ]


def test_without_a_significant_difference_nothing_is_claimed() -> None:
    assert FOUND.verdict == "b is better"
    assert replace(FOUND, change=0.2).verdict == "a is better"
    assert replace(FOUND, corrected=0.12).verdict == "no significant difference"
    assert replace(FOUND, seeds=1).verdict.startswith("no claim: one seed tells networks apart")
    assert replace(FOUND, images=1).verdict == "no claim: one photograph tells nothing of others"


def test_what_cannot_be_tested_counts_as_one_of_the_comparisons() -> None:
    rows = {"plain": {0: [1.0, 5.0], 1: [1.0, 5.0]}, "rssn": {0: [2.0, 10.0], 1: [2.0, 10.0]}, "one": {0: [1.0, 9.0]}}
    found = compare(summarise(figures(rows)), [*PAIR, ("plain", "one")])
    assert [each.corrected for each in found] == [pytest.approx(0, abs=1e-12), 1.0]
    assert isnan(found[1].p)
    assert found[1].verdict.startswith("no claim: one seed")


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 1.0]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_none_and_bonferroni(values: list[float]) -> None:
    for before, after in zip(values, holm(values), strict=True):
        assert before <= after <= min(1.0, before * len(values)) + 1e-12
