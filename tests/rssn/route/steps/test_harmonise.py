from __future__ import annotations

import numpy as np
import pytest
from skimage.color import rgb2lab

from rssn.image.arrays import Alpha, Image
from rssn.route.recipe import load_recipe
from rssn.route.step import Scene
from rssn.route.steps.harmonise import Harmonise


def flat(colour: tuple[float, float, float], seed: int, spread: float = 0.05) -> Image:
    noise = np.random.default_rng(seed).normal(0, spread, (40, 50, 3))
    return np.clip(np.array(colour) + noise, 0, 1).astype(np.float32)


def half() -> Alpha:
    alpha = np.zeros((40, 50), np.float32)
    alpha[:, :25] = 1
    return alpha


def moments(image: Image, alpha: Alpha) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation in scikit-image's Lab, where alpha is 1."""
    lab = rgb2lab(image)[alpha == 1]
    return lab.mean(axis=0), lab.std(axis=0)


SCENE = Scene(flat((0.55, 0.45, 0.4), 1), flat((0.35, 0.4, 0.5), 2, 0.06), half())
FREE = Harmonise(max_light=100.0, max_colour=100.0, max_contrast=10.0)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_mean_and_deviation_go_so_far_towards_the_backgrounds(strength: float) -> None:
    made = FREE.apply_to_scene(SCENE, {"strength": strength})
    (mean, deviation), (other, others) = moments(SCENE.foreground, half()), moments(SCENE.background, 1 - half())
    found, found_deviation = moments(made.foreground, half())
    assert np.abs(found - (mean + strength * (other - mean))).max() < 0.3
    assert np.abs(found_deviation - deviation * (others / deviation) ** strength).max() < 0.3
    assert made.background is SCENE.background
    assert made.alpha is SCENE.alpha


def test_no_mean_moves_further_than_allowed() -> None:
    step = Harmonise(max_light=4.0, max_colour=2.0, max_contrast=1.0)
    green = Scene(SCENE.foreground, flat((0.1, 0.9, 0.1), 3), half())
    (mean, _), (found, _) = (
        moments(green.foreground, half()),
        moments(step.apply_to_scene(green, {"strength": 1.0}).foreground, half()),
    )
    assert np.abs(np.abs(found - mean) - [4.0, 1.0, 2.0]).max() < 0.3, "a moves by half towards green"


# Skin: from the Monk scale (2019), and of photographs
PALE, DARK = [(247, 234, 208), (240, 220, 205), (235, 205, 185), (224, 172, 140)], [(160, 126, 86), (96, 65, 52)]
NEARLY_GREY = [(246, 237, 228), (58, 49, 42)]
LIGHTS = {
    "green": (0.2, 0.6, 0.15),
    "blue": (0.1, 0.2, 0.8),
    "cyan": (0, 0.9, 0.9),
    "yellow": (0.9, 0.9, 0),
    "lime": (0, 1, 0),
}


@pytest.mark.parametrize("light", LIGHTS)
@pytest.mark.parametrize("skin", [*PALE, *DARK, *NEARLY_GREY])
def test_no_skin_turns_green(skin: tuple[int, int, int], light: str) -> None:
    """Also that of a face over a green dress, whose colours contrast more than the background's."""
    face, dress = (flat(np.array(colour) / 255, 1, 0.0) for colour in (skin, (40, 110, 40)))
    dressed = np.where(np.arange(50)[None, :, None] < 8, face, dress)
    step = next(step for step in load_recipe("comp-rssn-plus").steps if step.name == "harmonise")
    for foreground in (face, dressed):
        made = step.apply_to_scene(Scene(foreground, flat(LIGHTS[light], 2), half()), {"strength": 0.7}).foreground
        red, green, _ = 255 * made[:, :8].reshape(-1, 3).mean(axis=0)
        assert red >= green - (5 if skin in NEARLY_GREY else 0)
        if skin not in NEARLY_GREY:
            was, now = (rgb2lab(each[:1, :1])[0, 0, 1:] for each in (foreground, made))
            turned = np.degrees(np.arctan2(*now[::-1]) - np.arctan2(*was[::-1]))
            assert -50 < turned < 30, "towards blue and towards green"


def test_a_search_leaves_the_limits_alone() -> None:
    assert {one.max_colour for one in Harmonise().variations()} == {6.0}


def test_only_what_shows_is_looked_at() -> None:
    hidden = SCENE.background.copy()
    hidden[:, :25] = 0
    made = FREE.apply_to_scene(Scene(SCENE.foreground, hidden, half()), {"strength": 1.0})
    assert np.array_equal(made.foreground, FREE.apply_to_scene(SCENE, {"strength": 1.0}).foreground)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_where_one_does_not_show_nothing_is_changed(value: float) -> None:
    scene = Scene(SCENE.foreground, SCENE.background, np.full((40, 50), value, np.float32))
    assert FREE.apply_to_scene(scene, {"strength": 1.0}) is scene


def test_a_flat_foreground_stays_finite() -> None:
    grey = Scene(np.full((40, 50, 3), 0.5, np.float32), SCENE.background, half())
    made = FREE.apply_to_scene(grey, {"strength": 1.0}).foreground
    assert np.isfinite(made).all()
    assert 0 <= made.min() <= made.max() <= 1


def test_the_strength_is_drawn_from_its_range() -> None:
    drawn = [Harmonise(strengths=(0.2, 0.4)).draw(np.random.default_rng(seed))["strength"] for seed in range(200)]
    assert 0.2 <= min(drawn) < 0.21
    assert 0.39 < max(drawn) <= 0.4
    assert Harmonise().describe({"strength": 0.5}) == "0.50 of the way"
