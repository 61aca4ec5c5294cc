from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as PillowImage
from PIL import ImageCms
from PIL.JpegImagePlugin import JpegImageFile

from rssn.errors import Rejected
from rssn.image.arrays import encode_jpeg, encode_png, fit_inside, read_bytes, resize_area, to_float, to_uint8
from rssn.image.decoding import converted, decode_image, decode_pixels, has_alpha_channel, picture_size
from rssn.sources.mattes import read_matte
from tests.pictures import TURNS, nearly_srgb_profile, wide_profile


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)


def _smooth(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([3 * x + 20, 2 * y + 40, x + y + 60], axis=2).astype(np.uint8)


def _save(picture: PillowImage.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def _png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


def _reason(data: bytes, **options: Any) -> str:
    with pytest.raises(Rejected) as caught:
        decode_pixels(data, **options)
    assert caught.value.stage == "read"
    return caught.value.reason


def test_bytes_survive_the_way_through_floats() -> None:
    every = np.arange(256, dtype=np.uint8)
    assert np.array_equal(to_uint8(to_float(every)), every)
    assert to_float(every).dtype == np.float32
    assert (to_float(every)[0], to_float(every)[255]) == (0.0, 1.0)


@given(arrays(np.float32, 20, elements=st.floats(-(2.0**90), 2.0**90, width=32)))
def test_to_uint8_rounds_to_nearest_and_never_wraps(values: np.ndarray) -> None:
    exact = np.clip(values.astype(np.float64), 0, 1) * 255
    assert np.all(np.abs(to_uint8(values) - exact) <= 0.5 + 1e-4)
    assert np.all(to_uint8(values)[values >= 1] == 255)
    assert np.all(to_uint8(values)[values <= 0] == 0)


def test_to_uint8_takes_infinity_for_the_end_of_the_range() -> None:
    assert to_uint8(np.array([np.inf, -np.inf], np.float32)).tolist() == [255, 0]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", TURNS)
def test_orientation_is_applied_and_the_header_agrees(kind: str, orientation: int) -> None:
    stored = _smooth(24, 40)
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    extras: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}
    data = _save(PillowImage.fromarray(stored), kind, exif=exif, **extras.get(kind, {}))
    upright = TURNS[orientation](stored)
    decoded = decode_pixels(data)
    assert decoded.shape == upright.shape
    assert np.abs(decoded.astype(int) - upright).max() <= (4 if kind == "JPEG" else 0)
    assert picture_size(data) == (upright.shape[1], upright.shape[0])


def test_cmyk_becomes_rgb() -> None:
    picture = PillowImage.fromarray(_smooth(16, 16)).convert("CMYK")
    decoded = decode_pixels(_save(picture, "TIFF"))
    assert np.array_equal(decoded, _smooth(16, 16))
    lossy = decode_pixels(_save(picture, "JPEG", quality=100, subsampling=0))
    assert np.abs(lossy.astype(int) - _smooth(16, 16)).max() <= 6


def test_palettes_grey_one_bit_and_alpha_channels_become_rgb() -> None:
    colours = _noise(8, 9, 3) // 128 * 255
    palette = PillowImage.fromarray(colours).quantize(8)
    assert np.array_equal(decode_pixels(_save(palette, "PNG")), colours)
    assert np.array_equal(decode_pixels(_save(palette, "GIF")), colours)
    grey = _noise(8, 9)
    tripled = np.repeat(grey[:, :, None], 3, axis=2)
    assert np.array_equal(decode_pixels(encode_png(grey)), tripled)
    with_alpha = PillowImage.merge("LA", [PillowImage.fromarray(grey), PillowImage.fromarray(_noise(8, 9))])
    assert np.array_equal(decode_pixels(_save(with_alpha, "PNG")), tripled)
    rgba = _noise(8, 9, 4)
    assert np.array_equal(decode_pixels(encode_png(rgba)), rgba[:, :, :3])
    bits = PillowImage.fromarray(grey > 127)
    assert bits.mode == "1"
    assert np.array_equal(decode_pixels(_save(bits, "PNG"))[:, :, 0], (grey > 127) * np.uint8(255))


def test_a_palette_with_transparent_entries() -> None:
    palette = PillowImage.fromarray(_noise(8, 9, 3) // 128 * 255).quantize(8)
    data = _save(palette, "PNG", transparency=bytes([0, 128, 255, 255, 255, 255, 255, 255]))
    assert np.array_equal(decode_pixels(data), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_of_grey(kind: str) -> None:
    deep = np.array([[0, 1, 128, 257, 32768, 65534, 65535]], np.uint16)
    data = _save(PillowImage.fromarray(deep), kind)
    assert np.allclose(read_matte(data).alpha, deep / 65535, atol=1e-7)
    assert read_matte(data).alpha[0, 1] > 0
    assert read_matte(data).alpha[0, 6] == 1
    assert decode_pixels(data)[0, :, 1].tolist() == [0, 0, 0, 1, 128, 255, 255]


def test_sixteen_bits_of_big_endian_grey() -> None:
    picture = PillowImage.new("I;16B", (3, 2), 65_000)
    assert np.allclose(read_matte(_save(picture, "TIFF")).alpha, 65_000 / 65535, atol=1e-7)


def test_sixteen_bits_of_colour() -> None:
    deep = np.random.default_rng(3).integers(0, 65536, (6, 5, 3))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
    data = b"\x89PNG\r\n\x1a\n"
    for name, body in ((b"IHDR", struct.pack(">IIBBBBB", 5, 6, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows))):
        data += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    data += struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    assert np.abs(decode_pixels(data) - deep / 257).max() <= 1


def test_floats_are_read_as_shares_of_white() -> None:
    values = np.array([[0.0, 0.25, 0.5, 1.0, 1.003, -0.003]], np.float32)
    data = _save(PillowImage.fromarray(values), "TIFF")
    assert decode_pixels(data)[0, :, 0].tolist() == [0, 64, 128, 255, 255, 0]


@pytest.mark.parametrize(
    ("values", "reason", "words"),
    [
        (np.float32([[0, 128, 255]]), "out_of_range", "floats from 0 to 255, where 0 is black and 1 is white"),
        (np.float32([[-1, 0, 1]]), "out_of_range", "floats from -1 to 1"),
        (np.float32([[0, 1, np.nan]]), "not_finite", "not finite"),
        (np.float32([[0, 1, np.inf]]), "not_finite", "not finite"),
        (np.uint16([[0, 63, 4095]]), "out_of_range", "the largest value is 4095 of 65535: a photograph of fewer bits"),
    ],
)
def test_values_that_do_not_say_what_is_white_are_refused(
    values: npt.NDArray[np.number], reason: str, words: str
) -> None:
    with pytest.raises(Rejected, match=words) as caught:
        decode_pixels(_save(PillowImage.fromarray(values), "TIFF"))
    assert caught.value.reason == reason


def test_deep_photographs_may_be_black_and_none_is_read_inverted() -> None:
    black = PillowImage.fromarray(np.zeros((2, 3), np.uint16))
    assert decode_pixels(_save(black, "PNG")).max() == 0
    stream = io.BytesIO()
    PillowImage.fromarray(np.full((2, 3), 60_000, np.uint16)).save(stream, "TIFF", tiffinfo={262: 0})
    with pytest.raises(Rejected, match="a TIFF of which 0 is white"):
        decode_pixels(stream.getvalue())


def test_a_colour_mode_that_pillow_cannot_convert_is_refused() -> None:
    with pytest.raises(Rejected, match="not_an_image: the colour mode LAB"):
        converted(PillowImage.new("LAB", (4, 4)), "L")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_an_icc_profile_moves_colours_as_pillow_moves_them(mode: str) -> None:
    picture = PillowImage.fromarray(_noise(12, 12, 3) // 128 * 255)
    profile = wide_profile()
    decoded = decode_pixels(_save(picture.convert(mode), "PNG", icc_profile=profile))
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    plain = picture.convert(mode).convert("RGB")
    expected = ImageCms.profileToProfile(plain, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert np.array_equal(decoded, np.asarray(expected))
    assert np.abs(decoded.astype(int) - np.asarray(plain)).max() > 50


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_profile_that_is_srgbs_but_for_rounding_changes_nothing(mode: str) -> None:
    profile, colours = nearly_srgb_profile(), _noise(1, 60_000, 3)
    source, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")

    def moves(picture: PillowImage.Image) -> np.ndarray:
        return (np.asarray(ImageCms.profileToProfile(picture, source, srgb)) != np.asarray(picture)).any(axis=2)

    moving = colours[moves(PillowImage.fromarray(colours))][:144].reshape(12, 12, 3)
    plain = PillowImage.fromarray(moving).convert(mode, palette=PillowImage.Palette.ADAPTIVE)
    expected = plain.convert("RGB")
    assert moves(expected).any()
    assert np.array_equal(decode_pixels(_save(plain, "PNG", icc_profile=profile)), np.asarray(expected))


def test_a_profile_of_srgb_changes_nothing_and_a_broken_one_is_ignored() -> None:
    picture = PillowImage.fromarray(_smooth(12, 12))
    same = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(decode_pixels(_save(picture, "PNG", icc_profile=same)), _smooth(12, 12))
    for wrong in (b"no profile", same[:200]):
        assert np.array_equal(decode_pixels(_save(picture, "PNG", icc_profile=wrong)), _smooth(12, 12))
    grey = PillowImage.fromarray(_noise(6, 6))
    assert np.array_equal(decode_pixels(_save(grey, "PNG", icc_profile=same))[:, :, 2], _noise(6, 6))


@pytest.mark.parametrize("data", [b"hello", b"\x89PNG\r\n", b"BM", b"\xff\xd8\xff", b"GIF89a", b"\0" * 100])
def test_what_is_no_picture_is_refused_in_words_that_repeat(data: bytes) -> None:
    messages = []
    for _ in range(2):
        with pytest.raises(Rejected) as caught:
            decode_pixels(data)
        assert caught.value.reason in ("not_an_image", "truncated")
        messages.append(caught.value.message)
    assert messages[0] == messages[1]
    assert "0x" not in messages[0]


def _chunk(kind: bytes, content: bytes, *, damaged: bool = False) -> bytes:
    check = zlib.crc32(kind + content) ^ damaged
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def _with_chunk(png: bytes, chunk: bytes) -> bytes:
    return png[:33] + chunk + png[33:]  # behind the header's


@pytest.mark.parametrize(
    "chunk",
    [
        _chunk(b"tEXt", b"Title\0x", damaged=True),
        _chunk(b"iTXt", b"Title\0\0\0\0\0x", damaged=True),
        _chunk(b"tIME", b"\7\xea\1\2\3\4\5", damaged=True),
        _chunk(b"zTXt", b"History\0\0" + zlib.compress(bytes(3 << 20))),  # more than Pillow unpacks
    ],
)
def test_texts_of_a_png_touch_no_pixel(chunk: bytes, tmp_path: Path) -> None:
    alpha = PillowImage.fromarray(np.dstack([_smooth(12, 20), _noise(12, 20)]))
    data = _with_chunk(_save(alpha, "PNG"), chunk)
    np.testing.assert_array_equal(decode_pixels(data), _smooth(12, 20))
    np.testing.assert_array_equal(read_matte(data).alpha, to_float(_noise(12, 20)))
    (tmp_path / "a.png").write_bytes(data)
    assert has_alpha_channel(io.BytesIO((tmp_path / "a.png").read_bytes()))


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        (b"hello", "not_an_image", "its first bytes are of no JPEG, MPO, PNG"),
        (b"GIF89a" + bytes(14), "not_an_image", "a picture of the format GIF that cannot be opened: "),
        (_save(PillowImage.fromarray(_smooth(60, 60)), "JPEG")[:300], "truncated", "of the format JPEG that cannot"),
        (
            _save(PillowImage.fromarray(_smooth(6, 6)), "PNG")[:25],
            "truncated",
            "of the format PNG that cannot",
        ),
        (
            _with_chunk(_save(PillowImage.fromarray(_smooth(6, 6)), "PNG"), _chunk(b"tRNS", bytes(6), damaged=True)),
            "damaged",
            "bad header checksum in b'tRNS'",
        ),
        (
            cv2.imencode(".tif", np.ones((4, 4)))[1].tobytes(),
            "not_an_image",
            "format TIFF that cannot be opened",
        ),
    ],
)
def test_a_picture_that_cannot_be_opened_is_refused_with_what_it_seems_to_be(
    data: bytes, reason: str, words: str
) -> None:
    with pytest.raises(Rejected) as caught:
        decode_pixels(data)
    assert caught.value.reason == reason
    assert words in caught.value.message


def test_no_bytes() -> None:
    assert _reason(b"") == "empty"


@given(st.binary(max_size=80), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"II*\0", b"RIFF"]))
def test_noise_never_escapes_as_another_error(tail: bytes, magic: bytes) -> None:
    for read in (decode_pixels, read_matte, picture_size):
        with pytest.raises(Rejected):
            read(magic + tail)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_a_cut_file_is_truncated(kind: str) -> None:
    data = _save(PillowImage.fromarray(_noise(60, 60, 3)), kind)
    assert _reason(data[: len(data) * 2 // 3]) in ("truncated", "not_an_image")
    if kind in ("PNG", "JPEG"):
        assert _reason(data[: len(data) * 2 // 3]) == "truncated"


_COMPRESSED_TIFFS = ["raw", "tiff_lzw", "packbits", "tiff_adobe_deflate", "tiff_deflate", "jpeg"]


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("WEBP", {}), ("WEBP", {"lossless": True}), ("BMP", {}), ("GIF", {})]
    + [("TIFF", {"compression": one}) for one in _COMPRESSED_TIFFS],
)  # fmt: skip
def test_what_was_cut_off_or_taken_out_is_missed_in_every_format(kind: str, options: dict[str, object]) -> None:
    data = _save(PillowImage.fromarray(_smooth(60, 88)), kind, **options)
    whole = decode_pixels(data)
    start = len(data) // 3
    for length in (1, 7, 40, len(data) - start):
        with pytest.raises(Rejected):
            decode_pixels(data[:start] + data[start + length :])
    np.testing.assert_array_equal(decode_pixels(data), whole)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("TIFF", {"compression": "tiff_adobe_deflate"}), ("TIFF", {"compression": "tiff_deflate"})],
)
def test_formats_with_a_checksum_show_altered_bits(kind: str, options: dict[str, object]) -> None:
    data = _save(PillowImage.fromarray(_noise(60, 90, 3)), kind, **options)
    whole = decode_pixels(data)
    rng, refused = np.random.default_rng(0), 0
    for place in rng.integers(200, len(data) - 200, 60):
        for length in (1, 300):
            damaged = bytearray(data)
            damaged[place : place + length] = bytes(length) if length > 1 else [data[place] ^ 16]
            try:
                np.testing.assert_array_equal(decode_pixels(bytes(damaged)), whole)
            except Rejected:
                refused += 1
    assert refused >= 115


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "WEBP"])
def test_moving_pictures_are_refused(kind: str) -> None:
    frames = [PillowImage.fromarray(np.full((8, 8, 3), level, np.uint8)) for level in (0, 90, 200)]
    assert _reason(_save(frames[0], kind, save_all=True, append_images=frames[1:])) == "animated"


