from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rssn.image.arrays import Image
from rssn.route.noise_level import estimate_floor, estimate_sigma


def ramp(height: int, width: int) -> Image:
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.stack([0.3 + 0.3 * rows / height, 0.3 + 0.3 * columns / width, 0.5 + 0 * rows], axis=2)


@pytest.mark.parametrize("sigma", [1.0, 5.0, 10.0, 25.0])
def test_the_noise_that_was_added_is_found(sigma: float) -> None:
    noise = np.random.default_rng(0).normal(0, sigma / 255, (301, 400, 3)).astype(np.float32)
    assert 255 * estimate_sigma(ramp(301, 400) + noise) == pytest.approx(sigma, rel=0.03, abs=0.05)
    assert 255 * estimate_sigma(ramp(301, 400)[..., 0] + noise[..., 0]) == pytest.approx(sigma, rel=0.05, abs=0.05)


def test_a_few_edges_change_little() -> None:
    noise = np.random.default_rng(1).normal(0, 10 / 255, (300, 400, 3)).astype(np.float32)
    edges = np.where(np.add.outer(np.arange(300), np.arange(400))[..., None] % 80 < 40, 0.3, 0.7).astype(np.float32)
    assert 255 * estimate_sigma(edges + noise) == pytest.approx(10, rel=0.1)


def test_clipped_areas_say_nothing() -> None:
    noise = np.random.default_rng(2).normal(0, 10 / 255, (300, 400, 3)).astype(np.float32)
    picture = ramp(300, 400) + noise
    picture[:200] = 1.0
    assert 255 * estimate_sigma(picture) == pytest.approx(10, rel=0.05)


def test_a_channel_without_noise_counts_as_one() -> None:
    noise = np.random.default_rng(3).normal(0, 9 / 255, (300, 400)).astype(np.float32)
    picture = np.stack([noise + 0.5, np.full_like(noise, 0.5), np.full_like(noise, 0.5)], axis=2)
    assert 255 * estimate_sigma(picture) == pytest.approx(3, rel=0.05)


@given(
    arrays.arrays(
        np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)), elements=st.floats(0, 1, width=32)
    )
)
def test_any_picture_has_a_number_in_range_and_a_constant_one_has_none(picture: Image) -> None:
    assert 0.0 <= estimate_sigma(picture) <= 100 / 255
    assert estimate_sigma(np.full_like(picture, 0.4)) == 0.0


@pytest.mark.parametrize("sigma", [0.5, 2.0, 6.0])
def test_the_floor_of_noise_on_a_flat_picture_is_its_deviation(sigma: float) -> None:
    noise = np.random.default_rng(0).normal(0, sigma / 255, (400, 600, 3))
    assert estimate_floor((0.5 + noise).astype(np.float32)) == pytest.approx(sigma / 255, rel=0.03)


def test_the_floor_is_that_of_flat_parts_whatever_else_is_there() -> None:
    rng = np.random.default_rng(1)
    picture = 0.5 + rng.normal(0, 2 / 255, (400, 600, 3))
    picture[:, 200:] += rng.normal(0, 30 / 255, (400, 400, 3))  # texture on two thirds
    floor = estimate_floor(picture.astype(np.float32))
    assert floor == pytest.approx(2 / 255, rel=0.12)


def test_only_blocks_that_count_are_measured() -> None:
    rng = np.random.default_rng(2)
    picture = 0.5 + rng.normal(0, 1 / 255, (320, 320, 3))
    picture[:, 160:] += rng.normal(0, 5 / 255, (320, 160, 3))
    left = np.zeros((320, 320), np.float32)
    left[:, :160] = 1
    pixels = picture.astype(np.float32)
    assert estimate_floor(pixels, left) == pytest.approx(1 / 255, rel=0.06)
    assert estimate_floor(pixels, 1 - left) == pytest.approx(26**0.5 / 255, rel=0.06)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_the_floor_of_8_bit_pictures_has_no_steps(sigma: float) -> None:
    """Their finest detail is a multiple of half a step; rounding itself adds a twelfth of a squared one."""
    noise = np.random.default_rng(0).normal(0, sigma, (400, 400, 3))
    rounded = (np.rint(127.5 + noise) / 255).astype(np.float32)
    assert 255 * (estimate_floor(rounded) or 0) == pytest.approx(np.hypot(sigma, 12**-0.5), rel=0.05)


def test_the_floor_of_what_is_flat_or_too_small_is_not_known() -> None:
    assert estimate_floor(np.full((400, 400, 3), 0.5, np.float32)) is None
    assert estimate_floor(np.random.default_rng(0).random((40, 40, 3), dtype=np.float32)) is None
