from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from rssn.image.arrays import Alpha, Image
from rssn.image.decoding import decode_image
from rssn.route.sharpness import blur_to, estimate_spread
from rssn.route.steps.blur import box_blur
from rssn.route.steps.bokeh import aperture, aperture_blur
from rssn.route.steps.grain import add_grain
from rssn.sources.mattes import read_matte


def edges(deviation: float, noise: float = 0.0) -> Image:
    """Steps in all directions, blurred by a Gaussian: rendered eight times as large, so that pixels are areas."""
    rng, side = np.random.default_rng(1), 256
    large = np.full((8 * side, 8 * side), 0.5, np.float32)
    for _ in range(9):
        centre, radius = rng.integers(0, 8 * side, 2).tolist(), int(rng.integers(200, 700))
        cv2.circle(large, centre, radius, float(rng.uniform(0.1, 0.9)), -1)
    if deviation:
        large = np.asarray(cv2.GaussianBlur(large, (0, 0), 8 * deviation), np.float32)
    small = np.asarray(cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA), np.float32)
    small = small + rng.normal(0, noise / 255, small.shape).astype(np.float32)
    return np.asarray(cv2.merge([small] * 3), np.float32)


def discs(side: int = 1024) -> Image:
    """Sharp discs of 20 to 180 px, one over the other."""
    rng, plane = np.random.default_rng(3), np.full((side, side), 0.5, np.float32)
    for _ in range(60):
        centre, radius = rng.integers(0, side, 2).tolist(), int(rng.integers(20, 180))
        cv2.circle(plane, centre, radius, float(rng.uniform(0.1, 0.9)), -1, cv2.LINE_AA)
    return np.asarray(cv2.merge([plane] * 3), np.float32)


def noisy(image: Image, kind: str) -> Image:
    if kind == "grain 4":
        return add_grain(image, 4 / 255, 0.01, 5)
    noise = np.random.default_rng(0).normal(0, float(kind) / 255, image.shape)
    return np.asarray(image + noise, np.float32)


@pytest.mark.parametrize("noise", ["0", "2", "8", "grain 4"])
@pytest.mark.parametrize("size", [8, 12, 20, 40, 60])
def test_the_spread_of_boxes_is_found(size: int, noise: str) -> None:
    found = estimate_spread(noisy(box_blur(discs(), size), noise))
    assert found == pytest.approx(size / 12**0.5, rel=0.2)


@pytest.mark.parametrize("size", [100, 200])
def test_what_is_too_soft_to_measure_is_soft(size: int) -> None:
    found = estimate_spread(noisy(box_blur(discs(), size), "2"))
    assert found is not None
    assert 20 < found <= 40


@pytest.mark.parametrize(("name", "least"), [("sample2", 15), ("sample4", 3.5), ("sample9", 9), ("sample13", None)])
def test_soft_backgrounds_of_photographs_are_not_as_sharp_as_their_noise(
    shared: Path, name: str, least: float | None
) -> None:
    """A meadow and a wall far behind the subject, and a hedge near it; the last one is sharp all over."""
    picture = decode_image((shared / f"data/am2k/original/{name}.jpg").read_bytes())
    alpha = read_matte((shared / f"data/am2k/mask/{name}.png").read_bytes()).alpha
    front, back = estimate_spread(picture, alpha), estimate_spread(picture, np.asarray(1 - alpha, np.float32))
    assert front is not None
    assert back is not None
    assert front < 0.5
    assert back > least if least else back < 0.5


@pytest.mark.parametrize("noise", ["0", "2", "8", "grain 4"])
@pytest.mark.parametrize("radius", [4, 8, 16, 24])
def test_the_spread_of_discs_in_linear_light_is_found(radius: int, noise: str) -> None:
    found = estimate_spread(noisy(aperture_blur(discs(), aperture(radius, 0, 0.0), 0.0), noise))
    assert found == pytest.approx(radius / 2, rel=0.2)


@pytest.mark.parametrize("deviation", [0.7, 1.0, 1.5, 2.5, 4.0])
def test_the_spread_of_blurred_steps_is_found(deviation: float) -> None:
    assert estimate_spread(edges(deviation)) == pytest.approx(np.hypot(deviation, 12**-0.5), rel=0.11)


def test_a_step_from_pixel_to_pixel_has_next_to_no_spread() -> None:
    found = estimate_spread(edges(0.0))
    assert found is not None
    assert found < 0.45


def test_noise_changes_little() -> None:
    clean, noisy = estimate_spread(edges(1.5)), estimate_spread(edges(1.5, noise=4))
    assert clean is not None
    assert noisy == pytest.approx(clean, rel=0.12)


def test_without_edges_nothing_is_said() -> None:
    assert estimate_spread(np.full((64, 64, 3), 0.4, np.float32)) is None
    assert estimate_spread(edges(1.0), np.zeros((256, 256), np.float32)) is None


def test_only_what_counts_is_measured() -> None:
    both = np.concatenate([edges(0.8), edges(3.0)], axis=1)
    left: Alpha = np.zeros(both.shape[:2], np.float32)
    left[:, :240] = 1
    one, other = estimate_spread(both, left), estimate_spread(both, 1 - left)
    assert one == pytest.approx(0.85, rel=0.15)
    assert other == pytest.approx(3.0, rel=0.18)


def test_a_picture_is_blurred_to_the_wanted_spread() -> None:
    sharp = edges(1.0)
    made = estimate_spread(blur_to(sharp, 1.0, 2.0))
    assert made == pytest.approx(2.0, rel=0.1)
    assert blur_to(sharp, 2.0, 1.5) is sharp
