from __future__ import annotations

import numpy as np
import pytest

from rssn.errors import InputError
from rssn.image.arrays import Image
from rssn.route.noise_level import estimate_floor
from rssn.route.step import Scene
from rssn.route.steps.match_grain import MatchGrain

ALL = np.ones((320, 320), np.float32)


def grey(sigma: float, seed: int = 0) -> Image:
    return (0.5 + np.random.default_rng(seed).normal(0, sigma / 255, (320, 320, 3))).astype(np.float32)


def floors(scene: Scene) -> list[float]:
    return [255 * (estimate_floor(layer) or 0) for layer in (scene.foreground, scene.background)]


@pytest.mark.parametrize(("front", "back"), [(1.0, 4.0), (4.0, 1.0)])
def test_the_cleaner_one_gets_the_level_of_the_other(front: float, back: float) -> None:
    """As the whole variance says; the grain is coarse, so that the band of the finest detail holds less of it."""
    scene = Scene(grey(front, 1), grey(back, 2), ALL)
    made = MatchGrain().apply_to_scene(scene, {"sigma": None, "seed": 7})
    cleaner, coarser = ("foreground", "background") if front < back else ("background", "foreground")
    assert getattr(made, coarser) is getattr(scene, coarser)
    assert 255 * float(getattr(made, cleaner).std()) == pytest.approx(max(front, back), rel=0.05)


def test_both_get_a_drawn_level_by_noise_of_their_own() -> None:
    scene = Scene(grey(1.0, 1), grey(2.0, 2), ALL)
    made = MatchGrain(sigma=(5.0, 5.0)).apply_to_scene(scene, {"sigma": 5.0, "seed": 7})
    added = [made.foreground - scene.foreground, made.background - scene.background]
    assert [255 * float(layer.std()) for layer in (made.foreground, made.background)] == pytest.approx([5, 5], rel=0.05)
    assert abs(np.corrcoef(added[0].ravel(), added[1].ravel())[0, 1]) < 0.02
    again = MatchGrain(sigma=(5.0, 5.0)).apply_to_scene(scene, {"sigma": 5.0, "seed": 7})
    assert np.array_equal(again.foreground, made.foreground)


def test_texture_is_no_grain_and_what_is_flat_says_nothing() -> None:
    texture = Scene(grey(1.0), grey(20.0), ALL)
    assert MatchGrain(most=8.0).apply_to_scene(texture, {"sigma": None, "seed": 7}) is texture
    flat = Scene(np.full((320, 320, 3), 0.5, np.float32), grey(2.0), ALL)
    assert MatchGrain().apply_to_scene(flat, {"sigma": None, "seed": 7}) is flat


def test_levels_are_drawn_from_their_range() -> None:
    drawn = [MatchGrain(sigma=(1.0, 2.0)).draw(np.random.default_rng(seed))["sigma"] for seed in range(100)]
    assert 1.0 <= min(drawn) < 1.1
    assert 1.9 < max(drawn) <= 2.0
    assert MatchGrain().draw(np.random.default_rng(0))["sigma"] is None
    assert MatchGrain().describe({"sigma": None}) == "to the coarser one"
    assert MatchGrain().describe({"sigma": 1.5}) == "to sigma 1.5"
    with pytest.raises(InputError, match="sigma is"):
        MatchGrain(sigma=(2.0, 1.0))
