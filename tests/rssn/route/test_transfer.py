from __future__ import annotations

import numpy as np
import pytest

from rssn.route.transfer import linear, srgb, to_linear, to_srgb

_VALUES = np.linspace(0, 1, 300_001).astype(np.float32)


def test_the_curves_are_those_of_the_standard() -> None:
    exact = _VALUES.astype(np.float64)
    light = np.where(exact <= 0.04045, exact / 12.92, ((exact + 0.055) / 1.055) ** 2.4)
    shown = np.where(exact <= 0.0031308, 12.92 * exact, 1.055 * exact ** (1 / 2.4) - 0.055)
    assert np.abs(to_linear(_VALUES) - light).max() < 1e-7
    assert np.abs(to_srgb(_VALUES) - shown).max() < 6e-7
    assert np.abs(to_srgb(to_linear(_VALUES)) - _VALUES).max() < 1e-6


def test_values_that_one_may_look_up() -> None:
    assert to_linear(np.float32([0, 0.04045, 0.5, 1])) == pytest.approx([0, 0.0031308, 0.21404114, 1], abs=1e-7)
    assert to_srgb(np.float32([0, 0.0031308, 0.18, 0.5, 1])) == pytest.approx(
        [0, 0.04045, 0.46135613, 0.73535698, 1], abs=6e-7
    )
    assert linear(0.5) == pytest.approx(0.21404114)
    assert srgb(linear(0.7)) == pytest.approx(0.7)


def test_below_black_they_are_mirrored_and_above_white_they_are_straight() -> None:
    assert np.array_equal(to_linear(-_VALUES), -to_linear(_VALUES))
    assert np.array_equal(to_srgb(-_VALUES), -to_srgb(_VALUES))
    assert to_linear(np.float32([1.1])) == pytest.approx(1 + 0.1 * 2.4 / 1.055)
    beyond = np.float32([-3, -1.5, 1.2, 4])
    assert to_srgb(to_linear(beyond)) == pytest.approx(beyond, abs=1e-6)


def test_any_shape_and_layout_is_taken() -> None:
    image = np.random.default_rng(0).random((5, 7, 3), dtype=np.float32)
    assert np.array_equal(to_linear(image[::-1, ::2]), to_linear(image)[::-1, ::2])
    assert to_srgb(image).shape == image.shape
    assert to_srgb(image).dtype == np.float32
    assert to_srgb(image[:0]).shape == (0, 7, 3)
