from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rssn.errors import InputError
from rssn.route.sharpness import blur_to, estimate_spread
from rssn.route.step import Scene
from rssn.route.steps.match_sharpness import MatchSharpness
from tests.rssn.route.test_sharpness import edges

ALL = np.full((256, 256), 1, np.float32)


def spreads(scene: Scene) -> list[float | None]:
    return [estimate_spread(scene.foreground), estimate_spread(scene.background)]


@pytest.mark.parametrize(("front", "back"), [(0.8, 2.0), (2.0, 0.8)])
def test_the_sharper_one_gets_the_spread_of_the_other(front: float, back: float) -> None:
    scene = Scene(edges(front), edges(back), ALL)
    made = MatchSharpness().apply_to_scene(scene, {"spread": None})
    assert spreads(made) == pytest.approx([max(front, back)] * 2, rel=0.1)
    assert (made.foreground is scene.foreground) == (front > back)
    assert (made.background is scene.background) == (back > front)


def test_both_get_a_drawn_spread() -> None:
    scene = Scene(edges(0.8), edges(1.2), ALL)
    assert spreads(MatchSharpness().apply_to_scene(scene, {"spread": 2.0})) == pytest.approx([2.0, 2.0], rel=0.1)
    softer = MatchSharpness().apply_to_scene(scene, {"spread": 1.0})
    assert softer.background is scene.background, "what is softer already stays"


def test_a_background_out_of_focus_changes_no_foreground() -> None:
    scene = Scene(edges(0.8), edges(6.0), ALL)
    assert MatchSharpness(most=2.5).apply_to_scene(scene, {"spread": None}) is scene
    assert MatchSharpness(most=10.0).apply_to_scene(scene, {"spread": None}) is not scene


def test_without_edges_nothing_is_changed() -> None:
    scene = Scene(np.full((256, 256, 3), 0.5, np.float32), edges(1.0), ALL)
    assert MatchSharpness().apply_to_scene(scene, {"spread": 2.0}) is scene


def test_the_spread_is_drawn_from_its_range_or_is_the_others() -> None:
    drawn = [MatchSharpness(spreads=(1.0, 2.0)).draw(np.random.default_rng(seed))["spread"] for seed in range(100)]
    assert 1.0 <= min(drawn) < 1.1
    assert 1.9 < max(drawn) <= 2.0
    assert MatchSharpness().draw(np.random.default_rng(0)) == {"spread": None}
    assert MatchSharpness().describe({"spread": None}) == "to the softer one"
    assert MatchSharpness().describe({"spread": 1.5}) == "to 1.50 px"
    with pytest.raises(InputError, match=r"spreads is \(2.0, 1.0\); expected the least before the most"):
        MatchSharpness(spreads=(2.0, 1.0))


def test_blur_to_is_what_is_applied() -> None:
    scene = Scene(edges(0.8), edges(2.0), ALL)
    front, back = spreads(scene)
    assert front is not None
    assert back is not None
    made = MatchSharpness().apply_to_scene(scene, {"spread": None})
    assert np.array_equal(made.foreground, blur_to(scene.foreground, front, back, ALL))


@pytest.mark.parametrize("hidden", [0.0, 1.0])
def test_what_lies_hidden_beyond_the_matte_does_not_show(hidden: float) -> None:
    """As in cut-outs, which are black or white where alpha is 0."""
    y, x = np.mgrid[:256, :256]
    alpha = np.clip(90.5 - np.hypot(x - 128, y - 128), 0, 1).astype(np.float32)
    grey = Scene(np.clip(edges(0.7), 0.3, 0.7), edges(2.2), alpha)
    cut_out = replace(grey, foreground=np.where(alpha[..., None] > 0, grey.foreground, np.float32(hidden)))
    made = MatchSharpness().apply_to_scene(cut_out, {"spread": None})
    assert made.foreground is not cut_out.foreground
    seen = made.foreground[alpha > 0]
    assert seen.min() > 0.3 - 1e-4
    assert seen.max() < 0.7 + 1e-4
    full = MatchSharpness().apply_to_scene(grey, {"spread": None})
    inside = np.hypot(x - 128, y - 128) < 75
    assert np.abs(made.foreground - full.foreground)[inside].max() < 1e-5
