"""What a matte is: the right values for every way to write one, or a refusal that says what was found."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from rssn.errors import Rejected
from rssn.image.arrays import encode_jpeg, encode_png, to_float, to_uint8
from rssn.image.decoding import has_alpha_channel
from rssn.image.matte_flags import FLAGS, describe_flags, histogram, matte_flags
from rssn.sources.mattes import decode_trimap, read_cutout, read_matte, stored_matte
from tests.pictures import TURNS


def soft_matte(height: int = 24, width: int = 32) -> np.ndarray:
    """Background, a soft edge, foreground down to the lower border; every eighth row is thin hair."""
    y, x = np.mgrid[0:height, 0:width]
    ramp = np.clip((x - 0.3 * width) / (0.3 * width), 0, 1) * 255
    matte = np.where(y < height // 4, 0, np.rint(ramp)).astype(np.uint8)
    matte[:: height // 3] //= 3
    return matte


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)


def saved(picture: PillowImage.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


MATTE = soft_matte()
PHOTO = noise(24, 32, 3)
GREY_PHOTO = np.repeat(noise(24, 32, 1) // 2 + 60, 3, axis=2)


def _rgba(colours: np.ndarray, alpha: np.ndarray) -> PillowImage.Image:
    return PillowImage.fromarray(np.dstack([colours, alpha]))


def _flat(value: int) -> np.ndarray:
    return np.full((24, 32, 3), value, np.uint8)


def _channels(*channels: np.ndarray | int) -> PillowImage.Image:
    return PillowImage.fromarray(np.dstack([np.broadcast_to(np.uint8(each), MATTE.shape) for each in channels]))


def _palette(colours: np.ndarray, indices: np.ndarray) -> PillowImage.Image:
    picture = PillowImage.fromarray(indices)
    picture.putpalette(colours.astype(np.uint8).tobytes())
    return picture


_RAMP = np.repeat(np.arange(256)[:, None], 3, axis=1)
_SHUFFLE = np.random.default_rng(3).permutation(256)
_TWICE = np.repeat(MATTE[:, :, None].astype(float) ** 2 / 255, 3, axis=2).round().astype(np.uint8)
_READ = {
    "grey": PillowImage.fromarray(MATTE),
    "equal channels": _channels(MATTE, MATTE, MATTE),
    "channels as JPEG leaves them": _channels(np.maximum(MATTE, 1) - 1, MATTE, MATTE),
    "red alone": _channels(MATTE, 0, 0),
    "blue alone, the others white": _channels(255, 255, MATTE),
    "yellow": _channels(MATTE, MATTE, 0),
    "over a photograph": _rgba(PHOTO, MATTE),
    "over a grey photograph": _rgba(GREY_PHOTO, MATTE),
    "over white": PillowImage.merge("LA", [PillowImage.new("L", (32, 24), 255), PillowImage.fromarray(MATTE)]),
    "over black": _rgba(_flat(0), MATTE),
    "over itself": _rgba(np.dstack([MATTE] * 3), MATTE),
    "over itself, multiplied": _rgba(_TWICE, MATTE),
    "white where it shows, black else": _rgba(np.where(MATTE[..., None] > 0, _flat(255), 0), MATTE),
    "under an opaque alpha channel": _rgba(np.dstack([MATTE] * 3), np.full_like(MATTE, 255)),
    "a grey palette": _palette(_RAMP, MATTE),
    "a shuffled palette": _palette(_RAMP[np.argsort(_SHUFFLE)], _SHUFFLE[MATTE].astype(np.uint8)),
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("name", _READ)
def test_every_way_to_write_a_matte_gives_its_values(name: str, kind: str) -> None:
    picture = _READ[name]
    options: dict[str, Any] = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    found = read_matte(saved(picture, kind, **options))
    assert np.abs(found.alpha * 255 - MATTE).max() <= 1e-4 + (name == "channels as JPEG leaves them")
    assert found.flags == ()


def test_a_transparent_palette_is_an_alpha_channel() -> None:
    picture = _palette(noise(256, 3), MATTE)
    assert np.array_equal(to_uint8(read_matte(saved(picture, transparency=bytes(range(256)))).alpha), MATTE)


def test_bit_depth_is_what_the_values_are() -> None:
    deep = MATTE.astype(np.uint16)
    shares = to_float(MATTE)
    for picture, kind, atol in (
        (PillowImage.fromarray(deep * 257), "PNG", 1e-6),
        (PillowImage.fromarray(deep), "PNG", 1e-6),  # 8 bits in a file of 16
        (PillowImage.fromarray(deep), "TIFF", 1e-6),
        (PillowImage.fromarray(shares), "TIFF", 1e-6),
        (PillowImage.fromarray(shares * 1.003 - 0.001), "TIFF", 0.003),  # a filter overshot
        (PillowImage.fromarray(MATTE // 17 * 17), "PNG", 1 / 16),
    ):
        assert np.abs(read_matte(saved(picture, kind)).alpha - shares).max() <= atol
    hard = read_matte(saved(PillowImage.fromarray(MATTE > 127)))
    assert np.array_equal(hard.alpha, (MATTE > 127).astype(np.float32))
    assert hard.flags == ("two_values",)


def test_sixteen_bits_beside_other_channels() -> None:
    deep = MATTE.astype(np.uint16) * 257
    for bands in (
        [deep] * 3,
        [*np.moveaxis(PHOTO.astype(np.uint16) * 257, 2, 0), deep],
    ):
        data = cv2.imencode(".png", np.dstack(bands))[1].tobytes()
        assert np.array_equal(to_uint8(read_matte(data).alpha), MATTE)
        assert np.array_equal(to_uint8(read_matte(data, 65535).alpha), MATTE)
    data = cv2.imencode(".png", np.dstack([deep // 16] * 3))[1].tobytes()  # 12 bits, of which 4 are read
    for scale in (None, 4095):
        with pytest.raises(Rejected, match=r"never_white: the largest value is 3855 of|save the matte alone"):
            read_matte(data, scale)
    data = cv2.imencode(".png", np.dstack([MATTE.astype(np.uint16)] * 3))[1].tobytes()  # 8 bits, of which none is read
    with pytest.raises(Rejected, match=r"out_of_range: .* upper 8 bits, of which nothing is left; save the matte"):
        read_matte(data)


def test_an_alpha_channel_that_is_nearly_opaque_says_nothing() -> None:
    alpha = np.full_like(MATTE, 255)
    alpha[3, 4] = 250
    assert np.array_equal(to_uint8(read_matte(saved(_rgba(np.dstack([MATTE] * 3), alpha))).alpha), MATTE)


@pytest.mark.parametrize("orientation", TURNS)
def test_a_matte_is_turned_as_its_exif_says(orientation: int) -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (5, 9)).astype(np.uint16)
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    alpha = read_matte(saved(PillowImage.fromarray(deep), exif=exif)).alpha
    assert np.allclose(alpha, TURNS[orientation](deep) / 65535, atol=1e-7)
    alpha = read_matte(saved(_rgba(PHOTO, MATTE), exif=exif)).alpha
    assert np.array_equal(to_uint8(alpha), TURNS[orientation](MATTE))


_HARD = (MATTE > 127).astype(np.uint8)
_OTHER = np.ascontiguousarray(MATTE[:, ::-1])
_VOC = np.array([(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (192, 128, 128), (224, 224, 192)])
_LIKE_KEY = np.where(MATTE == 0, 1, MATTE).astype(np.uint8)
_REFUSED: dict[str, tuple[PillowImage.Image, str, dict[str, Any], str, str]] = {
    "0 and 1": (
        PillowImage.fromarray(_HARD),
        "PNG",
        {},
        "never_white",
        "the largest value is 1 of 255: a mask of 0 and 1? if 1 means opaque, give --alpha-scale 1",
    ),
    "per cent": (
        PillowImage.fromarray((MATTE / 2.55).astype(np.uint8)),
        "PNG",
        {},
        "never_white",
        "if 100 means opaque, give --alpha-scale 100; ",
    ),
    "12 bits": (
        PillowImage.fromarray(MATTE.astype(np.uint16) * 16),
        "PNG",
        {},
        "never_white",
        "the largest value is 4080 of 65535: if 4095 means opaque, give --alpha-scale 4095",
    ),
    "0 and 1 of 16 bits": (
        PillowImage.fromarray(_HARD.astype(np.uint16)),
        "PNG",
        {},
        "never_white",
        "the largest value is 1 of 65535: a mask of 0 and 1?",
    ),
    "video": (
        PillowImage.fromarray((16 + MATTE * (219 / 255)).astype(np.uint8)),
        "PNG",
        {},
        "never_white",
        "values from 16 to 235 of 255: neither black nor white, as levels of video",
    ),
    "floats to 255": (
        PillowImage.fromarray(MATTE.astype(np.float32)),
        "TIFF",
        {},
        "out_of_range",
        "values from 0 to 255 in a picture of floats, whose white is 1; if 255 means opaque, give --alpha-scale 255",
    ),
    "negative floats": (
        PillowImage.fromarray(to_float(MATTE) * 2 - 1),
        "TIFF",
        {},
        "out_of_range",
        "values from -1 to 1",
    ),
    "no numbers": (
        PillowImage.fromarray(np.where(MATTE == 255, np.nan, to_float(MATTE)).astype(np.float32)),
        "TIFF",
        {},
        "not_finite",
        "some of its values are not finite",
    ),
    "a photograph": (
        PillowImage.fromarray(PHOTO),
        "PNG",
        {},
        "unequal_channels",
        "no alpha channel shows a background: a photograph, or a mask of class colours? save the matte as grey values",
    ),
    "a photograph under an opaque alpha channel": (
        _rgba(PHOTO, np.full_like(MATTE, 255)),
        "PNG",
        {},
        "unequal_channels",
        "no alpha channel shows a background",
    ),
    "a photograph under an alpha channel that is opaque but for one px": (
        _rgba(PHOTO, np.where(np.arange(MATTE.size).reshape(MATTE.shape) == 5, 254, 255).astype(np.uint8)),
        "PNG",
        {},
        "unequal_channels",
        "no alpha channel shows a background",
    ),
    "one VOC class": (
        _palette(_VOC, _HARD),
        "PNG",
        {},
        "never_white",
        "the largest value of its colours is 128 of 255: class numbers, as of a VOC palette?",
    ),
    "VOC classes": (
        _palette(_VOC, noise(24, 32) % 6),
        "PNG",
        {},
        "unequal_channels",
        "a palette of class colours?",
    ),
    "class numbers and 255": (
        PillowImage.fromarray(np.where(noise(24, 32) < 20, 255, _HARD * 15).astype(np.uint8)),
        "PNG",
        {},
        "class_numbers",
        "values from 0 to 15, then 255: class numbers, with 255 for what to ignore?",
    ),
    "0 is white": (
        PillowImage.fromarray(MATTE.astype(np.uint16) * 257),
        "TIFF",
        {"tiffinfo": {262: 0}},
        "min_is_white",
        "a TIFF of which 0 is white, with more than 8 bits",
    ),
    "two mattes": (
        _rgba(np.dstack([MATTE] * 3), _OTHER),
        "PNG",
        {},
        "two_mattes",
        "it holds an alpha channel and colours that are another matte; it is unclear which of them",
    ),
    "two mattes, one red": (
        _rgba(np.dstack([MATTE, _flat(0)[..., :2]]), _OTHER),
        "PNG",
        {},
        "two_mattes",
        "an alpha channel and colours that are another matte",
    ),
    "the opposite": (
        _rgba(np.dstack([255 - MATTE] * 3), MATTE),
        "PNG",
        {},
        "two_mattes",
        "an alpha channel and colours that are another matte",
    ),
    "black is transparent": (
        PillowImage.fromarray(MATTE),
        "PNG",
        {"transparency": 0},
        "two_mattes",
        "grey values, one of which is declared transparent",
    ),
    "black is transparent, of 16 bits": (
        PillowImage.fromarray(MATTE.astype(np.uint16) * 257),
        "PNG",
        {"transparency": 0},
        "two_mattes",
        "grey values, one of which is declared transparent",
    ),
    "black is transparent, red": (
        _channels(MATTE, 0, 0),
        "PNG",
        {"transparency": (0, 0, 0)},
        "two_mattes",
        "grey values, one of which is declared transparent",
    ),
    "nothing shows": (
        _rgba(np.dstack([MATTE] * 3), np.zeros_like(MATTE)),
        "PNG",
        {},
        "alpha_empty",
        "its alpha channel is 0 of 255 everywhere; if the matte is in the colours, save it without one",
    ),
}


def _refusal(values: np.ndarray, scale: float | None = None) -> str:
    with pytest.raises(Rejected) as caught:
        read_matte(saved(PillowImage.fromarray(values)), scale)
    return caught.value.message


def test_no_scale_is_proposed_that_would_be_refused() -> None:
    assert _refusal(MATTE // 255) == (
        "the largest value is 1 of 255: a mask of 0 and 1? if 1 means opaque, give --alpha-scale 1"
    )
    assert "would make the most opaque 0.39%" in _refusal(MATTE // 255, 255)
    assert "if 200 means opaque, give --alpha-scale 200; if 255 does, give that" in _refusal(np.minimum(MATTE, 200))
    assert read_matte(saved(PillowImage.fromarray(np.minimum(MATTE, 200))), 255).alpha.max() == np.float32(200 / 255)


@pytest.mark.parametrize("name", _REFUSED)
def test_what_is_doubtful_is_refused_with_what_was_found(name: str) -> None:
    picture, kind, options, reason, words = _REFUSED[name]
    with pytest.raises(Rejected) as caught:
        read_matte(saved(picture, kind, **options))
    assert (caught.value.stage, caught.value.reason) == ("read", reason)
    assert words in caught.value.message


def test_a_key_that_occurs_nowhere_means_nothing() -> None:
    picture = PillowImage.fromarray(_LIKE_KEY)
    assert np.array_equal(to_uint8(read_matte(saved(picture, transparency=0)).alpha), _LIKE_KEY)
    deep = PillowImage.fromarray(_LIKE_KEY.astype(np.uint16) * 257)
    assert np.array_equal(to_uint8(read_matte(saved(deep, transparency=0)).alpha), _LIKE_KEY)


def test_a_shape_of_two_values_may_be_its_own_key() -> None:
    assert np.array_equal(read_matte(saved(PillowImage.fromarray(_HARD * 255), transparency=0)).alpha, _HARD)
    with pytest.raises(Rejected, match="two_mattes"):  # white is transparent: the opposite of the greys
        read_matte(saved(PillowImage.fromarray(_HARD * 255), transparency=255))


_SCALES = {
    "0 and 1": (PillowImage.fromarray(_HARD), "PNG", 1, _HARD),
    "0 and 1 in an alpha channel": (_rgba(PHOTO, _HARD), "PNG", 1, _HARD),
    "0 and 1 in three channels under an opaque one": (_rgba(np.dstack([_HARD] * 3), _HARD * 0 + 1), "PNG", 1, _HARD),
    "0 and 1 in red": (_channels(_HARD, 0, 0), "PNG", 1, _HARD),
    "one bit": (PillowImage.fromarray(_HARD > 0), "PNG", 1, _HARD),
    "one VOC class": (_palette(_VOC, _HARD), "PNG", 128, _HARD),
    "12 bits": (PillowImage.fromarray(MATTE.astype(np.uint16) * 16), "PNG", 4080, to_float(MATTE)),
    "floats": (PillowImage.fromarray(MATTE.astype(np.float32)), "TIFF", 255, to_float(MATTE)),
    "8 bits": (PillowImage.fromarray(MATTE), "PNG", 255, to_float(MATTE)),
    "faint smoke": (PillowImage.fromarray(MATTE // 2), "PNG", 255, to_float(MATTE // 2)),
}


@pytest.mark.parametrize("name", _SCALES)
def test_a_scale_says_what_is_opaque(name: str) -> None:
    picture, kind, scale, expected = _SCALES[name]
    np.testing.assert_allclose(read_matte(saved(picture, kind), scale).alpha, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("picture", "kind", "scale", "words"),
    [
        (PillowImage.fromarray(MATTE), "PNG", 1, "out_of_range: values from 0 to 255 in .* --alpha-scale 1 cannot be"),
        (PillowImage.fromarray(MATTE), "PNG", 65535, "out_of_range: .* of which 255 is white: --alpha-scale 65535"),
        (PillowImage.fromarray(to_float(MATTE)), "TIFF", 255, "never_white: .* would make the most opaque 0.39%"),
        (PillowImage.fromarray(_HARD), "PNG", 255, "never_white: .* would make the most opaque 0.39%"),
        (_palette(_VOC, _HARD), "PNG", 255, "never_white: the largest value of its colours is 128 of 255"),
        (PillowImage.fromarray(MATTE.astype(np.uint16) * 257), "PNG", 255, "out_of_range: values from 0 to 65535"),
    ],
)
def test_a_scale_that_cannot_be_right_is_refused(
    picture: PillowImage.Image, kind: str, scale: float, words: str
) -> None:
    with pytest.raises(Rejected, match=words):
        read_matte(saved(picture, kind), scale)


def test_the_cases_of_masks_as_people_have_them(shared: Path) -> None:
    """`02-mask-values`: the truth is f; a, b and g are its shape in two values."""
    folder = shared / "cases/02-mask-values/set/mask"
    truth = read_matte((folder / "f_ok_8bit.png").read_bytes()).alpha
    shape = read_matte((folder / "g_bool_1bit.png").read_bytes())
    assert shape.flags == ("two_values",)
    assert np.unique(shape.alpha).tolist() == [0.0, 1.0]
    for name, atol in (("e_float_tif_0_1.tif", 0.0), ("j_16bit_full.png", 1e-7), ("h_jpeg.jpg", 0.1)):
        found = read_matte((folder / name).read_bytes())
        assert np.abs(found.alpha - truth).max() <= atol
        assert found.flags == ()
    inverted = read_matte((folder / "l_inverted.png").read_bytes())
    assert np.abs(inverted.alpha - (1 - truth)).max() < 1e-6
    assert inverted.flags == ("inverted",)
    trimap = read_matte((folder / "k_trimap_0_128_255.png").read_bytes())
    assert np.unique(to_uint8(trimap.alpha)).tolist() == [0, 128, 255]
    assert trimap.flags == ("trimap",)
    for name, scale, reason in (
        ("a_zero_one_8bit.png", 1, "never_white"),
        ("b_voc_palette.png", 128, "never_white"),
        ("d_float_tif_0_255.tif", 255, "out_of_range"),
    ):
        data = (folder / name).read_bytes()
        with pytest.raises(Rejected, match=reason):
            read_matte(data)
        expected = truth if name.startswith("d") else shape.alpha
        assert np.array_equal(read_matte(data, scale).alpha, expected)


def test_the_cases_of_alpha_channels(shared: Path) -> None:
    """`01-rgba-matte` and the cut-outs of `21-aisegment`: the truth is in the alpha channel of each."""
    mattes = sorted((shared / "cases/01-rgba-matte").rglob("*.png")) + sorted(
        (shared / "cases/21-aisegment").rglob("*.png")
    )
    assert len(mattes) == 8
    y, x = np.mgrid[0:120, 0:160]
    for path in mattes:
        alpha = read_matte(path.read_bytes()).alpha
        assert np.all(alpha[(x < 48) | (y < 30)] == 0)
        assert np.all(alpha[(x >= 96) & (y >= 30)] == 1)
        assert np.all(np.diff(alpha[60]) >= 0)
        assert len(np.unique(alpha)) == 49


def _flags(pixels: np.ndarray) -> tuple[str, ...]:
    return matte_flags(pixels, histogram(pixels))


@pytest.mark.parametrize("data_set", ["am2k", "portraits", "alphamatting"])
def test_true_mattes_have_no_flags_and_inverted_ones_have(shared: Path, data_set: str) -> None:
    paths = sorted((shared / "data" / data_set / "mask").iterdir())
    assert len(paths) >= 6
    for path in paths:
        found = read_matte(path.read_bytes())
        assert found.flags == (), path
        assert _flags(255 - to_uint8(found.alpha)) == ("inverted",), path


def test_who_touches_the_border_is_not_inverted() -> None:
    portrait = np.zeros((100, 80), np.uint8)
    portrait[20:, 10:70] = 255  # the whole width but a margin, down to the lower border
    portrait[19, 10:70] = 100
    assert _flags(portrait) == ("trimap",)  # one grey alone is odd, the border is not
    close = np.full((100, 80), 255, np.uint8)
    close[:8, :30] = np.arange(0, 240, 30, dtype=np.uint8)[:, None]
    assert _flags(close) == ()
    assert _flags(255 - portrait) == ("trimap", "inverted")


def test_flags_of_lossy_masks() -> None:
    square = np.zeros((64, 64), np.uint8)
    square[20:50, 20:50] = 255
    assert _flags(square) == ("two_values",)
    trimap = square.copy()
    trimap[16:54, 16:54] = np.where(square[16:54, 16:54], 255, 128)
    assert _flags(trimap) == ("trimap",)
    assert read_matte(encode_jpeg(trimap, 95)).flags == ("trimap",)
    disc = np.where(np.hypot(*np.mgrid[-60:60, -60:60]) < 35, 255, 0).astype(np.uint8)
    for quality in (40, 60, 75, 90, 95):
        assert read_matte(encode_jpeg(np.dstack([disc] * 3), quality)).flags == ("two_values",), quality
    faint = disc.copy()
    faint[:, 100:] = 50
    assert _flags(faint) == ("trimap",)
    assert _flags(np.full((4, 4), 255, np.uint8)) == ("full",)
    assert _flags(np.full((4, 4), 254, np.uint8)) == ()
    assert _flags(np.zeros((4, 4), np.uint8)) == ("empty",)
    assert _flags(MATTE) == ()


def test_flags_are_counted_in_sentences() -> None:
    found = [("a", ("trimap",)), ("b", ()), ("c", ("two_values", "inverted")), ("d", ("trimap", "inverted"))]
    assert describe_flags(found) == [
        f"2 of 4 mattes {FLAGS['trimap']}; for example a",
        f"2 of 4 mattes {FLAGS['inverted']}; for example c",
        f"1 of 4 mattes {FLAGS['two_values']}; for example c",
    ]
    assert describe_flags([("a", ("two_values",)), ("b", ("two_values",))]) == []  # a set of masks: nobody expects soft
    masks = [("a", ("two_values",)), ("b", ("empty",)), ("c", ("full",))]  # and scenes without a subject
    assert describe_flags(masks) == [
        f"1 of 3 mattes {FLAGS['empty']}; for example b",
        f"1 of 3 mattes {FLAGS['full']}; for example c",
    ]
    assert describe_flags([]) == []


def test_a_stored_matte_is_taken_as_it_is() -> None:
    assert np.array_equal(stored_matte(encode_png(_HARD)), _HARD)
    assert np.array_equal(stored_matte(saved(_rgba(PHOTO, MATTE))), MATTE)


def test_a_trimap_has_two_known_values_and_one_between() -> None:
    trimap = np.where(noise(24, 32) < 90, 128, _HARD * 255).astype(np.uint8)
    for picture in (
        PillowImage.fromarray(trimap),
        PillowImage.fromarray(np.where(trimap == 128, 100, trimap).astype(np.uint8)),
        PillowImage.fromarray(trimap.astype(np.uint16)),
        _palette(_RAMP, trimap),
        _channels(trimap, trimap, trimap),
    ):
        assert np.array_equal(decode_trimap(saved(picture)), trimap)
    assert np.array_equal(decode_trimap(saved(PillowImage.fromarray(trimap // 128 * 128))) == 0, trimap == 0)
    for data, words in (
        (encode_png(trimap // 127), "3 values (0, 1, 2); 0, 255 and one in the middle"),
        (encode_png(MATTE), "values (0, "),
        (encode_jpeg(trimap, 90), "expected, without loss"),
        (encode_png(np.where(trimap == 128, 1, trimap).astype(np.uint8)), "3 values (0, 1, 255)"),
    ):
        with pytest.raises(Rejected) as caught:
            decode_trimap(data)
        assert (caught.value.reason, words in caught.value.message) == ("no_trimap", True)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_cutout_is_read_with_its_alpha_channel(tmp_path: Path, kind: str, orientation: int) -> None:
    stored = noise(8, 9, 4)
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    extras: dict[str, Any] = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    data = saved(PillowImage.fromarray(stored), kind, exif=exif, **extras)
    picture, matte = read_cutout(data)
    upright = TURNS[orientation](stored)
    assert np.array_equal(to_uint8(picture), upright[:, :, :3])
    assert np.array_equal(matte.alpha, to_float(upright[:, :, 3]))
    (tmp_path / "a").write_bytes(data)
    assert has_alpha_channel(io.BytesIO((tmp_path / "a").read_bytes()))


def test_other_ways_to_be_transparent(tmp_path: Path) -> None:
    grey, alpha = noise(8, 9), noise(9, 8).T
    both = PillowImage.merge("LA", [PillowImage.fromarray(grey), PillowImage.fromarray(alpha)])
    palette = PillowImage.fromarray(grey // 64).convert("P")
    deep = np.random.default_rng(2).integers(0, 65536, (8, 9, 4), dtype=np.uint16)
    for data, expected in (
        (saved(both), alpha),
        (saved(palette, transparency=2), np.where(grey // 64 == 2, 0, 255)),
        (cv2.imencode(".png", deep)[1].tobytes(), deep[:, :, 3] / 257),
    ):
        assert np.abs(read_cutout(data)[1].alpha * 255 - expected).max() <= 1
        (tmp_path / "a").write_bytes(data)
        assert has_alpha_channel(io.BytesIO((tmp_path / "a").read_bytes()))


def test_a_cutout_may_be_of_a_grey_photograph_and_its_matte_must_be_one() -> None:
    picture, matte = read_cutout(saved(_rgba(np.dstack([_OTHER] * 3), MATTE)))
    assert np.array_equal(to_uint8(picture)[..., 0], _OTHER)
    assert np.array_equal(to_uint8(matte.alpha), MATTE)
    faint = saved(_rgba(PHOTO, _HARD))
    with pytest.raises(Rejected, match="never_white: the largest value is 1 of 255: a mask of 0 and 1"):
        read_cutout(faint)
    assert np.array_equal(read_cutout(faint, 1)[1].alpha, _HARD)


def test_colours_that_were_multiplied_by_alpha_are_divided_again() -> None:
    stored = np.empty((4, 4, 4), np.uint8)
    stored[:] = (100, 50, 0, 128)
    stored[0, 0, 3] = 255
    data = saved(PillowImage.fromarray(stored), "TIFF")
    straight, associated = (struct.pack("<HHIHH", 338, 3, 1, kind, 0) for kind in (2, 1))
    assert data.count(straight) == 1
    picture, matte = read_cutout(data.replace(straight, associated))
    assert np.abs(to_uint8(picture)[1, 0].astype(int) - (199, 100, 0)).max() <= 1
    assert to_uint8(matte.alpha)[1, 0] == 128


def test_what_is_no_cutout(tmp_path: Path) -> None:
    for data, reason in (
        (encode_png(noise(8, 9, 3)), "no_alpha_channel"),
        (encode_jpeg(noise(8, 9, 3)), "no_alpha_channel"),
        (b"no picture", "not_an_image"),
        (b"", "empty"),
        (encode_png(noise(8, 9, 4))[:200], "truncated"),
    ):
        with pytest.raises(Rejected) as caught:
            read_cutout(data)
        assert (caught.value.stage, caught.value.reason) == ("read", reason)
        (tmp_path / "a").write_bytes(data)
        assert has_alpha_channel(io.BytesIO((tmp_path / "a").read_bytes())) == (reason == "truncated")
    assert not has_alpha_channel(io.BytesIO())
