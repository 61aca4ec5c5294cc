from __future__ import annotations

import numpy as np
import pytest

from rssn.gap.cues import CUES
from rssn.gap.patches import BANDS, SIDE, cut_patches
from rssn.gap.pictures import patch_values


def test_a_patch_lies_wholly_in_one_side() -> None:
    alpha = np.full((100, 140), 128, np.uint8)  # 3 x 4 patches, and a rest that belongs to none
    alpha[:32, :64] = 253
    alpha[32:64, 32:128] = 2
    alpha[0, 0] = 252
    alpha[40, 40] = 3
    found = cut_patches(np.zeros((100, 140, 3), np.uint8), alpha)
    assert found.places.tolist() == [[0, 1], [1, 2], [1, 3]]
    assert found.in_foreground.tolist() == [True, False, False]


def test_nothing_outside_a_patch_is_looked_at() -> None:
    dice = np.random.default_rng(0)
    pixels = dice.integers(0, 256, (96, 96, 3), dtype=np.uint8)
    alpha = np.full((96, 96), 128, np.uint8)
    alpha[32:64, 32:64] = 255
    before = patch_values(cut_patches(pixels, alpha))
    changed = dice.integers(0, 256, (96, 96, 3), dtype=np.uint8)
    changed[32:64, 32:64] = pixels[32:64, 32:64]
    assert before.shape == (1, len(CUES))
    assert np.array_equal(patch_values(cut_patches(changed, alpha)), before)


@pytest.mark.parametrize("band", range(len(BANDS)))
def test_a_wave_is_in_the_band_of_its_length(band: int) -> None:
    number = round(np.mean(BANDS[band]))
    wave = 20 * np.cos(np.pi * number * (np.arange(SIDE) + 0.5) / SIDE)
    grey = np.rint(128 + np.tile(wave, (SIDE, 1))).astype(np.uint8)
    found = cut_patches(np.dstack([grey] * 3), np.full((SIDE, SIDE), 255, np.uint8)).bands[0, 0]
    assert np.exp(found[band]) == pytest.approx(20 / np.sqrt(2), rel=0.02)
    assert np.exp(np.delete(found, band)).max() < 0.5


def test_another_alpha_is_refused() -> None:
    with pytest.raises(ValueError, match="its alpha"):
        cut_patches(np.zeros((64, 64, 3), np.uint8), np.zeros((64, 32), np.uint8))
