from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image as PillowImage

from rssn.errors import Rejected
from rssn.image.arrays import Pixels
from rssn.image.decoding import decode_pixels, open_header, salvage
from rssn.image.jpeg import Mode, decode_jpeg

SIZES = [(64, 80), (65, 81), (37, 53), (7, 9), (1, 1), (17, 16)]


def photograph(height: int = 240, width: int = 320) -> Pixels:
    """Waves of light with some noise, so that no block is empty."""
    y, x = np.mgrid[:height, :width]
    waves = [128 + 100 * np.sin(x / a) * np.cos(y / b) for a, b in ((17, 40), (31, 13), (60, 25))]
    noise = np.random.default_rng(0).normal(0, 12, (height, width, 3))
    return np.clip(np.dstack(waves) + noise, 0, 255).astype(np.uint8)


def jpeg(pixels: Pixels, **options: object) -> bytes:
    stream = io.BytesIO()
    PillowImage.fromarray(pixels).save(stream, "JPEG", quality=90, **options)
    return stream.getvalue()


def decoded(data: bytes, scale: int = 1, mode: Mode | None = None) -> Pixels:
    header = open_header(data)
    return decode_jpeg(data, mode or header.mode, header.size, scale)  # type: ignore[arg-type]


def pillows(data: bytes, scale: int = 1, mode: str | None = None) -> Pixels:
    picture = PillowImage.open(io.BytesIO(data))
    if scale > 1 or mode:
        picture.draft(mode, (max(1, picture.width // scale), max(1, picture.height // scale)))
    return np.asarray(picture)


def refusal(data: bytes) -> Rejected:
    with pytest.raises(Rejected) as caught:
        decode_pixels(data)
    assert caught.value.stage == "read"
    return caught.value


BASELINE, PROGRESSIVE = jpeg(photograph()), jpeg(photograph(), progressive=True)
SCAN = BASELINE.index(b"\xff\xda")
CODED = SCAN + 14  # where its coded data begin
TABLE = BASELINE.index(b"\xff\xdb")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 3}])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "grey"])
def test_the_pixels_are_pillows(subsampling: str, options: dict[str, object], size: tuple[int, int]) -> None:
    pixels = photograph(*size)
    grey = subsampling == "grey"
    data = jpeg(pixels[..., 1].copy(), **options) if grey else jpeg(pixels, subsampling=subsampling, **options)
    for scale in (1, 2, 4, 8) if min(size) >= 8 else (1,):
        np.testing.assert_array_equal(decoded(data, scale), pillows(data, scale))
        np.testing.assert_array_equal(decoded(data, scale, "L"), pillows(data, scale, "L"))


@pytest.mark.parametrize("subsampling", ["444", "422", "420", "440", "411"])
@pytest.mark.parametrize("size", SIZES[:3])
def test_the_pixels_are_pillows_in_odd_subsamplings(subsampling: str, size: tuple[int, int]) -> None:
    data = simplejpeg.encode_jpeg(photograph(*size), 85, "RGB", subsampling)
    for scale in (1, 2, 4, 8):
        np.testing.assert_array_equal(decoded(data, scale), pillows(data, scale))


