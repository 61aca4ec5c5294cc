from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from rssn.errors import InputError, Rejected
from rssn.image.arrays import Image
from rssn.route.compose import blend
from rssn.route.placement import Placement, place_cut_out
from rssn.route.recipe import Recipe
from rssn.route.step import CutOut
from rssn.route.steps.merge import Merge, over
from rssn.storage.settings import settings
from tests.rssn.route.test_placement import cut_out, disc


def _random(seed: int) -> Image:
    return np.random.default_rng(seed).random((30, 40, 3), dtype=np.float32)


def test_front_over_back_blended_is_front_blended_onto_back_blended() -> None:
    front, back = CutOut(_random(1), _random(2)[..., 0]), CutOut(_random(3), _random(4)[..., 0])
    background = _random(5)
    both = over(front, back)
    once = blend(both.foreground, background, both.alpha)
    twice = blend(front.foreground, blend(back.foreground, background, back.alpha), front.alpha)
    assert np.abs(once - twice).max() < 1e-6
    assert np.abs(both.alpha - (1 - (1 - front.alpha) * (1 - back.alpha))).max() < 1e-7


def test_where_neither_shows_the_foreground_is_the_backs() -> None:
    nothing = np.zeros((30, 40), np.float32)
    both = over(CutOut(_random(1), nothing), CutOut(_random(3), nothing))
    assert np.array_equal(both.foreground, _random(3))
    assert both.alpha.max() == 0


def test_the_step_lays_the_other_over_its_own() -> None:
    own, other = cut_out(disc((80, 60), (30, 30), 15), 1), cut_out(disc((50, 50), (25, 25), 20), 2)
    step = Merge(sizes=(0.5, 0.8))
    values = step.draw(np.random.default_rng(0))
    made = step.apply_to_cut_out(own, values, [other])
    placed = place_cut_out(other, (80, 60), Placement(**values))
    expected = over(placed, own)
    assert all(np.array_equal(one, two) for one, two in zip(made, expected, strict=True))
    assert np.array_equal(made.foreground[placed.alpha == 1], placed.foreground[placed.alpha == 1])


def test_the_next_one_is_taken_where_one_would_be_cut_off() -> None:
    """A portrait that is cut off at left, right and below is taller than a wide frame."""
    portrait = cut_out((np.arange(100)[:, None] >= 10).astype(np.float32) * np.ones((1, 40), np.float32))
    own, other = cut_out(disc((40, 30), (20, 15), 8), 1), cut_out(disc((50, 50), (25, 25), 20), 2)
    values = {"size": 0.7, "x": 0.5, "y": 0.5, "flipped": False}
    asked = iter([portrait, other, portrait])
    made = Merge().apply_to_cut_out(own, values, asked)
    assert np.array_equal(made.alpha, Merge().apply_to_cut_out(own, values, [other]).alpha)
    assert len(list(asked)) == 1, "the one that is taken is the last one that was asked for"
    with pytest.raises(Rejected, match="to reach both it is 90 px long in 30 px"):
        Merge().apply_to_cut_out(own, values, [portrait])
    with pytest.raises(Rejected, match="the data set has no other foreground that can be read"):
        Merge().apply_to_cut_out(own, values, [])


def test_its_row_names_the_other_foreground() -> None:
    assert {"other_id", "other_source", "other_licence"} <= set(Merge().struct().names)
    values = {"size": 0.5, "x": 0.25, "y": 1.0, "flipped": False}
    assert Merge().describe({**values, "other_source": "fg/a.png"}) == "fg/a.png, 0.50 of the frame, at 0.25, 1.00"


def test_two_steps_that_take_another_foreground_are_refused() -> None:
    @settings
    class Again(Merge):
        name: ClassVar = "again"

    with pytest.raises(InputError, match="steps has merge and again, which take another foreground each; remove all"):
        Recipe("r", steps=(Merge(), Again()))
