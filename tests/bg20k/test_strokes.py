from __future__ import annotations

import cv2
import numpy as np
import pytest

from bg20k.strokes import find_strokes
from rssn.image.arrays import Pixels


def ground(side: int = 540) -> Pixels:
    return np.full((side, side * 3 // 2), 100, np.uint8)


def test_a_bar_is_one_stroke_with_its_sizes() -> None:
    picture = ground()
    picture[100:160, 200:212] = 220
    found = find_strokes(picture)
    found = found[found.scale == 1]
    assert len(found) == 1
    assert (found.left[0], found.top[0], found.width[0], found.height[0], found.area[0]) == (200, 100, 12, 60, 720)
    assert found.thickness[0] == pytest.approx(12, abs=1)
    assert (found.brightness[0], found.contrast[0]) == (220, 120)
    assert (found.unevenness[0], found.unrest[0]) == (0, 0)


def test_a_dark_bar_has_negative_contrast() -> None:
    picture = ground()
    picture[100:160, 200:212] = 20
    found = find_strokes(picture)
    assert set(found.contrast) == {-80.0}
    assert set(found.brightness) == {20.0}


def test_a_large_picture_is_looked_at_at_two_sizes() -> None:
    picture = ground(1080)
    picture[200:320, 400:424] = 220
    found = find_strokes(picture)
    assert set(found.scale) == {2.0, 4.0}
    assert found.height == pytest.approx(120, abs=8)
    assert found.left == pytest.approx(400, abs=8)


def test_long_lines_areas_and_grain_are_no_strokes() -> None:
    rail, area = ground(), ground()
    rail[300:306, 10:700] = 220
    area[100:400, 100:400] = 220
    grain = np.random.default_rng(0).normal(100, 40, (540, 810)).clip(0, 255).astype(np.uint8)
    assert [len(find_strokes(one)) for one in (ground(), rail, area)] == [0, 0, 0]
    assert (find_strokes(grain).unevenness > 0).all()


def test_shading_within_a_stroke_is_unevenness() -> None:
    picture = ground()
    cv2.rectangle(picture, (200, 100), (211, 159), 220, -1)
    picture[100:160, 200:212] -= np.arange(60, dtype=np.uint8)[:, None] // 3
    found = find_strokes(picture)
    assert found.unevenness[found.scale == 1] == pytest.approx(np.std(np.arange(1, 59) // 3), abs=0.5)
