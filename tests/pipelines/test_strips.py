from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipelines.strips import GAIN, STRIP_SIDE, blend_difference, step_strips
from rssn.images import Pixels, encode_png
from rssn.shards import DatasetFolder

Maker = Callable[..., Path]


def _layers(height: int = 700, width: int = 40) -> tuple[Pixels, Pixels, Pixels, Pixels]:
    dice = np.random.default_rng(3)
    alpha = dice.integers(0, 256, (height, width), np.uint8)
    foreground, background = (dice.integers(60, 190, (height, width, 3), np.uint8) for _ in range(2))
    share = alpha[..., None] / 255
    blend = np.rint(share * foreground + (1 - share) * background).astype(np.uint8)
    return alpha, foreground, background, blend


def test_a_blend_of_its_layers_has_no_difference() -> None:
    alpha, foreground, background, blend = _layers()
    found = blend_difference(blend, encode_png(alpha), foreground, background)
    assert abs(found.mean) < 0.02
    assert found.deviation == pytest.approx(1 / 12**0.5, rel=0.05)
    assert found.pixels.max() <= GAIN / 2


def test_what_was_added_is_measured_and_shown() -> None:
    alpha, foreground, background, blend = _layers()
    brighter = blend_difference(blend + 5, encode_png(alpha), foreground, background)
    assert brighter.mean == pytest.approx(5, abs=0.02)
    assert np.abs(brighter.pixels.astype(int) - 5 * GAIN).max() <= GAIN / 2 + 1
    noise = np.random.default_rng(0).normal(0, 10, blend.shape)
    noisy = np.clip(np.rint(blend + noise), 0, 255).astype(np.uint8)
    found = blend_difference(noisy, encode_png(alpha), foreground, background)
    assert found.deviation == pytest.approx(10, rel=0.02)
    assert found.pixels.max() == 255


def test_a_strip_has_six_tiles_and_says_when_the_original_is_gone(fake_composites: Maker) -> None:
    folder = DatasetFolder(fake_composites(foregrounds=1, suffix=".png", size=(96, 64)))
    strips = list(step_strips(folder, folder.marks(), Path("/nowhere"), 5))
    assert len(strips) == 2
    sheet = strips[0]
    assert sheet.shape[1] == 10 + 3 * (STRIP_SIDE + 10)
    assert (sheet[50, 10:490] == (250, 250, 248)).all()
    alpha = sheet[10:74, 500 : 500 + 96]
    assert alpha[0, 0].tolist() == [0, 0, 0]
    assert alpha[0, 95].tolist() == [255, 255, 255]
    assert (sheet[10:74, 990 : 990 + 96] == (200, 0, 0)).all()