def test_a_phone_photo_with_a_second_picture_is_a_photo() -> None:
    photo = PillowImage.fromarray(_smooth(16, 24))
    data = _save(photo, "MPO", save_all=True, append_images=[photo], quality=100)
    assert np.abs(decode_pixels(data).astype(int) - _smooth(16, 24)).max() <= 12
    assert decode_pixels(data[:-20]).shape == (16, 24, 3)  # the second picture is not ours to judge


def test_damage_in_a_phone_photo_with_a_second_picture() -> None:
    photo = PillowImage.fromarray(_noise(160, 240, 3))
    data = bytearray(_save(photo, "MPO", save_all=True, append_images=[photo], quality=90))
    data[len(data) // 4 : len(data) // 4 + 400] = bytes(400)
    assert _reason(bytes(data)) == "damaged"


@pytest.mark.parametrize(("width", "height"), [(20_000, 10_000), (60_000, 60_000), (11_000, 11_000)])
def test_a_huge_claim_is_refused_from_the_header(width: int, height: int) -> None:
    data = _png_header(width, height)
    assert _reason(data) == "too_many_pixels"
    with pytest.raises(Rejected, match="too_many_pixels"):
        picture_size(data)
    with pytest.raises(Rejected, match="too_many_pixels"):
        read_matte(data)


def test_the_pixel_limit_is_inclusive() -> None:
    data = encode_png(_noise(6, 7, 3))
    assert decode_pixels(data, max_pixels=42).shape == (6, 7, 3)
    assert _reason(data, max_pixels=41) == "too_many_pixels"


@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 3), (9, 7, 4), (1, 1, 3)])
def test_png_is_lossless_and_in_the_order_that_pillow_reads(shape: tuple[int, ...]) -> None:
    pixels = _noise(*shape)
    assert np.array_equal(np.asarray(PillowImage.open(io.BytesIO(encode_png(pixels)))), pixels)


