from __future__ import annotations

import numpy as np
import pytest

from rssn.errors import InputError
from rssn.route.placement import Placement, place_cut_out
from rssn.route.recipe import Recipe
from rssn.route.steps.noise import Noise
from rssn.route.steps.place import Place
from tests.rssn.route.test_placement import cut_out, disc


def test_the_step_places_as_it_drew_on_a_larger_frame() -> None:
    step, own = Place(canvas=1.5, outside=0.1), cut_out(disc((80, 60), (40, 30), 20))
    values = step.draw(np.random.default_rng(3))
    made = step.apply_to_cut_out(own, values, ())
    expected = place_cut_out(own, (120, 90), Placement(**values, outside=0.1))
    assert all(np.array_equal(one, other) for one, other in zip(made, expected, strict=True))
    assert made.alpha.shape == (90, 120)


@pytest.mark.parametrize("edges", ["sides", "ends", "all"])
def test_by_default_no_subject_is_refused(edges: str) -> None:
    """One that is cut off at two opposite edges keeps its size on a frame of its own size."""
    alpha = np.zeros((60, 80), np.float32)
    alpha[(slice(20, 40), slice(None)) if edges == "sides" else (slice(None), slice(30, 50))] = 1
    own = cut_out(np.ones_like(alpha) if edges == "all" else alpha)
    made = Place().apply_to_cut_out(own, {"size": 0.5, "x": 0.25, "y": 0.75, "flipped": False}, ())
    assert made.alpha.sum() == own.alpha.sum()
    assert made.alpha.shape == own.alpha.shape


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
