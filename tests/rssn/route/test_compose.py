from __future__ import annotations

from dataclasses import replace
from typing import get_args

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rssn.errors import InputError
from rssn.image.arrays import Alpha, Image
from rssn.route.compose import Crop, blend, compose, fit_background, fitted_size, place_crop, upscaling
from rssn.route.draw import Draw
from rssn.route.recipe import Fit, Recipe
from rssn.route.step import CutOut, Step, Values
from rssn.route.steps.blur import Blur, box_blur
from rssn.route.steps.noise import Noise, add_noise
from rssn.storage.settings import settings

_PLAIN = Draw(seed=1, crop_x=0.0, crop_y=0.0, steps={})
_RECIPE = Recipe("steps", steps=(Blur(), Noise()))


def _random(*shape: int, seed: int = 0) -> Image:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def _layers(height: int = 12, width: int = 15) -> tuple[Image, Image, Alpha]:
    alpha = np.clip(_random(height, width, seed=3) * 1.6 - 0.3, 0, 1).astype(np.float32)
    return _random(height, width, 3, seed=1), _random(height, width, 3, seed=2), alpha


def test_blend_is_exact_where_alpha_is_0_or_1() -> None:
    foreground, background, alpha = _layers()
    image = blend(foreground, background, alpha)
    assert np.array_equal(image[alpha == 1], foreground[alpha == 1])
    assert np.array_equal(image[alpha == 0], background[alpha == 0])
    assert image.dtype == np.float32


def test_blend_is_equation_1_in_a_slow_loop() -> None:
    foreground, background, alpha = _layers(5, 6)
    image = blend(foreground, background, alpha)
    for y, x, c in np.ndindex(5, 6, 3):
        share = float(alpha[y, x])
        expected = share * float(foreground[y, x, c]) + (1 - share) * float(background[y, x, c])
        assert abs(float(image[y, x, c]) - expected) <= 2e-7


@given(st.floats(0, 1), st.integers(0, 1000))
def test_blend_is_linear_in_the_layers(weight: float, seed: int) -> None:
    f1, f2, b1, b2 = (_random(4, 5, 3, seed=seed + n) for n in range(4))
    alpha, share = _random(4, 5, seed=seed + 9), np.float32(weight)
    mixed = blend(share * f1 + (1 - share) * f2, share * b1 + (1 - share) * b2, alpha)
    assert np.allclose(mixed, share * blend(f1, b1, alpha) + (1 - share) * blend(f2, b2, alpha), atol=1e-6)


@given(st.integers(0, 1000))
def test_blend_stays_between_its_layers(seed: int) -> None:
    foreground, background, alpha = (
        _random(4, 5, 3, seed=seed),
        _random(4, 5, 3, seed=seed + 1),
        _random(4, 5, seed=seed),
    )
    image = blend(foreground, background, alpha)
    assert np.all(image <= np.maximum(foreground, background) + 1e-6)
    assert np.all(image >= np.minimum(foreground, background) - 1e-6)


@pytest.mark.parametrize("shapes", [((4, 5, 3), (5, 4, 3), (4, 5)), ((4, 5, 3), (4, 5, 3), (5, 4))])
def test_blend_refuses_shapes_that_differ(shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(InputError, match="shapes differ"):
        blend(*(np.zeros(shape, np.float32) for shape in shapes))


def cover(size: tuple[int, int], frame: tuple[int, int], x: float = 0.0, y: float = 0.0) -> tuple[int, int, Crop]:
    fitted = fitted_size(size, frame, "cover")
    return *fitted, place_crop(fitted, frame, replace(_PLAIN, crop_x=x, crop_y=y))


def fit(background: Image, frame: tuple[int, int], drawn: Draw, how: Fit = "cover") -> tuple[Image, Crop]:
    fitted = fitted_size((background.shape[1], background.shape[0]), frame, how)
    crop = place_crop(fitted, frame, drawn)
    return fit_background(background, fitted, crop), crop


@given(
    st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    st.tuples(st.integers(1, 2000), st.integers(1, 2000)),
    st.tuples(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True)),
)
def test_a_background_covers_its_frame(
    size: tuple[int, int], frame: tuple[int, int], position: tuple[float, float]
) -> None:
    width, height, crop = cover(size, frame, *position)
    assert (crop.width, crop.height) == frame
    assert 0 <= crop.x <= width - frame[0]
    assert 0 <= crop.y <= height - frame[1]
    assert width == frame[0] or height == frame[1]
    scale = max(frame[0] / size[0], frame[1] / size[1])
    assert abs(width - size[0] * scale) <= 0.5 + 1e-6
    assert abs(height - size[1] * scale) <= 0.5 + 1e-6


@given(st.integers(1, 30), st.integers(1, 30))
def test_every_position_is_reached(extra: int, side: int) -> None:
    size, frame = (side + extra, side), (side, side)
    shares = [(step + 0.5) / (extra + 1) for step in range(extra + 1)]
    assert [cover(size, frame, share)[2].x for share in shares] == list(range(extra + 1))
    assert cover(size, frame, np.nextafter(1.0, 0.0))[2].x == extra
    upright = [cover(size[::-1], frame, 0.0, share)[2].y for share in shares]
    assert upright == list(range(extra + 1))


