from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import gamma, isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.study.comparisons import LEVEL, Comparison, compare, holm
from pipelines.study.results import summarise
from tests.pipelines.study.test_results import figures

FOUND = Comparison(
    "a", "b", "TT", difference=-2.0, median=-1.0, smaller=8, images=9, ranks=-40.0, p_images=0.01, p_seeds=0.02,
    least=0.004, corrected=0.02,
)  # fmt: skip
PAIR = [("plain", "rssn")]


def signed_rank_p(differences: list[float]) -> float:
    """The exact two-sided p by enumeration of all signs; differences distinct in size."""
    ranks = np.argsort(np.argsort(np.abs(differences))) + 1
    observed = abs(float((np.sign(differences) * ranks).sum()))
    sums = [abs(float((np.array(signs) * ranks).sum())) for signs in product((-1, 1), repeat=len(ranks))]
    return float(np.mean([value >= observed for value in sums]))


def t_p(t: float, freedom: float) -> float:
    """The two-sided p of Student's t, by adding up its density from 0 to t."""
    x = np.linspace(0, abs(t), 200_001)
    scale = gamma((freedom + 1) / 2) / gamma(freedom / 2) / np.sqrt(freedom * np.pi)
    return float(1 - 2 * scale * np.trapezoid((1 + x**2 / freedom) ** (-(freedom + 1) / 2), x))


def test_rows_are_compared_image_by_image_and_seed_by_seed() -> None:
    plain = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0]
    change = [-1.0, -2.0, -4.0, 0.5, -3.0, -6.0, -5.0]
    other = [value + more for value, more in zip(plain, change, strict=True)]
    rows = {
        "plain": {seed: [value + by for value in plain] for seed, by in enumerate((-0.1, 0.0, 0.1))},
        "rssn": {seed: [value + by for value in other] for seed, by in enumerate((-0.3, 0.0, 0.3))},
    }
    [found] = compare(summarise(figures(rows)), PAIR)
    assert (found.smaller, found.images, found.ranks) == (6, 7, 1.0 - 2 - 3 - 4 - 5 - 6 - 7)
    assert (found.difference, found.median) == (pytest.approx(np.mean(change)), pytest.approx(-3.0))
    assert found.p_images == pytest.approx(signed_rank_p(change))
    first, second = 0.01 / 3, 0.09 / 3  # variances of the means
    freedom = (first + second) ** 2 / (first**2 / 2 + second**2 / 2)
    assert found.p_seeds == pytest.approx(t_p(np.mean(change) / np.sqrt(first + second), freedom), rel=1e-4)
    assert found.corrected == found.p == max(found.p_images, found.p_seeds)
    assert found.verdict == "rssn is better"


def test_rows_of_other_networks_are_compared_by_their_first_variant() -> None:
    rows = figures({name: {0: [1.0, 2.0], 1: [1.5, 2.5]} for name in ("gfm", "both", "shm")})
    also = [{**each, "row": "both", "variant": "FT"} for each in rows if each["row"] == "gfm"]
    lines = summarise([{**each, "variant": "SHM"} if each["row"] == "shm" else each for each in [*rows, *also]])
    found = compare(lines, [("shm", "both"), ("gfm", "both")])
    assert [(each.first, each.second, each.variant) for each in found] == [
        ("gfm", "both", "TT"),
        ("shm", "both", "SHM, TT"),
    ]


def test_networks_of_one_recipe_are_not_told_apart() -> None:
    """Each training is off by 5 % as a whole: the images agree on that, which says nothing of the data."""
    rng = np.random.default_rng(0)
    claims, by_images = 0, 0
    for _ in range(200):
        photographs = rng.uniform(10, 50, 40)
        rows = {
            row: {seed: (photographs * rng.normal(1, 0.05) + rng.normal(0, 1, 40)).tolist() for seed in range(3)}
            for row in ("plain", "rssn")
        }
        [found] = compare(summarise(figures(rows)), PAIR)
        claims += found.verdict.endswith("better")
        by_images += found.p_images < LEVEL
    assert by_images > 100
    assert claims <= 14  # 10 are expected at most; 14 are exceeded once in 14 times


def test_without_a_significant_difference_nothing_is_claimed() -> None:
    assert FOUND.verdict == "b is better"
    assert replace(FOUND, difference=1.0, ranks=5.0).verdict == "a is better"
    assert replace(FOUND, corrected=0.12).verdict == "no significant difference"
    assert replace(FOUND, corrected=1.0, p_seeds=nan).verdict.startswith("no claim: one seed tells networks apart")


def test_one_photograph_does_not_outvote_the_others() -> None:
    found = replace(FOUND, difference=3.0)
    assert found.verdict == "no claim: the mean says one thing, most photographs another"


def test_too_few_photographs_are_said_with_all_comparisons_counted() -> None:
    same = {"plain": {0: [1.0] * 9, 1: [2.0] * 9}}
    other = {0: [1.0] * 4 + [3.0] * 5, 1: [2.0] * 4 + [4.0] * 5}  # four of nine equal: 2 / 2^5 at best
    lines = summarise(figures(same | {"rssn": other}))
    [found] = compare(lines, PAIR)
    assert found.least == 0.0625
    assert found.verdict == "no claim: 9 images cannot give a p below 0.062"
    assert [each.least for each in compare(lines, PAIR * 3)] == [0.1875] * 3


def test_an_image_counts_by_its_mean_over_the_seeds() -> None:
    rows = {"plain": {0: [1.0, 5.0], 1: [3.0, 7.0]}, "rssn": {0: [2.0, 6.0], 1: [2.0, 6.0]}}
    [found] = compare(summarise(figures(rows)), PAIR)
    assert found.difference == 0.0
    assert isnan(found.p_images)
    assert found.corrected == 1.0


def test_seeds_without_any_spread() -> None:
    rows = {"plain": {0: [1.0, 5.0], 1: [1.0, 5.0]}, "rssn": {0: [2.0, 7.0], 1: [2.0, 7.0]}}
    assert [compare(summarise(figures(rows)), [pair])[0].p_seeds for pair in (*PAIR, ("plain", "plain"))] == [0.0, 1.0]


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 1.0]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_none_and_bonferroni(values: list[float]) -> None:
    for before, after in zip(values, holm(values), strict=True):
        assert before <= after <= min(1.0, before * len(values)) + 1e-12