def test_jpeg_keeps_colour_at_full_resolution() -> None:
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = (255, 0, 0)
    stripes[:, 1::2] = (0, 0, 255)
    data = encode_jpeg(stripes)
    picture = PillowImage.open(io.BytesIO(data))
    assert isinstance(picture, JpegImageFile)
    assert [layer[1:3] for layer in picture.layer] == [(1, 1)] * 3
    assert np.abs(np.asarray(picture).astype(int) - stripes).max() <= 30


def test_jpeg_error_and_quality() -> None:
    photo = _smooth(48, 48)
    error = np.abs(decode_pixels(encode_jpeg(photo)).astype(int) - photo)
    assert error.max() <= 4
    assert error.mean() <= 1
    assert len(encode_jpeg(_noise(48, 48, 3), 50)) < len(encode_jpeg(_noise(48, 48, 3), 95))
    grey = encode_jpeg(_smooth(48, 48)[:, :, 0])
    assert np.abs(decode_pixels(grey)[:, :, 1].astype(int) - _smooth(48, 48)[:, :, 0]).max() <= 4


@pytest.mark.parametrize("shape", [(1, 70_000, 3), (0, 4, 3), (0, 4)])
def test_what_a_codec_cannot_hold_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(Rejected, match="encode: codec"):
        encode_jpeg(np.zeros(shape, np.uint8))


