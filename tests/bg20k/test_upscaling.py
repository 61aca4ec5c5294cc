from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from bg20k.candidates import resized_size
from bg20k.rules import CurationRules
from bg20k.upscaling import high_frequency_ratio
from rssn.image.arrays import Pixels, encode_jpeg, resize_area
from rssn.image.decoding import decode_pixels
from rssn.image.photograph import decode_photograph

FILTERS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}
NAMES = (
    "beacon-street-sunset", "egg-basket", "kitten-on-lawn", "morning-at-sea",
    "roman-colosseum", "serene", "taipei-city", "tea-gardens",
)  # fmt: skip


def test_white_noise_has_equal_energy_everywhere() -> None:
    noise = np.random.default_rng(0).normal(128, 30, (20, 256, 256)).clip(0, 255).astype(np.uint8)
    assert [high_frequency_ratio(noise[n : n + 1]) for n in range(20)] == pytest.approx([1.0] * 20, abs=0.15)


@pytest.mark.parametrize(("share", "expected"), [(0.3, 0.0), (0.65, 1e3)])
def test_a_wave_counts_in_its_band(share: float, expected: float) -> None:
    wave = 128 + 100 * np.sin(np.pi * share * np.arange(256))
    for tile in (np.tile(wave, (256, 1)), np.tile(wave, (256, 1)).T):
        found = high_frequency_ratio(tile.round().astype(np.uint8)[None])
        assert found == pytest.approx(0.0, abs=1e-3) if expected == 0 else found > 20


def test_the_sharpest_sample_decides_and_a_flat_one_says_nothing() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (1, 256, 256), dtype=np.uint8)
    flat = np.full((3, 256, 256), 90, np.uint8)
    assert high_frequency_ratio(np.concatenate([flat, noise])) == high_frequency_ratio(noise)
    assert high_frequency_ratio(flat) == pytest.approx(0.0, abs=1e-6)
    assert high_frequency_ratio(noise[:0]) is None


@pytest.fixture(scope="module")
def sharp(shared: Path) -> list[Pixels]:
    """Photographs of 1200 px, sharp down to the pixel."""
    found = []
    for name in NAMES:
        whole = decode_pixels((shared / "data/photos" / f"{name}.jpg").read_bytes())
        found.append(resize_area(whole, *resized_size(whole.shape[1], whole.shape[0], 1200)))
    return found


def flagged(photographs: list[Pixels]) -> float:
    """The share of photographs that fall below the threshold, stored as JPEG and read as the curation reads them."""
    found = [high_frequency_ratio(decode_photograph(encode_jpeg(one, 90), 1080).tiles) for one in photographs]
    return sum(value is not None and value < CurationRules().thresholds["upscaled"] for value in found) / len(found)


@pytest.mark.slow
def test_sharp_photographs_are_not_flagged(sharp: list[Pixels]) -> None:
    assert flagged(sharp) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("factor", "name", "least"),
    [(2, "linear", 0.7), (2, "cubic", 0.7), (2, "lanczos", 0.7), (4, "cubic", 0.9)],
)
def test_enlarged_photographs_are_flagged(sharp: list[Pixels], factor: float, name: str, least: float) -> None:
    enlarged = (cv2.resize(one, None, fx=factor, fy=factor, interpolation=FILTERS[name]) for one in sharp)
    assert flagged([np.asarray(one, dtype=np.uint8) for one in enlarged]) >= least


def test_an_enlargement_by_a_half_passes_for_a_soft_lens(sharp: list[Pixels]) -> None:
    """What the measure cannot do, held fast so that nobody promises it."""
    enlarged = [cv2.resize(one, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_CUBIC) for one in sharp]
    assert flagged([np.asarray(one, dtype=np.uint8) for one in enlarged]) <= 0.5
