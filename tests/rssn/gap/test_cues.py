"""Every cue on a picture whose value is known."""

from __future__ import annotations

from dataclasses import fields

import cv2
import numpy as np
import pytest

from rssn.gap.cues import CUES, LETTERS, Act
from rssn.gap.patches import SIDE, cut_patches
from rssn.gap.pictures import patch_values
from rssn.image.arrays import Pixels, encode_jpeg, encode_pixels
from rssn.image.compression import compress, of_quality
from rssn.image.decoding import decode_pixels
from rssn.route.steps import find_step

_PX = 512
_WAVES = {"detail": 3.0, "texture": 6.0, "structure": 12.0, "contrast": 24.0}


def values(pixels: Pixels) -> dict[str, float]:
    """The mean of each cue over all patches."""
    found = patch_values(cut_patches(pixels, np.full(pixels.shape[:2], 255, np.uint8))).mean(0)
    return {cue.name: float(value) for cue, value in zip(CUES, found, strict=True)}


def grey(plane: np.ndarray) -> Pixels:
    return np.dstack([np.clip(np.rint(plane), 0, 255).astype(np.uint8)] * 3)


def noise(sigma: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, sigma, (_PX, _PX))


def of_chroma(plane: np.ndarray) -> Pixels:
    """A plane of Cr alone, on grey."""
    ycc = np.dstack([np.full_like(plane, 128), 128 + plane, np.full_like(plane, 128)])
    return cv2.cvtColor(np.clip(np.rint(ycc), 0, 255).astype(np.uint8), cv2.COLOR_YCrCb2RGB)


def natural() -> np.ndarray:
    """A field whose amplitude falls with the frequency, as in nature."""
    frequency = np.hypot(np.fft.fftfreq(_PX)[:, None], np.fft.fftfreq(_PX)[None])
    frequency[0, 0] = 1
    field = np.fft.ifft2(np.fft.fft2(noise(1)) / frequency).real
    return 128 + 40 * field / field.std()


