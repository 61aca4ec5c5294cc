from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.targets.morphology import dilate, erode


def opencv(mask: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    values = mask.astype(np.uint8)
    return cv2.dilate(values, ellipse) > 0, cv2.erode(values, ellipse) > 0


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 61), st.floats(0, 1), st.integers(0, 1 << 30))
def test_equals_opencv_to_the_bit(height: int, width: int, size: int, share: float, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share**4
    for candidate in (mask, ~mask):
        dilated, eroded = opencv(candidate, size)
        assert np.array_equal(dilate(candidate, size), dilated)
        assert np.array_equal(erode(candidate, size), eroded)


@pytest.mark.parametrize("size", [25, 50])
def test_strips_do_not_show(size: int) -> None:
    mask = np.random.default_rng(1).random((700, 120)) < 1e-3
    dilated, eroded = opencv(~mask, size)
    assert np.array_equal(dilate(~mask, size), dilated)
    assert np.array_equal(erode(~mask, size), eroded)
    assert np.array_equal(dilate(mask, size), ~eroded)
    assert 0.1 < dilate(mask, size).mean() < 0.9


@pytest.mark.parametrize("size", range(1, 130))
def test_a_point_becomes_the_ellipse(size: int) -> None:
    mask = np.zeros((300, 300), dtype=np.bool_)
    mask[150, 150] = True
    assert np.array_equal(dilate(mask, size), opencv(mask, size)[0])
