from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageOps

from rssn.errors import Rejected
from rssn.image.arrays import to_uint8
from rssn.image.decoding import decode_pixels, picture_size
from rssn.image.turning import turned
from rssn.sources.layouts import find_pairs
from rssn.sources.matting import Pair, load_pair
from rssn.sources.picture_ref import PictureRef

STORED = PillowImage.fromarray(np.random.default_rng(1).integers(0, 256, (12, 16, 3), dtype=np.uint8))
MATTE = STORED.getchannel("R")


def tag(turn: int) -> PillowImage.Exif:
    exif = PillowImage.Exif()
    exif[0x0112] = turn
    return exif


def shown(picture: PillowImage.Image, turn: int) -> PillowImage.Image:
    copy = picture.copy()
    copy.info["exif"] = tag(turn).tobytes()
    return ImageOps.exif_transpose(copy)


def pair(root: Path, picture: PillowImage.Image, turn: int, matte: PillowImage.Image, own: int = 1) -> Pair:
    picture.save(root / "a.png", exif=tag(turn))
    matte.save(root / "a_matte.png", exif=tag(own))
    return Pair("a", PictureRef.of(root / "a.png"), PictureRef.of(root / "a_matte.png"), None, "a.png")


@pytest.mark.parametrize("turn", range(1, 9))
def test_an_array_is_turned_as_pillow_turns_it(turn: int) -> None:
    for picture in (STORED, MATTE):
        assert np.array_equal(turned(np.asarray(picture), turn), np.asarray(shown(picture, turn)))


@pytest.mark.parametrize("turn", [5, 6, 7, 8])
def test_a_matte_as_stored_is_turned_with_its_photograph(tmp_path: Path, turn: int) -> None:
    for matte in (MATTE, shown(MATTE, turn)):
        sample = load_pair(pair(tmp_path, STORED, turn, matte))
        assert np.array_equal(to_uint8(sample.picture), np.asarray(shown(STORED, turn)))
        assert np.array_equal(to_uint8(sample.alpha), np.asarray(shown(MATTE, turn)))


@pytest.mark.parametrize("turn", [2, 3, 4, 6])
def test_a_matte_that_fits_both_ways_is_named(tmp_path: Path, turn: int) -> None:
    picture = STORED.crop((0, 0, 12, 12)) if turn == 6 else STORED
    matte = picture.getchannel("R")
    with pytest.raises(Rejected, match=f"EXIF orientation {turn}") as caught:
        load_pair(pair(tmp_path, picture, turn, matte))
    assert caught.value.reason == "orientation_unclear"
    sample = load_pair(pair(tmp_path, picture, turn, matte, own=turn))  # it says so itself
    assert np.array_equal(to_uint8(sample.alpha), np.asarray(shown(matte, turn)))


@pytest.mark.parametrize("value", [0, 255])
def test_a_matte_of_one_value_fits_every_way(tmp_path: Path, value: int) -> None:
    sample = load_pair(pair(tmp_path, STORED, 3, PillowImage.new("L", STORED.size, value)))
    assert np.array_equal(to_uint8(sample.picture), np.asarray(shown(STORED, 3)))
    assert np.unique(to_uint8(sample.alpha)).tolist() == [value]


def test_a_matte_that_fits_neither_way_is_of_another_size(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="size_mismatch"):
        load_pair(pair(tmp_path, STORED, 6, MATTE.crop((0, 0, 12, 11))))


def test_a_foreground_beside_a_photograph_is_turned_likewise(tmp_path: Path) -> None:
    one = pair(tmp_path, STORED, 6, MATTE)
    STORED.save(tmp_path / "f.png")
    sample = load_pair(Pair("a", one.image, one.alpha, PictureRef.of(tmp_path / "f.png"), "a.png"))
    assert sample.foreground is not None
    assert np.array_equal(to_uint8(sample.foreground), np.asarray(shown(STORED, 6)))


def test_the_case_of_masks_as_stored(shared: Path) -> None:
    found = {}
    for one in find_pairs(shared / "cases/06-exif/set").pairs:
        try:
            sample = load_pair(one)
            found[one.name] = str(sample.alpha.shape)
            stored = np.asarray(PillowImage.open(one.alpha))
            assert np.array_equal(to_uint8(sample.alpha), np.rot90(stored, -1))
        except Rejected as error:
            found[one.name] = error.reason
    unclear = dict.fromkeys(("raw_2", "raw_3", "square_6"), "orientation_unclear")
    assert found == unclear | {"raw_6": "(160, 120)"}


def test_the_case_of_exif_behind_the_pixels(shared: Path) -> None:
    pairs = find_pairs(shared / "cases/15-late-exif/set").pairs
    assert [one.name for one in pairs] == ["early", "late", "late_raw"]
    assert {load_pair(one).alpha.shape for one in pairs} == {(120, 160)}


def test_text_behind_the_pixels_turns_nothing() -> None:
    """XMP may say an orientation too; behind the pixels Pillow meets it only when it decodes."""
    stream = io.BytesIO()
    STORED.save(stream, "PNG")
    data = stream.getvalue()
    chunk = b"iTXtXML:com.adobe.xmp\0\0\0\0\0" + b'<x tiff:Orientation="6"/>'
    late = data[:-12] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[-12:]
    height, width = decode_pixels(late).shape[:2]
    assert picture_size(late) == (width, height) == (16, 12)