def enlarged(plane: np.ndarray, factor: int) -> np.ndarray:
    small = cv2.resize(plane, (_PX // factor, _PX // factor), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (_PX, _PX), interpolation=cv2.INTER_CUBIC)


def halved_chroma(pixels: Pixels) -> Pixels:
    options = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    return decode_pixels(encode_pixels(".jpg", pixels, options))


def test_every_cue_has_a_letter_and_a_remedy() -> None:
    assert {cue.letter for cue in CUES} == set(LETTERS)
    assert len({cue.name for cue in CUES}) == len(CUES)
    assert all(cue.above and cue.below and cue.meaning for cue in CUES)


def test_remedies_name_steps_and_settings_that_there_are() -> None:
    named = {(act.step, act.setting) for cue in CUES for act in (*cue.above, *cue.below) if act.step}
    assert {"blur", "denoise", "jpeg", "harmonise", "match-grain", "match-sharpness"} <= {step for step, _ in named}
    for step, setting in named:
        assert setting in {field.name for field in fields(find_step(step))}, step


@pytest.mark.parametrize("sigma", [2.0, 8.0])
def test_noise_is_its_sigma(sigma: float) -> None:
    assert np.exp(values(grey(128 + noise(sigma)))["noise"]) == pytest.approx(sigma, rel=0.08)


@pytest.mark.parametrize("sigma", [4.0, 8.0])
def test_chroma_noise_is_its_sigma(sigma: float) -> None:
    found = values(of_chroma(noise(sigma)))
    assert np.exp(found["chroma noise"]) == pytest.approx(sigma, rel=0.1)
    assert np.exp(found["noise"]) < 0.6


@pytest.mark.parametrize(("name", "length"), _WAVES.items())
def test_a_wave_is_the_deviation_of_its_cue(name: str, length: float) -> None:
    wave = 128 + 30 * np.cos(2 * np.pi * np.arange(_PX) / length)[None].repeat(_PX, axis=0)
    found = values(grey(wave))
    assert np.exp(found[name]) == pytest.approx(30 / np.sqrt(2), rel=0.1)
    assert max(_WAVES, key=lambda each: found[each]) == name


def test_chroma_grain_is_the_mean_of_both_colour_differences() -> None:
    wave = 30 * np.cos(2 * np.pi * np.arange(_PX) / 6)[None].repeat(_PX, axis=0)
    log_of_one, floor = np.log(30 / np.sqrt(2)), np.log(1 / 48) / 2
    assert values(of_chroma(wave))["chroma grain"] == pytest.approx((log_of_one + floor) / 2, abs=0.5)


def test_edges_are_the_kurtosis_of_the_filters_response() -> None:
    assert values(grey(128 + noise(8)))["edges"] == pytest.approx(np.log(3), abs=0.1)
    dots = np.full((_PX, _PX), 128.0)
    dots[16::32, 16::32] = 200
    assert values(grey(dots))["edges"] > np.log(3) + 3


def test_a_natural_spectrum_is_straight_and_an_enlarged_one_is_bent() -> None:
    field = natural()
    assert abs(values(grey(field))["cut-off"]) < 0.2
    assert values(grey(enlarged(field, 3)))["cut-off"] < -1
    blurred = cv2.blur(field, (20, 20))
    assert values(grey(blurred + noise(0.5)))["cut-off"] > -0.2, "an averaging filter is no enlargement"


def test_blocks_are_steps_on_the_grid() -> None:
    dice = np.random.default_rng(0)
    steps = dice.integers(0, 2, (_PX // 8, _PX // 8)) * 20.0 + 100
    found = values(grey(np.kron(steps, np.ones((8, 8)))))["blocks"]
    assert found == pytest.approx(np.log((20 + 0.1) / 0.1), abs=0.1)  # both axes: 10 on the grid each, 0 off it
    assert abs(values(grey(128 + noise(8)))["blocks"]) < 0.02


def test_rounding_shows_jpeg_on_its_grid_alone() -> None:
    once = decode_pixels(encode_jpeg(grey(natural()), 75))
    assert values(once)["rounding"] > 0.4
    assert abs(values(grey(natural()))["rounding"]) < 0.03
    assert values(once[4:, 4:])["rounding"] < -0.2, "the grid lies elsewhere where a picture was cropped"


def test_halved_chroma_has_no_fine_colours() -> None:
    pixels = of_chroma(natural() - 128)
    assert values(halved_chroma(pixels))["chroma cut-off"] < values(pixels)["chroma cut-off"] - 0.3


def test_light_red_and_blue_are_luma_and_colour_differences() -> None:
    found = values(np.full((SIDE, SIDE, 3), (200, 100, 50), np.uint8))
    luma = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    assert found["light"] == pytest.approx(luma, abs=0.1)
    assert found["mean Cr"] == pytest.approx(128 + 0.713 * (200 - luma), abs=0.2)
    assert found["mean Cb"] == pytest.approx(128 + 0.564 * (50 - luma), abs=0.2)


def test_flat_patches_have_finite_values() -> None:
    assert np.isfinite(list(values(np.full((64, 64, 3), 255, np.uint8)).values())).all()


def test_chroma_cut_off_is_a_matter_of_subsampling_and_not_of_quality() -> None:
    """So its remedy names that setting."""
    pixels = of_chroma(natural() - 128)
    cut_off = {}
    for quality, subsampling in ((95, "4:4:4"), (75, "4:4:4"), (95, "4:2:0")):
        cut_off[quality, subsampling] = values(compress(pixels, of_quality(quality, subsampling)))["chroma cut-off"]
    assert cut_off[95, "4:2:0"] < cut_off[95, "4:4:4"] - 0.4
    assert cut_off[75, "4:4:4"] > cut_off[95, "4:4:4"], "a lower quality moves it the other way"
    (cue,) = (cue for cue in CUES if cue.name == "chroma cut-off")
    assert cue.above == cue.below == (Act("subsampling", "jpeg"),)