def test_ink_is_pillows() -> None:
    stream = io.BytesIO()
    PillowImage.fromarray(photograph()).convert("CMYK").save(stream, "JPEG", quality=90)
    data = stream.getvalue()
    np.testing.assert_array_equal(255 - decoded(data), pillows(data))
    np.testing.assert_array_equal(decode_pixels(data), PillowImage.open(io.BytesIO(data)).convert("RGB"))
    assert refusal(data[: len(data) // 2] + b"\xff\xd9").reason == "damaged"


@pytest.mark.slow
def test_the_pixels_of_photographs_are_pillows(shared: Path) -> None:
    for path in [*sorted((shared / "data/photos").glob("*.jpg"))[::6], *sorted((shared / "data/am2k").rglob("*.jpg"))]:
        data = path.read_bytes()
        np.testing.assert_array_equal(decoded(data), pillows(data), path.name)
        np.testing.assert_array_equal(decoded(data, 4), pillows(data, 4), path.name)


CASES = {
    "a_whole": None,
    "b_cut_at_40pc_then_EOI": ("damaged", "premature end of data segment"),
    "c_400_zero_bytes_in_the_middle": ("damaged", "premature end of data segment"),
    "d_cut_at_40pc": ("truncated", "Premature end of JPEG file"),
    "e_whole_with_10kB_behind": None,
    "f_progressive_cut_at_40pc_then_EOI": ("damaged", "without its last scans"),
    "h_zeros_for_second_half": ("truncated", "Premature end of JPEG file"),
    "i_last_2_bytes_missing": None,
}


@pytest.mark.parametrize("name", CASES)
def test_damage_that_still_decodes(name: str, shared: Path) -> None:
    data, expected = (shared / "cases/07-corrupt-jpeg/photos" / f"{name}.jpg").read_bytes(), CASES[name]
    if expected is None:
        lenient = simplejpeg.decode_jpeg(data, strict=False)
        np.testing.assert_array_equal(decode_pixels(data), lenient)
        return
    error = refusal(data)
    assert error.reason == expected[0]
    assert expected[1] in error.message
    assert salvage(open_header(data)).shape == simplejpeg.decode_jpeg(data, strict=False).shape


def padded(padding: bytes) -> bytes:
    return BASELINE[:-2] + padding + BASELINE[-2:]


HARMLESS = {
    "bytes behind": BASELINE + bytes(range(256)) * 40,
    "another picture behind": BASELINE + PROGRESSIVE,
    "no closing marker": BASELINE[:-2],
    "half a closing marker": BASELINE[:-1],
    "padded with zeros": padded(bytes(500)),
    "padded with ones": padded(b"\xff" * 37),
    "padded with another value": padded(b"\x20" * 64),
    "bytes between segments": BASELINE[:TABLE] + bytes(3) + BASELINE[TABLE:],
    "an unknown JFIF version": BASELINE.replace(b"JFIF\0\x01\x01", b"JFIF\0\x05\x00"),
    "parameters of another kind of scan": BASELINE[: CODED - 3] + bytes(3) + BASELINE[CODED:],
    "all of these": BASELINE[:TABLE] + bytes(3) + BASELINE[TABLE : CODED - 3] + bytes(3) + BASELINE[CODED:-2],
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_touches_no_pixel_is_kept(name: str) -> None:
    assert HARMLESS[name] != BASELINE
    np.testing.assert_array_equal(decode_pixels(HARMLESS[name]), pillows(BASELINE))


def test_a_progressive_file_without_its_closing_marker_is_kept() -> None:
    np.testing.assert_array_equal(decode_pixels(PROGRESSIVE[:-2]), pillows(PROGRESSIVE))


def test_what_may_be_the_rest_of_shifted_data_is_no_padding() -> None:
    error = refusal(padded(bytes(range(64))))
    assert error.reason == "damaged"
    assert "extraneous bytes before marker 0xd9" in error.message


def test_arithmetic_coding_is_refused_by_name() -> None:
    assert "arithmetic coding" in refusal(BASELINE.replace(b"\xff\xc0", b"\xff\xc9")).message


def scans(data: bytes) -> list[int]:
    return [place for place in range(len(data) - 1) if data[place : place + 2] == b"\xff\xda"]


DAMAGED: dict[str, Callable[[], bytes]] = {
    "cut": lambda: BASELINE[:-40],
    "cut and closed": lambda: BASELINE[:-40] + b"\xff\xd9",
    "a hole": lambda: BASELINE[:5000] + bytes(400) + BASELINE[5400:],
    "zeros to the end": lambda: BASELINE[:5000] + bytes(len(BASELINE) - 5002) + b"\xff\xd9",
    "missing bytes": lambda: BASELINE[:5000] + BASELINE[6000:],
    "surplus bytes": lambda: BASELINE[:5000] + BASELINE[4000:],
    "progressive, cut in a scan": lambda: PROGRESSIVE[: len(PROGRESSIVE) * 4 // 10] + b"\xff\xd9",
    "progressive, a hole in its last scan": lambda: PROGRESSIVE[:-3000] + bytes(500) + PROGRESSIVE[-2500:],
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_touches_pixels_is_refused(name: str) -> None:
    data = DAMAGED[name]()
    assert not np.array_equal(simplejpeg.decode_jpeg(data, strict=False), pillows(BASELINE))
    assert refusal(data).reason in ("damaged", "truncated")


@pytest.mark.parametrize("number", range(1, 10))
def test_scans_that_are_missing_leave_no_warning_but_are_missed(number: int) -> None:
    starts = scans(PROGRESSIVE)
    assert len(starts) == 10
    data = PROGRESSIVE[: starts[number]]
    data = data[: data.rindex(b"\xff\xc4")] if data.rfind(b"\xff\xc4") > starts[number - 1] else data
    simplejpeg.decode_jpeg(data + b"\xff\xd9", strict=True)  # libjpeg is content
    for cut in (data, data + b"\xff\xd9"):
        assert "without its last scans" in refusal(cut).message


def test_restart_markers_that_are_out_of_order_are_damage() -> None:
    data = jpeg(photograph(), restart_marker_blocks=4)
    first, third = data.index(b"\xff\xd0", CODED), data.index(b"\xff\xd2", CODED)
    assert "found marker 0xd2 instead of RST0" in refusal(data[:first] + data[third:]).message


def test_damage_shows_at_every_scale_and_in_grey() -> None:
    for scale in (1, 2, 4, 8):
        for mode in ("RGB", "L"):
            with pytest.raises(Rejected, match="damaged"):
                decoded(DAMAGED["a hole"](), scale, mode)  # type: ignore[arg-type]