def test_decode_image_is_the_pixels_as_shares() -> None:
    image = decode_image(encode_png(_noise(5, 6, 3)))
    assert image.dtype == np.float32
    assert np.array_equal(image, _noise(5, 6, 3).astype(np.float32) / np.float32(255))


def test_area_averaging() -> None:
    pixels = _noise(8, 12, 3)
    means = pixels.reshape(4, 2, 6, 2, 3).mean(axis=(1, 3))
    assert np.abs(resize_area(pixels, 6, 4) - means).max() <= 0.5
    assert resize_area(pixels[:, :, 0], 24, 16).shape == (16, 24)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40))
def test_fit_inside(width: int, height: int, side: int) -> None:
    thumb = fit_inside(np.zeros((height, width, 3), np.uint8), side)
    if max(width, height) <= side:
        assert thumb.shape == (height, width, 3)
    else:
        scale = side / max(width, height)
        assert max(thumb.shape[:2]) == side
        assert abs(thumb.shape[0] - height * scale) <= 1
        assert abs(thumb.shape[1] - width * scale) <= 1


def test_read_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\x00\xff")
    assert read_bytes(tmp_path / "a") == b"\x00\xff"
    for wrong in (tmp_path / "absent.png", tmp_path):
        with pytest.raises(Rejected) as caught:
            read_bytes(wrong)
        assert caught.value.reason == "unreadable"
        assert str(wrong) in caught.value.message


