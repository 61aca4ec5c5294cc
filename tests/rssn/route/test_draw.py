from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, chisquare, kstest

from rssn.errors import InputError
from rssn.route.draw import Draw, background_key, choose_backgrounds, draw, roll
from rssn.route.recipe import Recipe
from rssn.route.step import Step
from rssn.route.steps.blur import Blur
from rssn.route.steps.denoise import Denoise
from rssn.route.steps.noise import Noise

_PAPER = Recipe("paper", steps=(Denoise(), Blur(), Noise()))
_IDS = [f"{number:020x}" for number in range(1000)]


def _keys(count: int, prefix: str = "bg") -> np.ndarray:
    return np.array([background_key(f"{prefix}{number}") for number in range(count)], np.uint64)


@pytest.fixture(scope="module")
def draws() -> list[Draw]:
    return [draw(_PAPER, 0, name, k) for name in _IDS for k in range(5)]


def test_each_coin_is_fair_and_independent(draws: list[Draw]) -> None:
    coins = np.array([[d.steps[name] is not None for name in ("denoise", "blur", "noise")] for d in draws])
    for column in range(3):
        assert binomtest(int(coins[:, column].sum()), len(draws), 0.5).pvalue > 1e-3
    faces = np.bincount(coins @ np.array([1, 2, 4]), minlength=8)
    assert chisquare(faces).pvalue > 1e-3


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.8, 1.0])
def test_each_step_has_its_own_probability(probability: float) -> None:
    recipe = replace(_PAPER, steps=(Denoise(probability), Blur(1 - probability), Noise(probability)))
    rolled = [draw(recipe, 3, name, 0) for name in _IDS]
    for name, expected in (("denoise", probability), ("blur", 1 - probability), ("noise", probability)):
        count = sum(one.steps[name] is not None for one in rolled)
        assert binomtest(count, len(rolled), expected).pvalue > 1e-3


def test_every_kernel_size_is_as_likely(draws: list[Draw]) -> None:
    sizes = [values["size"] for d in draws if (values := d.steps["blur"]) is not None]
    counts = [sizes.count(size) for size in (20, 30, 40, 50, 60)]
    assert sum(counts) == len(sizes)
    assert chisquare(counts).pvalue > 1e-3


def test_crops_are_uniform_and_seeds_are_unique(draws: list[Draw]) -> None:
    for values in ([d.crop_x for d in draws], [d.crop_y for d in draws]):
        assert kstest(values, "uniform").pvalue > 1e-3
        assert min(values) >= 0
        assert max(values) < 1
    noises = [values for d in draws if (values := d.steps["noise"]) is not None]
    assert len({d.seed for d in draws} | {values["seed"] for values in noises}) == len(draws) + len(noises)
    assert {values["sigma"] for values in noises} == {10.0}


def test_a_draw_depends_on_seed_foreground_and_k_alone() -> None:
    first = draw(_PAPER, 7, _IDS[0], 2)
    assert draw(_PAPER, 7, _IDS[0], 2) == first
    others = [draw(_PAPER, 8, _IDS[0], 2), draw(_PAPER, 7, _IDS[1], 2), draw(_PAPER, 7, _IDS[0], 3)]
    assert all(other.seed != first.seed and other.crop_x != first.crop_x for other in others)


def test_the_stream_of_the_dice_is_fixed() -> None:
    assert draw(_PAPER, 1, "0123456789abcdef0123", 0) == Draw(
        seed=16888297169480249107,
        crop_x=0.4521918744142577,
        crop_y=0.23451607232103555,
        steps={
            "denoise": {"backend": "native"},
            "blur": {"size": 50},
            "noise": {"sigma": 10.0, "seed": 16845855027638452605},
        },
    )
    assert background_key("0123456789abcdef0123") == 12412442845083002286
    assert choose_backgrounds(1, "0123456789abcdef0123", _keys(50), 5).tolist() == [26, 10, 9, 39, 1]


def test_a_stored_seed_rolls_the_draw_again() -> None:
    drawn = draw(_PAPER, 1, _IDS[3], 2)
    assert roll(_PAPER, drawn.seed) == drawn


_STEPS: list[Step] = [Denoise(), Blur(), Noise()]


@given(st.floats(0, 1), st.integers(0, 2), st.integers(0, 2**63))
def test_a_probability_decides_its_own_step_only(probability: float, place: int, seed: int) -> None:
    steps = list(_STEPS)
    steps[place] = replace(steps[place], probability=probability)
    before, after = draw(_PAPER, seed, _IDS[0], 0), draw(replace(_PAPER, steps=tuple(steps)), seed, _IDS[0], 0)
    name = steps[place].name
    assert replace(after, steps={**after.steps, name: before.steps[name]}) == before


