from __future__ import annotations

import numpy as np
import pytest

from rssn.errors import InputError
from rssn.route.placement import Placement, place_cut_out
from rssn.route.recipe import Recipe
from rssn.route.step import CutOut
from rssn.route.steps.noise import Noise
from rssn.route.steps.place import Place
from tests.rssn.route.test_placement import cut_out, disc


def nobody() -> CutOut:
    raise AssertionError("no other foreground is needed")


def test_the_step_places_as_it_drew_on_a_larger_frame() -> None:
    step, own = Place(canvas=1.5, outside=0.1), cut_out(disc((80, 60), (40, 30), 20))
    values = step.draw(np.random.default_rng(3))
    made = step.apply_to_cut_out(own, values, nobody)
    expected = place_cut_out(own, (120, 90), Placement(**values, outside=0.1))
    assert all(np.array_equal(one, other) for one, other in zip(made, expected, strict=True))
    assert made.alpha.shape == (90, 120)


def test_sizes_and_flips_are_drawn_as_the_settings_say() -> None:
    drawn = [Place(sizes=(0.4, 0.6), flip=0.25).draw(np.random.default_rng(seed)) for seed in range(400)]
    sizes = [values["size"] for values in drawn]
    assert 0.4 <= min(sizes) < 0.42
    assert 0.58 < max(sizes) <= 0.6
    assert 70 < sum(values["flipped"] for values in drawn) < 130


def test_the_recipes_frame_is_the_canvas_where_it_may_be_drawn() -> None:
    assert Recipe("r", steps=(Place(0.5, canvas=1.5), Noise())).frame(101, 60) == (152, 90)
    assert Recipe("r", steps=(Place(0.0, canvas=1.5), Noise())).frame(101, 60) == (101, 60)


def test_a_range_that_is_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(InputError, match=r"^sizes is \(0.9, 0.5\); expected the least before the most"):
        Place(sizes=(0.9, 0.5))


def test_it_says_what_it_drew() -> None:
    values = {"size": 0.5, "x": 0.25, "y": 1.0, "flipped": True}
    assert Place().describe(values) == "0.50 of the frame, at 0.25, 1.00, flipped"
