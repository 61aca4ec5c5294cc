from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from bg20k.candidates import resized_size
from bg20k.rules import CurationRules
from bg20k.upscaling import traces, upscaling_score
from bg20k.upscaling_weights import WEIGHTS
from rssn.image.arrays import Pixels, encode_jpeg, resize_area
from rssn.image.decoding import decode_pixels
from rssn.image.photograph import decode_photograph

FILTERS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}
NAMES = (
    "beacon-street-sunset", "egg-basket", "kitten-on-lawn", "morning-at-sea",
    "roman-colosseum", "serene", "taipei-city", "tea-gardens",
)  # fmt: skip
BANDS, RINGS, SHARPEST = slice(1, 33), slice(33, 49), slice(49, 65)  # places among the traces; the first is the level
FIRST, THIRD = slice(65, 83), slice(83, 101)  # rhythms of first and of third differences
AT_A_THIRD = (85 - 16) // 8  # place of a third of the frequencies among the rhythms
AT_A_HALF = -1


def noise(seed: int, shape: tuple[int, int] = (256, 256)) -> Pixels:
    return np.random.default_rng(seed).normal(128, 20, shape).clip(0, 255).astype(np.uint8)


def enlarged(factor: float, name: str = "linear") -> Pixels:
    return np.asarray(
        cv2.resize(noise(0, (320, 320)), None, fx=factor, fy=factor, interpolation=FILTERS[name]), np.uint8
    )


def test_there_is_a_weight_for_every_trace() -> None:
    assert traces(noise(0)[None]).shape == (len(WEIGHTS),) == (101,)


def test_white_noise_has_equal_energy_everywhere_and_no_rhythm() -> None:
    found = traces(np.stack([noise(seed) for seed in range(36)]))
    assert found[0] == pytest.approx(np.log(400), abs=0.05)
    assert found[BANDS] == pytest.approx([0.0] * 32, abs=0.1)
    assert found[RINGS] == pytest.approx([0.0] * 16, abs=0.1)
    assert (found[SHARPEST] < 0.6).all()
    assert abs(found[FIRST.start :]).max() < 1.0


@pytest.mark.parametrize(("factor", "place"), [(1.5, AT_A_THIRD), (2.0, AT_A_HALF)])
def test_an_enlargement_has_a_rhythm_of_its_factor(factor: float, place: int) -> None:
    beats = traces(enlarged(factor)[None, 64:320, 64:320])
    assert beats[FIRST][place] > 3.0
    assert traces(noise(1)[None])[FIRST][place] < 1.5


def test_an_enlargement_lacks_high_frequencies() -> None:
    found = traces(enlarged(2.0, "lanczos")[None, 64:320, 64:320])
    assert found[BANDS][26:].max() < -2.0
    assert found[RINGS][10:].max() < -3.0
    assert found[SHARPEST][10:].max() < -3.0


@pytest.mark.parametrize(("share", "ring"), [(0.3, 4), (0.65, 10)])
def test_a_wave_counts_in_its_ring(share: float, ring: int) -> None:
    wave = np.tile(128 + 100 * np.sin(np.pi * share * np.arange(256)), (256, 1)).round().astype(np.uint8)
    for tile in (wave, wave.T):
        assert traces(tile[None])[RINGS].argmax() == ring


def test_lines_and_columns_count_alike() -> None:
    tile = enlarged(1.5)[None, :256, :256]
    assert traces(tile) == pytest.approx(
        traces(tile.transpose(0, 2, 1)), abs=0.05
    )  # but for OpenCV's odd first and last column


def test_a_flat_sample_can_be_judged_and_none_cannot() -> None:
    flat = np.full((3, 256, 256), 90, np.uint8)
    assert np.isfinite(traces(flat)).all()
    assert 0.0 <= (upscaling_score(flat) or 0.0) <= 1.0
    assert upscaling_score(flat[:0]) is None


@pytest.fixture(scope="module")
def sharp(shared: Path) -> list[Pixels]:
    """Photographs of 1200 px, sharp down to the pixel."""
    found = []
    for name in NAMES:
        whole = decode_pixels((shared / "data/photos" / f"{name}.jpg").read_bytes())
        found.append(resize_area(whole, *resized_size(whole.shape[1], whole.shape[0], 1200)))
    return found


def flagged(photographs: list[Pixels], quality: int) -> int:
    """How many photographs reach the limit, stored as JPEG and read as the curation reads them."""
    found = [upscaling_score(decode_photograph(encode_jpeg(one, quality), 1080).tiles) for one in photographs]
    return sum(value is not None and value >= CurationRules().thresholds["upscaled"] for value in found)


@pytest.mark.slow
@pytest.mark.parametrize("quality", [90, 75])
def test_sharp_photographs_are_not_flagged(sharp: list[Pixels], quality: int) -> None:
    assert flagged(sharp, quality) == 0


@pytest.mark.slow
def test_defocused_photographs_are_not_flagged(sharp: list[Pixels]) -> None:
    rng = np.random.default_rng(0)
    soft = (cv2.GaussianBlur(one, (0, 0), 2.0) + rng.normal(0, 1.5, one.shape) for one in sharp)
    assert flagged([np.clip(np.rint(one), 0, 255).astype(np.uint8) for one in soft], 90) <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("factor", "name", "quality", "least"),
    [(1.5, "linear", 90, 7), (1.5, "cubic", 90, 7), (1.5, "cubic", 75, 6), (2, "lanczos", 90, 7), (2, "lanczos", 75, 7),
     (2, "cubic", 90, 5), (2, "cubic", 75, 3), (4, "cubic", 90, 6)],
)  # fmt: skip
def test_enlarged_photographs_are_flagged(
    sharp: list[Pixels], factor: float, name: str, quality: int, least: int
) -> None:
    """Sources shrunk by averaging and enlarged by exactly 2 are the hardest: a rule that finds them flags soft ones."""
    larger = (cv2.resize(one, None, fx=factor, fy=factor, interpolation=FILTERS[name]) for one in sharp)
    assert flagged([np.asarray(one, dtype=np.uint8) for one in larger], quality) >= least
