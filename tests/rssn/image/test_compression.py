from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from rssn.errors import Rejected
from rssn.image.arrays import Pixels
from rssn.image.compression import Compression, Subsampling, compress, nearest_quality, of_quality, read_compression

_COUNTED = Compression(tuple(range(1, 65)), tuple(range(101, 165)), "4:2:2")
"""Tables of which every place has another number."""


def _picture(height: int = 45, width: int = 70) -> Pixels:
    smooth = np.random.default_rng(0).random((6, 8, 3), dtype=np.float32)
    resized = PillowImage.fromarray((smooth * 255).astype(np.uint8)).resize(
        (width, height), PillowImage.Resampling.BICUBIC
    )
    return np.asarray(resized)


def _jpeg(mode: str = "RGB", **options: Any) -> bytes:
    stream = io.BytesIO()
    PillowImage.fromarray(_picture()).convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


def _turned(orientation: int) -> bytes:
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    return _jpeg(qtables=[_COUNTED.luma, _COUNTED.chroma], subsampling="4:4:4", exif=exif)


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:2:2", "4:4:4"])
@pytest.mark.parametrize("quality", [1, 10, 49, 50, 51, 75, 95, 100])
def test_a_quality_is_libjpegs_to_the_bit(quality: int, subsampling: Subsampling) -> None:
    data = _jpeg(quality=quality, subsampling=subsampling)
    how = of_quality(quality, subsampling)
    assert read_compression(data) == how
    with PillowImage.open(io.BytesIO(data)) as decoded:
        assert np.array_equal(compress(_picture(), how), np.asarray(decoded))


def test_the_tables_are_those_of_the_standard() -> None:
    plain = of_quality(50, "4:4:4")
    assert plain.luma[:8] == (16, 11, 10, 16, 24, 40, 51, 61)
    assert plain.luma[8::8] == (12, 14, 14, 18, 24, 49, 72)
    assert (sum(plain.luma), sum(plain.chroma)) == (3688, 5505)
    assert of_quality(100, "4:4:4") == Compression((1,) * 64, (1,) * 64, "4:4:4")


def test_tables_are_read_in_rows_and_not_in_the_zigzag_of_the_file() -> None:
    data = _jpeg(qtables=[_COUNTED.luma, _COUNTED.chroma], subsampling="4:2:2")
    start = data.index(b"\xff\xdb") + 5
    assert list(data[start : start + 6]) == [1, 2, 9, 17, 10, 3]
    assert read_compression(data) == _COUNTED
    assert np.array_equal(compress(_picture(), _COUNTED), np.asarray(PillowImage.open(io.BytesIO(data))))


@pytest.mark.parametrize(
    ("orientation", "turned"), [(1, False), (3, False), (4, False), (5, True), (6, True), (8, True)]
)
def test_tables_turn_with_the_photograph(orientation: int, turned: bool) -> None:
    found = read_compression(_turned(orientation))
    expected = np.reshape(_COUNTED.luma, (8, 8))
    assert found
    assert np.array_equal(np.reshape(found.luma, (8, 8)), expected.T if turned else expected)
    assert found.chroma[1] == (109 if turned else 102)


def test_chroma_turns_with_the_photograph() -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    sideways = _jpeg(subsampling="4:2:2", exif=exif)
    assert read_compression(sideways) is None, "4:4:0 as shown"
    frame = sideways.index(b"\xff\xc0") + 11
    assert sideways[frame] == 0x21
    upright = sideways[:frame] + b"\x12" + sideways[frame + 1 :]
    found = read_compression(upright)
    assert found
    assert found.subsampling == "4:2:2"


@pytest.mark.parametrize("sides", [b"\x41", b"\x12"])
def test_other_subsamplings_are_not_guessed(sides: bytes) -> None:
    data = _jpeg(subsampling="4:2:0")
    frame = data.index(b"\xff\xc0") + 11
    assert read_compression(data[:frame] + sides + data[frame + 1 :]) is None


def test_what_is_no_jpeg_of_luma_and_chroma_says_nothing() -> None:
    stream = io.BytesIO()
    PillowImage.fromarray(_picture()).save(stream, "PNG")
    assert read_compression(stream.getvalue()) is None
    assert read_compression(_jpeg("L")) is None
    assert read_compression(_jpeg("CMYK")) is None
    assert read_compression(_jpeg(keep_rgb=True)) is None
    assert read_compression(_jpeg(qtables=[[1] * 64, [2] * 64, [3] * 64])) is None
    assert read_compression(_jpeg(qtables=[[300] * 64, [2] * 64])) is None
    with pytest.raises(Rejected):
        read_compression(b"nothing of the kind")


def test_one_table_may_stand_for_all_and_cr_may_have_a_copy_of_cbs() -> None:
    assert read_compression(_jpeg(qtables=[[1] * 64, [2] * 64, [2] * 64])) == Compression((1,) * 64, (2,) * 64)
    assert read_compression(_jpeg(qtables=[[7] * 64], subsampling="4:4:4")) == Compression(
        (7,) * 64, (7,) * 64, "4:4:4"
    )


def test_progressive_files_say_it_too() -> None:
    assert read_compression(_jpeg(quality=80, progressive=True)) == of_quality(80, "4:2:0")


@pytest.mark.parametrize("quality", [2, 30, 50, 77, 98, 100])
def test_libjpegs_own_tables_are_found_exactly(quality: int) -> None:
    assert nearest_quality(of_quality(quality, "4:2:0")) == (quality, 0.0)


def test_the_nearest_quality_says_how_far_it_is_off() -> None:
    exact = of_quality(60, "4:2:0")
    twice = Compression(tuple(2 * one for one in exact.luma), exact.chroma)
    assert nearest_quality(Compression(exact.luma, (*exact.chroma[:63], 2 * exact.chroma[63]))) == (
        60,
        pytest.approx(np.log(2) / 128),
    )
    quality, off = nearest_quality(twice)
    assert 20 < quality < 60
    assert 0.1 < off <= np.log(2) / 2


def test_a_side_that_is_too_long_for_a_jpeg_is_rejected() -> None:
    with pytest.raises(Rejected, match=r"Pillow could not write \(1, 65501, 3\) as .jpg"):
        compress(np.zeros((1, 65501, 3), np.uint8), of_quality(90, "4:2:0"))
