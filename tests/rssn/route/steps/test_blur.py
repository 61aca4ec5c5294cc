from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from rssn.image.arrays import Image
from rssn.route.steps.blur import Blur, box_blur


def _random(*shape: int) -> Image:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


@pytest.mark.parametrize("size", [1, 3, 7, 21])
def test_blur_of_odd_sizes_is_the_mean_with_mirrored_borders(size: int) -> None:
    image = _random(40, 33, 3)
    expected = uniform_filter(image.astype(np.float64), (size, size, 1), mode="mirror")
    assert np.abs(box_blur(image, size) - expected).max() <= 1e-6


@pytest.mark.parametrize("size", [2, 20, 30])
def test_blur_of_even_sizes_reaches_one_further_up_and_left(size: int) -> None:
    image = _random(34, 38, 3)
    wide = np.pad(image.astype(np.float64), ((size, size), (size, size), (0, 0)), mode="reflect")
    expected = np.empty(image.shape)
    for y, x in np.ndindex(34, 38):
        top, left = y + size - size // 2, x + size - size // 2
        expected[y, x] = wide[top : top + size, left : left + size].mean(axis=(0, 1))
    assert np.abs(box_blur(image, size) - expected).max() <= 1e-6


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 30, 3), (8, 8, 3)])
def test_blur_of_a_picture_smaller_than_its_kernel(shape: tuple[int, int, int]) -> None:
    image = np.full(shape, 0.25, np.float32)
    assert np.abs(box_blur(image, 60) - 0.25).max() <= 1e-6


def test_the_step_filters_with_the_size_that_it_drew() -> None:
    step, image = Blur(sizes=(3, 5)), _random(20, 30, 3)
    drawn = [step.draw(np.random.default_rng(seed))["size"] for seed in range(40)]
    assert set(drawn) == {3, 5}
    assert np.array_equal(step.apply(image, {"size": 5}), box_blur(image, 5))
    assert step.describe({"size": 5}) == "5 px"
