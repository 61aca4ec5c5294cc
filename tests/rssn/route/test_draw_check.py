from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import pytest

from rssn.route.draw import draw
from rssn.route.draw_check import MISFIT_LEVEL, DrawCounts, fit_draws
from rssn.route.recipe import BlurStep, DenoiseStep, NoiseStep, Recipe

RECIPE = Recipe("r", blur=BlurStep(0.5, (20, 30, 40)))


def _binomial(found: int, rows: int, share: float) -> float:
    """The two-sided exact test, from its definition: outcomes that are not likelier than the one found."""
    masses = [math.comb(rows, n) * share**n * (1 - share) ** (rows - n) for n in range(rows + 1)]
    return sum(mass for mass in masses if mass <= masses[found] * (1 + 1e-7))


def _p(counts: DrawCounts, recipe: Recipe = RECIPE) -> dict[str, float]:
    return {fit.step: fit.p for fit in fit_draws(recipe, counts)}


@pytest.mark.parametrize(("rows", "found"), [(20, 10), (20, 3), (41, 30), (7, 0)])
@pytest.mark.parametrize("share", [0.5, 0.2])
def test_shares_are_tested_exactly(rows: int, found: int, share: float) -> None:
    recipe = replace(RECIPE, denoise=DenoiseStep(share), noise=NoiseStep(share))
    p = _p(DrawCounts(rows, found, rows - found, {}), recipe)
    assert p["denoise"] == pytest.approx(_binomial(found, rows, share))
    assert p["noise"] == pytest.approx(_binomial(rows - found, rows, share))


def test_kernel_sizes_by_chi_square_where_there_are_many() -> None:
    sizes = {20: 10, 30: 14, 40: 6}
    statistic = sum((count - 10) ** 2 / 10 for count in sizes.values())
    assert _p(DrawCounts(60, 30, 30, sizes))["blur sizes"] == pytest.approx(math.exp(-statistic / 2))


def test_kernel_sizes_exactly_where_there_are_few() -> None:
    p = _p(DrawCounts(10, 5, 5, {20: 5}))["blur sizes"]
    assert p == pytest.approx(3 * min(_binomial(5, 5, 1 / 3), _binomial(0, 5, 1 / 3)))
    assert _p(DrawCounts(10, 5, 5, {20: 2, 30: 2, 40: 1}))["blur sizes"] == 1


def test_a_size_listed_twice_is_expected_twice_as_often() -> None:
    recipe = replace(RECIPE, blur=BlurStep(0.5, (20, 20, 30)))
    assert _p(DrawCounts(120, 60, 60, {20: 40, 30: 20}), recipe)["blur sizes"] == pytest.approx(1)
    assert _p(DrawCounts(1200, 600, 600, {20: 300, 30: 300}), recipe)["blur sizes"] < MISFIT_LEVEL


def test_one_size_has_nothing_to_choose() -> None:
    recipe = replace(RECIPE, blur=BlurStep(0.5, (20,)))
    assert _p(DrawCounts(20, 10, 10, {20: 10}), recipe)["blur sizes"] == 1
    assert _p(DrawCounts(20, 10, 10, {20: 9, 21: 1}), recipe)["blur sizes"] == 0


def test_what_cannot_happen_is_a_misfit_at_once() -> None:
    never = replace(RECIPE, denoise=DenoiseStep(0.0), noise=NoiseStep(1.0))
    fits = {fit.step: fit for fit in fit_draws(never, DrawCounts(14, 1, 14, {50: 7}))}
    assert fits["denoise"].misfit
    assert fits["blur sizes"].misfit
    assert not fits["noise"].misfit
    assert not fits["blur"].misfit


def test_noise_of_sigma_0_leaves_no_trace() -> None:
    silent = replace(RECIPE, noise=NoiseStep(0.5, 0.0))
    assert _p(DrawCounts(500, 250, 0, {}), silent)["noise"] == 1


def test_without_a_blur_there_are_no_sizes_to_test() -> None:
    assert list(_p(DrawCounts(4, 2, 2, {}))) == ["denoise", "blur", "noise"]


def test_the_draws_of_the_route_fit_their_recipe_and_no_other() -> None:
    draws = [draw(RECIPE, 1, f"foreground-{n}", k) for n in range(400) for k in range(5)]
    sizes = Counter(d.blur_size for d in draws if d.blur_size is not None)
    counts = DrawCounts(2000, sum(d.denoise for d in draws), sum(d.noise_sigma > 0 for d in draws), sizes)
    assert not any(fit.misfit for fit in fit_draws(RECIPE, counts))
    other = replace(RECIPE, blur=BlurStep(0.4, (20, 30, 40, 50)))
    assert {fit.step for fit in fit_draws(other, counts) if fit.misfit} == {"blur", "blur sizes"}
