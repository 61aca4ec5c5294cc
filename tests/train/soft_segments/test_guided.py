from __future__ import annotations

import cv2
import numpy as np
import pytest

from train.soft_segments.guided import GuidedFilter

DICE = np.random.default_rng(5)


def direct(guide: np.ndarray, values: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """Window by window: least squares for slopes and offset; then the mean of the functions over the windows."""
    height, width = values.shape
    slopes, offsets = np.zeros((height, width, 3)), np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            window = np.s_[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
            colours, wanted = guide[window].reshape(-1, 3).astype(np.float64), values[window].ravel()
            design = np.vstack([
                np.column_stack([colours, np.ones(len(colours))]),
                np.sqrt(epsilon * len(colours)) * np.eye(4)[:3],
            ])  # fmt: skip
            found = np.linalg.lstsq(design, np.append(wanted, np.zeros(3)), rcond=None)[0]
            slopes[y, x], offsets[y, x] = found[:3], found[3]
    result = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            window = np.s_[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
            result[y, x] = slopes[window].reshape(-1, 3).mean(axis=0) @ guide[y, x] + offsets[window].mean()
    return result


@pytest.mark.parametrize(("radius", "epsilon"), [(1, 1e-2), (3, 1e-4)])
def test_the_filter_is_the_least_squares_of_each_window(radius: int, epsilon: float) -> None:
    guide = DICE.uniform(0, 1, (9, 12, 3)).astype(np.float32)
    values = DICE.uniform(-2, 2, (9, 12, 2)).astype(np.float32)
    found = GuidedFilter(guide, radius, epsilon).apply(values)
    for channel in range(2):
        np.testing.assert_allclose(found[..., channel], direct(guide, values[..., channel], radius, epsilon), atol=2e-5)


def test_what_is_linear_in_the_colours_is_enlarged_to_that_of_the_large_picture() -> None:
    large = cv2.resize(DICE.uniform(0, 1, (6, 8, 3)), (64, 48), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    small = cv2.resize(large, (16, 12), interpolation=cv2.INTER_AREA)
    slopes = np.array([0.5, -0.2, 0.3])
    found = GuidedFilter(small, 2, 1e-9).enlarge((small @ slopes + 0.1).astype(np.float32), large)
    np.testing.assert_allclose(found, large @ slopes + 0.1, atol=1e-3)


def test_enlarged_layers_that_add_up_to_1_still_do() -> None:
    large = DICE.uniform(0, 1, (40, 60, 3)).astype(np.float32)
    small = cv2.resize(large, (15, 10), interpolation=cv2.INTER_AREA)
    layers = DICE.dirichlet((1, 1, 1), (10, 15)).astype(np.float32)
    smooth = GuidedFilter(small, 2, 1e-4)
    total = sum(smooth.enlarge(layers[..., k], large) for k in range(3))
    np.testing.assert_allclose(total, 1, atol=1e-4)
