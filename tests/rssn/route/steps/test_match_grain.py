from __future__ import annotations

import numpy as np
import pytest

from rssn.errors import InputError
from rssn.image.arrays import Image
from rssn.route.noise_level import estimate_floor
from rssn.route.step import Scene
from rssn.route.steps.grain import add_grain
from rssn.route.steps.match_grain import MatchGrain

ALL = np.ones((320, 320), np.float32)


def grey(sigma: float, seed: int = 0) -> Image:
    return (0.5 + np.random.default_rng(seed).normal(0, sigma / 255, (320, 320, 3))).astype(np.float32)


def grain(light: float, sigma: float, seed: int = 0) -> Image:
    return add_grain(np.full((320, 320, 3), light, np.float32), sigma / 255, 0.01, seed)


def floors(scene: Scene) -> list[float]:
    return [255 * (estimate_floor(layer) or 0) for layer in (scene.foreground, scene.background)]


LIGHTS = [(0.5, 0.5), (0.15, 0.5), (0.5, 0.15), (0.8, 0.3), (0.95, 0.5)]


@pytest.mark.parametrize("lights", LIGHTS)
@pytest.mark.parametrize("levels", [(1.0, 3.0), (3.0, 1.0)])
def test_of_grain_both_the_finest_detail_and_the_whole_become_alike(
    lights: tuple[float, float], levels: tuple[float, float]
) -> None:
    scene = Scene(*(grain(light, level, 1) for light, level in zip(lights, levels, strict=True)), ALL)
    made = MatchGrain().apply_to_scene(scene, {"sigma": None, "seed": 7})
    assert floors(made) == pytest.approx([max(floors(scene))] * 2, rel=0.03)
    deviations = [255 * float(layer.std()) for layer in (made.foreground, made.background)]
    assert deviations[0] == pytest.approx(deviations[1], rel=0.06)


@pytest.mark.parametrize(("front", "back"), [(0.5, 2.0), (2.0, 0.5)])
def test_the_cleaner_one_gets_the_level_of_the_other(front: float, back: float) -> None:
    """In the finest detail; the grain is coarser than white noise, so that there is more of it on the whole."""
    scene = Scene(grey(front, 1), grey(back, 2), ALL)
    made = MatchGrain().apply_to_scene(scene, {"sigma": None, "seed": 7})
    cleaner, coarser = ("foreground", "background") if front < back else ("background", "foreground")
    assert getattr(made, coarser) is getattr(scene, coarser)
    assert floors(made) == pytest.approx([2.0, 2.0], rel=0.03)
    assert 255 * float(getattr(made, cleaner).std()) > 4


def test_both_get_a_drawn_level_by_noise_of_their_own() -> None:
    scene = Scene(grain(0.5, 1.0, 1), grain(0.3, 2.0, 2), ALL)
    made = MatchGrain(sigma=(5.0, 5.0)).apply_to_scene(scene, {"sigma": 5.0, "seed": 7})
    added = [made.foreground - scene.foreground, made.background - scene.background]
    assert floors(made) == pytest.approx(floors(Scene(grain(0.5, 5.0), grain(0.5, 5.0), ALL)), rel=0.06)
    assert 255 * float(made.foreground.std()) == pytest.approx(5, rel=0.06)
    assert abs(np.corrcoef(added[0].ravel(), added[1].ravel())[0, 1]) < 0.02
    again = MatchGrain(sigma=(5.0, 5.0)).apply_to_scene(scene, {"sigma": 5.0, "seed": 7})
    assert np.array_equal(again.foreground, made.foreground)


def test_texture_is_no_grain_and_what_is_flat_says_nothing() -> None:
    texture = Scene(grey(1.0), grey(20.0), ALL)
    assert MatchGrain().apply_to_scene(texture, {"sigma": None, "seed": 7}) is texture
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