@pytest.mark.parametrize("kind", [np.int32, np.int16])
def test_whole_numbers_without_a_white_are_refused(kind: type) -> None:
    stream = io.BytesIO()
    PillowImage.fromarray(np.full((4, 4), 300, np.int32)).save(stream, "TIFF")
    data = stream.getvalue()
    if kind is np.int16:
        data = cv2.imencode(".tiff", np.full((4, 4), 300, np.int16))[1].tobytes()
    for decode in (decode_pixels, read_matte):
        with pytest.raises(Rejected, match="do not say what is white; use 16 bits"):
            decode(data)


def test_our_limit_of_pixels_counts_and_not_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PillowImage, "MAX_IMAGE_PIXELS", 100)
    for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000"):
        data = _save(PillowImage.fromarray(_noise(40, 60, 3)), kind)
        assert picture_size(data, 2400) == (60, 40)
        assert decode_pixels(data, 2400).shape == (40, 60, 3)
        with pytest.raises(Rejected, match=r"60 x 40 px; the limit is 2399"):
            decode_pixels(data, 2399)


@pytest.mark.parametrize("turn", [1, 6])
def test_a_heic_photograph_is_read_where_its_package_is_installed(turn: int) -> None:
    heif = pytest.importorskip("pillow_heif")
    pixels = cv2.resize(_noise(6, 9, 3), (90, 60), interpolation=cv2.INTER_CUBIC)
    exif = PillowImage.Exif()
    exif[0x0112] = turn
    stream = io.BytesIO()
    heif.from_pillow(PillowImage.fromarray(pixels)).save(stream, exif=exif.tobytes(), quality=100)
    data = stream.getvalue()
    expected = TURNS[turn](pixels)
    assert picture_size(data) == expected.shape[1::-1]
    assert np.abs(decode_pixels(data).astype(int) - expected).mean() < 8
    for part in (data[: len(data) // 2], data[:-200]):
        with pytest.raises(Rejected):
            decode_pixels(part)
    with pytest.raises(Rejected, match="the limit is 100"):
        decode_pixels(data, 100)


def test_without_its_package_a_heic_photograph_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(Rejected, match=r"pip install 'rssn\[heif\]'") as caught:
        decode_pixels(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert caught.value.reason == "needs_package"


def test_formats_that_are_cut_are_refused() -> None:
    for kind in ("AVIF", "JPEG2000"):
        data = _save(PillowImage.fromarray(_noise(120, 160, 3)), kind)
        for length in range(100, len(data) - 10, len(data) // 9):
            with pytest.raises(Rejected):
                decode_pixels(data[:length])