def test_cover_keeps_shape_and_stretch_does_not() -> None:
    y, x = np.mgrid[0:200, 0:400]
    round_dot = (np.hypot(y - 100, x - 200) < 60).astype(np.float32)
    background = np.repeat(round_dot[:, :, None], 3, axis=2)
    middle = replace(_PLAIN, crop_x=0.5, crop_y=0.5)
    covered, crop = fit(background, (100, 100), middle)
    assert crop == Crop(50, 0, 100, 100)
    columns, rows = np.ptp(np.nonzero(covered[:, :, 0] > 0.5), axis=1)
    assert abs(columns - rows) <= 1
    stretched, crop = fit(background, (100, 100), middle, "stretch")
    assert crop == Crop(0, 0, 100, 100)
    rows, columns = np.ptp(np.nonzero(stretched[:, :, 0] > 0.5), axis=1)
    assert abs(rows - 2 * columns) <= 2


def test_fit_cuts_the_crop_that_it_reports() -> None:
    background = _random(30, 50, 3)
    found, crop = fit(background, (30, 30), replace(_PLAIN, crop_x=0.99))
    assert crop == Crop(20, 0, 30, 30)
    assert np.array_equal(found, background[:, 20:50])
    assert found.flags.c_contiguous
    halved, crop = fit(background, (10, 15), replace(_PLAIN, crop_x=0.5))
    assert np.array_equal(
        halved, cv2.resize(background, (25, 15), interpolation=cv2.INTER_AREA)[:, crop.x : crop.x + 10]
    )
    means = background.reshape(15, 2, 25, 2, 3).mean(axis=(1, 3))
    assert np.abs(halved - means[:, crop.x : crop.x + 10]).max() <= 1e-6


@given(st.tuples(st.integers(1, 40), st.integers(1, 40)), st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_fit_gives_the_frame_in_range(size: tuple[int, int], frame: tuple[int, int]) -> None:
    assume(max(frame) <= 40 * min(size))
    sharp = (_random(size[1], size[0], 3) > 0.5).astype(np.float32)
    for how in get_args(Fit):
        found, crop = fit(sharp, frame, _PLAIN, how)
        assert found.shape == (frame[1], frame[0], 3) == (crop.height, crop.width, 3)
        assert found.dtype == np.float32
        assert found.min() >= 0
        assert found.max() <= 1


@given(st.tuples(st.integers(1, 3000), st.integers(1, 3000)), st.tuples(st.integers(1, 2000), st.integers(1, 2000)))
def test_upscaling_is_what_covering_asks_for(size: tuple[int, int], frame: tuple[int, int]) -> None:
    (factor,) = upscaling(np.array([size]), frame)
    width, height = fitted_size(size, frame, "cover")
    assert abs(width - factor * size[0]) <= 0.5 + 1e-6
    assert abs(height - factor * size[1]) <= 0.5 + 1e-6


def test_a_plain_draw_blends_and_nothing_else() -> None:
    foreground, background, alpha = _layers()
    found = compose(
        CutOut(foreground, alpha), background, _RECIPE, replace(_PLAIN, steps={"blur": None, "noise": None})
    )
    assert np.array_equal(found.image, blend(foreground, background, alpha))
    assert found.background is background
    assert found.foreground is foreground
    assert found.alpha is alpha


def test_blur_touches_the_background_only() -> None:
    foreground, background, alpha = _layers(40, 44)
    found = compose(CutOut(foreground, alpha), background, _RECIPE, replace(_PLAIN, steps={"blur": {"size": 20}}))
    assert np.array_equal(found.background, box_blur(background, 20))
    assert found.foreground is foreground
    assert np.array_equal(found.image, blend(foreground, box_blur(background, 20), alpha))


def test_noise_touches_the_composite_only() -> None:
    foreground, background, alpha = _layers(40, 44)
    drawn = replace(_PLAIN, steps={"blur": {"size": 30}, "noise": {"sigma": 10.0, "seed": 9}})
    found = compose(CutOut(foreground, alpha), background, _RECIPE, drawn)
    clean = blend(found.foreground, found.background, alpha)
    assert np.array_equal(found.background, box_blur(background, 30))
    assert np.array_equal(found.image, add_noise(clean, 10 / 255, 9))
    assert abs(float((found.image - clean).std()) * 255 - 10) < 0.5


@settings
class _Halve(Step):
    """Darkens the composite, and F and B with it."""

    name = "halve"
    acts_on = "composite"
    stage = "composite"
    reference = "this test"
    also_on_layers = True

    def draw(self, dice: np.random.Generator) -> Values:
        return {}

    def apply(self, pixels: Image, values: Values) -> Image:
        return pixels / 2

    def describe(self, values: Values) -> str:
        return "halved"

    @property
    def cpu_seconds(self) -> float:
        return 0.0


def test_a_step_on_the_composite_may_act_on_the_stored_layers_in_the_same_way() -> None:
    foreground, background, alpha = _layers(40, 44)
    recipe = Recipe("halved", steps=(_Halve(), Noise()))
    drawn = replace(_PLAIN, steps={"halve": {}, "noise": {"sigma": 10.0, "seed": 9}})
    found = compose(CutOut(foreground, alpha), background, recipe, drawn)
    assert np.array_equal(found.foreground, foreground / 2)
    assert np.array_equal(found.background, background / 2)
    assert np.allclose(found.image, add_noise(blend(found.foreground, found.background, alpha), 10 / 255, 9), atol=1e-6)