@given(st.sets(st.integers(0, 2)), st.integers(0, 2**63))
def test_a_step_that_goes_changes_no_other_draw(kept: set[int], seed: int) -> None:
    fewer = replace(_PAPER, steps=tuple(step for place, step in enumerate(_STEPS) if place in kept))
    before, after = draw(_PAPER, seed, _IDS[0], 0), draw(fewer, seed, _IDS[0], 0)
    assert replace(before, steps={step.name: before.steps[step.name] for step in fewer.steps}) == after


def test_a_higher_probability_only_adds() -> None:
    for name in _IDS[:200]:
        low, high = (
            draw(replace(_PAPER, steps=(Blur(probability),)), 0, name, 0).steps["blur"] for probability in (0.3, 0.7)
        )
        assert low is None or low == high


def test_chosen_backgrounds_are_uniform() -> None:
    keys = _keys(40)
    chosen = np.concatenate([choose_backgrounds(0, name, keys, 5) for name in _IDS])
    assert chisquare(np.bincount(chosen, minlength=40)).pvalue > 1e-3
    first = np.array([choose_backgrounds(0, name, keys, 5)[0] for name in _IDS])
    assert chisquare(np.bincount(first, minlength=40)).pvalue > 1e-3


def test_two_foregrounds_and_two_seeds_choose_independently() -> None:
    keys = _keys(100)
    pairs = [(choose_backgrounds(0, a, keys, 1)[0], choose_backgrounds(1, a, keys, 1)[0]) for a in _IDS]
    assert binomtest(sum(a == b for a, b in pairs), len(pairs), 0.01).pvalue > 1e-3
    names = [choose_backgrounds(0, a, keys, 1)[0] for a in _IDS]
    assert binomtest(sum(a == b for a, b in pairwise(names)), 999, 0.01).pvalue > 1e-3


@given(st.integers(1, 40), st.integers(0, 2**64), st.text(max_size=5), st.data())
def test_no_repeats_and_more_k_extends_the_choice(count: int, seed: int, name: str, data: st.DataObject) -> None:
    keys = _keys(40)
    chosen = choose_backgrounds(seed, name, keys, count)
    assert chosen.dtype == np.int64
    assert len(set(chosen.tolist())) == len(chosen) == count
    fewer = data.draw(st.integers(1, count))
    assert np.array_equal(choose_backgrounds(seed, name, keys, fewer), chosen[:fewer])


@given(st.permutations(range(30)), st.integers(0, 1000))
def test_the_order_of_the_list_does_not_matter(order: list[int], seed: int) -> None:
    keys = _keys(30)
    shuffled = keys[order]
    chosen = keys[choose_backgrounds(seed, "f", keys, 6)]
    assert np.array_equal(shuffled[choose_backgrounds(seed, "f", shuffled, 6)], chosen)


@given(st.integers(5, 40), st.integers(1, 20), st.integers(0, 1000))
def test_added_backgrounds_change_only_what_they_win(before: int, added: int, seed: int) -> None:
    old, new = _keys(before), _keys(added, "new")
    both = np.concatenate([old, new])
    was = old[choose_backgrounds(seed, "f", old, 5)].tolist()
    now = both[choose_backgrounds(seed, "f", both, 5)].tolist()
    won = {k for k in range(5) if now[k] in set(new.tolist())}
    freed = {was[k] for k in won}
    for k in set(range(5)) - won:
        assert now[k] == was[k] or now[k] in freed
        freed |= {was[k]}
    if not won:
        assert now == was


def test_a_tenth_more_backgrounds_change_a_tenth_of_the_samples() -> None:
    old, new = _keys(1000), _keys(100, "new")
    both = np.concatenate([old, new])
    kept = sum(int(np.sum(choose_backgrounds(0, a, old, 5) == choose_backgrounds(0, a, both, 5))) for a in _IDS)
    assert binomtest(kept, 5 * len(_IDS), 1000 / 1100).pvalue > 1e-3


def test_too_few_backgrounds() -> None:
    assert sorted(choose_backgrounds(0, "f", _keys(5), 5).tolist()) == [0, 1, 2, 3, 4]
    with pytest.raises(InputError, match="K = 6 needs at least 6 backgrounds; there are 5"):
        choose_backgrounds(0, "f", _keys(5), 6)
