from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from bg20k.candidates import examine, resized_size
from bg20k.rules import CurationRules
from rssn.errors import Rejected
from rssn.image.arrays import encode_png
from rssn.storage.files import content_id

RULES = CurationRules(min_side=240)


def test_a_large_photograph_is_resized_and_measured(render) -> None:
    data = encode_png(render(1, 640, 480))
    found = examine(data, RULES)
    assert found.pixels.shape == (240, 320, 3)
    assert (found.source_width, found.source_height) == (640, 480)
    assert found.background_id == content_id(data)
    means = render(1, 640, 480).reshape(240, 2, 320, 2, 3).mean(axis=(1, 3))
    assert np.abs(found.pixels - means).max() <= 0.5 + 1e-6


def test_a_photograph_at_the_limit_keeps_its_pixels(render) -> None:
    pixels = render(2, 240, 300)
    np.testing.assert_array_equal(examine(encode_png(pixels), RULES).pixels, pixels)


def test_the_shorter_side_counts_after_rotation_by_exif(render) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    PillowImage.fromarray(render(3, 480, 360)).save(stream, "JPEG", exif=exif)
    found = examine(stream.getvalue(), RULES)
    assert (found.source_width, found.source_height) == (360, 480)
    assert found.pixels.shape == (320, 240, 3)


@pytest.mark.parametrize("size", [(239, 900), (900, 239)])
def test_a_small_photograph_is_refused_from_its_header(render, size: tuple[int, int]) -> None:
    header_only = encode_png(render(4, *size))[:100]
    with pytest.raises(Rejected) as caught:
        examine(header_only, RULES)
    assert (caught.value.stage, caught.value.reason) == ("resolution", "too_small")
    assert caught.value.message == f"{size[0]} x {size[1]} px; the shorter side must have 240 px or more"


def test_a_strip_that_no_jpeg_can_hold_is_refused_from_its_header() -> None:
    with pytest.raises(Rejected) as caught:
        examine(encode_png(np.zeros((2, 65_502, 3), np.uint8))[:100], CurationRules(min_side=2))
    assert (caught.value.stage, caught.value.reason) == ("resolution", "too_long")


def test_a_damaged_photograph_is_refused_by_the_reader(render) -> None:
    with pytest.raises(Rejected) as caught:
        examine(encode_png(render(5, 400, 300))[:-5000], RULES)
    assert (caught.value.stage, caught.value.reason) == ("read", "truncated")


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 64))
@settings(max_examples=60, deadline=None)
def test_the_shorter_side_is_exact_and_the_longer_rounds_to_nearest(width: int, height: int, side: int) -> None:
    result = resized_size(width, height, side)
    shorter, longer = sorted((width, height))
    assert min(result) == side
    assert abs(max(result) - longer * side / shorter) <= 0.5
    assert (result[0] >= result[1]) == (width >= height) or result[0] == result[1]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_no_background(mode: str, render) -> None:
    def stored(alpha: np.ndarray) -> bytes:
        picture = PillowImage.fromarray(np.dstack([render(4, 400, 300), alpha.astype(np.uint8)]))
        stream = io.BytesIO()
        (picture.quantize(64) if mode == "P" else picture.convert(mode)).save(stream, "PNG")
        return stream.getvalue()

    alpha = np.full((300, 400), 255)
    assert examine(stored(alpha), RULES).pixels.shape == (240, 320, 3)
    alpha[:3, :3] = 0  # stray pixels
    assert examine(stored(alpha), RULES).pixels.shape == (240, 320, 3)
    alpha[:60] = 0
    with pytest.raises(Rejected, match=r"20\.\d% of it is transparent") as caught:
        examine(stored(alpha), RULES)
    assert caught.value.reason == "transparent"


def _mutations(picture: bytes, rng: np.random.Generator) -> bytes:
    data = bytearray(picture)
    for position in rng.integers(0, len(data) if rng.random() < 0.5 else 200, rng.integers(1, 12)):
        data[position] = rng.integers(0, 256)
    return bytes(data[: rng.integers(1, len(data))] if rng.random() < 0.3 else data)


def _outcome(data: bytes) -> str:
    try:
        return type(examine(data, CurationRules(min_side=32))).__name__
    except Rejected as refused:
        return refused.stage


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_mutated_bytes_give_a_candidate_or_a_reason(render, suffix: str) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    PillowImage.fromarray(render(11, 64, 48)).save(
        stream, suffix, **({} if suffix in ("BMP", "GIF") else {"exif": exif})
    )
    rng = np.random.default_rng(12)
    outcomes = {_outcome(_mutations(stream.getvalue(), rng)) for _ in range(80)}
    assert "read" in outcomes
    assert outcomes <= {"Candidate", "read", "resolution"}
