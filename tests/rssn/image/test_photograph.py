from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageCms

from bg20k.candidates import resized_size
from rssn.errors import Rejected
from rssn.image.arrays import Pixels, resize_area
from rssn.image.decoding import decode_pixels
from rssn.image.photograph import CONVERSIONS, TILE_SIDE, decode_photograph, is_mislabelled, salvaged
from tests.pictures import wide_profile

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SIDEWAYS = PillowImage.Exif()
SIDEWAYS[0x0112] = 6


def encoded(pixels: Any, mode: str | None = None, suffix: str = "JPEG", **options: Any) -> bytes:
    stream = io.BytesIO()
    picture = PillowImage.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(stream, suffix, **options)
    return stream.getvalue()


def scene(width: int, height: int) -> Pixels:
    rng = np.random.default_rng(5)
    coarse = PillowImage.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((width, height), PillowImage.Resampling.BICUBIC))


@pytest.mark.parametrize(
    ("side", "scale"),
    [(100, 8), (101, 4), (200, 4), (201, 2), (400, 2), (401, 1)],
)
def test_a_jpeg_is_decoded_at_the_smallest_scale_with_a_margin(side: int, scale: int) -> None:
    found = decode_photograph(encoded(scene(1280, 960), quality=95), side)
    assert found.pixels.shape == (960 // scale, 1280 // scale, 3)
    assert (found.width, found.height) == (1280, 960)
    assert min(found.pixels.shape[:2]) >= 1.2 * side or scale == 1


@pytest.mark.parametrize("suffix", ["PNG", "WEBP"])
def test_other_formats_are_decoded_whole(suffix: str) -> None:
    data = encoded(scene(640, 480), suffix=suffix)
    found = decode_photograph(data, 100)
    np.testing.assert_array_equal(found.pixels, decode_pixels(data))
    assert found.format == suffix


def test_samples_are_of_the_full_resolution() -> None:
    data = encoded(np.random.default_rng(0).integers(0, 256, (700, 900), dtype=np.uint8), "RGB", quality=98)
    whole = np.asarray(PillowImage.open(io.BytesIO(data)).convert("L")).astype(int)
    for side in (100, 650):
        tiles = decode_photograph(data, side).tiles
        assert tiles.shape == (36, TILE_SIDE, TILE_SIDE)
        assert np.abs(tiles[0] - whole[:256, :256]).max() <= 2
        assert np.abs(tiles[-1] - whole[-256:, -256:]).max() <= 2
    assert len(decode_photograph(encoded(scene(900, 255)), 100).tiles) == 0


@pytest.mark.parametrize(
    ("expected", "data"),
    [
        ((), encoded(scene(60, 40))),
        (("cmyk",), encoded(scene(60, 40), "CMYK")),
        (("grey",), encoded(scene(60, 40), "L")),
        (("palette",), encoded(scene(60, 40), "P", "PNG")),
        (("alpha",), encoded(scene(60, 40), "RGBA", "PNG")),
        (("grey", "deep"), encoded(np.full((40, 60), 40_000, np.uint16), None, "PNG")),
        (("deep",), cv2.imencode(".png", scene(60, 40).astype(np.uint16) * 257)[1].tobytes()),
        (("deep",), cv2.imencode(".tif", scene(60, 40).astype(np.uint16) * 257)[1].tobytes()),
        ((), cv2.imencode(".tif", scene(60, 40))[1].tobytes()),
        (("rotated",), encoded(scene(60, 40), exif=SIDEWAYS)),
        (("icc",), encoded(scene(60, 40), icc_profile=wide_profile())),
        ((), encoded(scene(60, 40), icc_profile=SRGB)),
    ],
)  # fmt: skip
def test_what_was_converted_is_named(expected: tuple[str, ...], data: bytes) -> None:
    found = decode_photograph(data, 30)
    assert found.converted == expected
    assert set(expected) <= set(CONVERSIONS)
    assert found.pixels.shape == ((60, 40, 3) if expected == ("rotated",) else (40, 60, 3))
    np.testing.assert_array_equal(found.pixels, decode_pixels(data))


def test_a_truncated_jpeg_is_refused_at_any_scale() -> None:
    data = encoded(scene(1280, 960))
    for side in (50, 900):
        with pytest.raises(Rejected, match="truncated"):
            decode_photograph(data[: len(data) * 2 // 3], side)


def test_the_pixel_limit_holds_before_decoding() -> None:
    with pytest.raises(Rejected, match="too_many_pixels"):
        decode_photograph(encoded(scene(1280, 960))[:700], 50, 1280 * 960 - 1)


@pytest.mark.slow
def test_the_scaled_decode_stays_within_its_bound(shared: Path) -> None:
    """The photographs of the module's docstring that come out worst, and one of each other size."""
    for name in ("san-francisco-skyline", "purple-dream", "sunset-beach", "pink-house"):
        data = (shared / "data/photos" / f"{name}.jpg").read_bytes()
        scaled, whole = decode_photograph(data, 1080), decode_pixels(data)
        assert min(scaled.pixels.shape[:2]) * 2 == pytest.approx(min(whole.shape[:2]), abs=1)
        size = resized_size(scaled.width, scaled.height, 1080)
        error = resize_area(scaled.pixels, *size).astype(np.float64) - resize_area(whole, *size)
        assert np.abs(error).mean() <= 1.5, name
        assert 10 * np.log10(255**2 / np.square(error).mean()) >= 35, name


@pytest.mark.parametrize(
    ("name", "found", "wrong"),
    [
        ("a/b.JPG", "JPEG", False), ("b.jpeg", "PNG", True), ("b.png", "WEBP", True), ("b.tif", "TIFF", False),
        ("a.jpe", "JPEG", False), ("a.jpg", "MPO", False), ("a.mpo", "JPEG", False), ("a.jfif", "AVIF", True),
        ("no suffix", "PNG", False), ("https://a.org/x?id=3.14", "JPEG", False),
    ],
)  # fmt: skip
def test_a_name_that_promises_another_format(name: str, found: str, wrong: bool) -> None:
    assert is_mislabelled(name, found) is wrong


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_what_is_left_of_a_truncated_photograph(kind: str) -> None:
    whole = encoded(scene(600, 400), None, kind)
    cut = whole[: len(whole) // 2]
    with pytest.raises(Rejected, match="damaged"):
        decode_pixels(cut)
    left, full = salvaged(cut, 1000), decode_pixels(whole)
    assert left.shape == full.shape
    assert np.abs(left[:100].astype(int) - full[:100]).max() <= 2
    with pytest.raises(Rejected, match="damaged"):
        decode_pixels(cut)


def test_nothing_is_left_of_what_is_no_picture() -> None:
    with pytest.raises(Rejected):
        salvaged(b"no picture", 100)
