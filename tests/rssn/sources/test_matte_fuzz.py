"""500 random ways to write one soft matte: what is stored is the truth within 1/255, or the file is refused by name."""

from __future__ import annotations

import io
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from rssn.errors import Rejected
from rssn.image.arrays import encode_png, to_uint8
from rssn.sources.matting import Pair, load_foreground
from rssn.sources.picture_ref import PictureRef

_SHAPE = (40, 56)
_COUNT = 500


def _truth() -> np.ndarray:
    """Background, foreground, hair, smoke: every value but few of each, and a tenth of it soft."""
    y, x = np.mgrid[0 : _SHAPE[0], 0 : _SHAPE[1]]
    body = np.clip((18 - np.hypot(x - 28, y - 26)) / 3, 0, 1)
    hair = np.where((x % 7 == 0) & (y > 3) & (y < 20), y / 25, 0)
    smoke = np.where(x > 44, (x - 44) / 20 * (y > 25), 0)
    return to_uint8(np.maximum.reduce([body, hair, smoke]).astype(np.float32))


TRUTH = _truth()


@dataclass(frozen=True)
class _Encoding:
    """A file, and what must become of it: `read`, `refused`, or either."""

    name: str
    data: bytes
    fate: str
    scale: float | None = None


def _photo(dice: np.random.Generator) -> np.ndarray:
    small = dice.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, _SHAPE[::-1], interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _grey_photo(dice: np.random.Generator) -> np.ndarray:
    return np.repeat(_photo(dice)[..., :1] // 2 + 50, 3, axis=2)


def _other_matte(dice: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[0 : _SHAPE[0], 0 : _SHAPE[1]]
    radius, edge = dice.uniform(10, 30), dice.uniform(0.5, 12)
    far = np.hypot(x - dice.integers(56), y - dice.integers(40))
    return to_uint8(np.clip((radius - far) / edge, 0, 1).astype(np.float32))


def _grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=2)


def _multiplied(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return np.rint(colours * (alpha[..., None] / 255.0)).astype(np.uint8)


def _saved(picture: PillowImage.Image, dice: np.random.Generator) -> bytes:
    """In a container that loses nothing, turned as its EXIF says or not."""
    has_alpha = picture.mode in ("RGBA", "LA")
    kinds = ["PNG", "TIFF"]
    kinds += ["WEBP"] if picture.mode in ("RGB", "RGBA") else []
    kinds += ["BMP"] if picture.mode in ("L", "RGB", "1") else []
    kind = str(dice.choice(kinds))
    options: dict[str, Any] = {}
    if kind == "WEBP":
        options = {"lossless": True, "exact": bool(dice.integers(2))}
    if kind == "TIFF":
        options = {"compression": str(dice.choice(["raw", "tiff_lzw", "tiff_adobe_deflate"]))}
    if kind != "BMP" and dice.random() < 0.2:
        exif = PillowImage.Exif()
        exif[0x0112] = 6
        picture = picture.transpose(PillowImage.Transpose.ROTATE_90)
        options["exif"] = exif
    data = _bytes(picture, kind, **options)
    if kind == "TIFF" and has_alpha and picture.mode == "RGBA" and dice.random() < 0.3:
        data = _declared_multiplied(data)
    return data


def _bytes(picture: PillowImage.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def _declared_multiplied(data: bytes) -> bytes:
    """The same TIFF, but its colours are said to be multiplied by alpha: they come out divided by it."""
    straight, associated = (struct.pack("<HHIHH", 338, 3, 1, kind, 0) for kind in (2, 1))
    return data.replace(straight, associated)


_Way = Callable[[np.random.Generator], tuple[bytes, str] | tuple[bytes, str, float]]


def _whole_grey(dice: np.random.Generator) -> tuple[bytes, str, float] | tuple[bytes, str]:
    scaled = dice.random() < 0.3
    data = _saved(PillowImage.fromarray(TRUTH), dice)
    return (data, "read", 255.0) if scaled else (data, "read")


def _equal_channels(dice: np.random.Generator) -> tuple[bytes, str]:
    opaque = dice.random() < 0.4
    bands = [_grey(TRUTH), *([np.full_like(TRUTH, 255)] if opaque else [])]
    return _saved(PillowImage.fromarray(np.dstack(bands)), dice), "read"


def _some_channels(dice: np.random.Generator) -> tuple[bytes, str]:
    bands = np.empty((*_SHAPE, 3), np.uint8)
    bands[:] = dice.integers(0, 256, 3) if dice.random() < 0.5 else dice.choice([0, 255])
    kept = dice.permutation(3)[: dice.integers(1, 3)]
    bands[..., kept] = TRUTH[..., None]
    return _saved(PillowImage.fromarray(bands), dice), "read"


def _alpha_over(dice: np.random.Generator) -> tuple[bytes, str]:
    """Over whatever an editor leaves in the colours; noise of two values may be another matte."""
    ways: dict[str, tuple[np.ndarray, str]] = {
        "photo": (_photo(dice), "read"),
        "multiplied photo": (_multiplied(_photo(dice), TRUTH), "read"),
        "grey photo": (_grey_photo(dice), "read"),
        "multiplied grey photo": (_multiplied(_grey_photo(dice), TRUTH), "either"),
        "constant": (np.broadcast_to(dice.integers(0, 256, 3).astype(np.uint8), (*_SHAPE, 3)), "read"),
        "multiplied constant": (_multiplied(np.full((*_SHAPE, 3), dice.integers(0, 256)), TRUTH), "either"),
        "itself": (_grey(TRUTH), "read"),
        "itself, multiplied": (_multiplied(_grey(TRUTH), TRUTH), "read"),
        "noise of two values": (_grey(dice.integers(0, 2, _SHAPE, dtype=np.uint8) * np.uint8(255)), "refused"),
        "another matte": (_grey(_other_matte(dice)), "refused"),
    }
    colours, fate = ways[str(dice.choice(list(ways)))]
    data = _saved(PillowImage.fromarray(np.dstack([colours, TRUTH])), dice)
    return data, "either" if data.startswith(b"II") and fate == "read" else fate


def _grey_and_alpha(dice: np.random.Generator) -> tuple[bytes, str]:
    grey = [_grey_photo(dice)[..., 0], np.full_like(TRUTH, dice.integers(256)), TRUTH][dice.integers(3)]
    return _saved(PillowImage.merge("LA", [PillowImage.fromarray(each) for each in (grey, TRUTH)]), dice), "read"


def _under_another_alpha(dice: np.random.Generator) -> tuple[bytes, str]:
    """The matte is in the colours, and the alpha channel is another one, that leaves enough of it to be seen."""
    bands = _grey(TRUTH)
    if dice.random() < 0.3:
        bands[..., dice.integers(3)] = dice.integers(256)
    other = _other_matte(dice)
    while min(np.mean(TRUTH[other > 20] < 50), np.mean(TRUTH[other > 20] > 200)) < 0.1:
        other = _other_matte(dice)
    if dice.random() < 0.5:
        other = np.where(other > 20, 255, 0).astype(np.uint8)
    if dice.random() < 0.3:
        bands = _multiplied(bands, other)
    return _saved(PillowImage.fromarray(np.dstack([bands, other])), dice), "refused"


def _palette(dice: np.random.Generator) -> tuple[bytes, str]:
    order = dice.permutation(256)
    picture = PillowImage.fromarray(order[TRUTH].astype(np.uint8))
    colours = np.repeat(np.argsort(order)[:, None], 3, axis=1)
    if dice.random() < 0.3:
        colours[:, 1:] = 0
    picture.putpalette(colours.astype(np.uint8).tobytes())
    return _bytes(picture, str(dice.choice(["PNG", "TIFF", "GIF"]))), "read"


def _transparent_palette(dice: np.random.Generator) -> tuple[bytes, str]:
    picture = PillowImage.fromarray(TRUTH)
    picture.putpalette(dice.integers(0, 256, 768, dtype=np.uint8).tobytes())
    return _bytes(picture, "PNG", transparency=bytes(range(256))), "read"


def _class_palette(dice: np.random.Generator) -> tuple[bytes, str]:
    picture = PillowImage.fromarray(TRUTH)
    picture.putpalette(dice.integers(0, 256, 768, dtype=np.uint8).tobytes())
    return _bytes(picture, "PNG"), "refused"


def _transparent_colour(dice: np.random.Generator) -> tuple[bytes, str]:
    key = int(dice.choice([0, 255]))
    if dice.random() < 0.5:
        return _bytes(PillowImage.fromarray(TRUTH), "PNG", transparency=key), "refused"
    bands = _grey(TRUTH)
    bands[..., 1:] *= dice.integers(2, dtype=np.uint8)
    return _bytes(
        PillowImage.fromarray(bands), "PNG", transparency=(key, *map(int, bands[key == TRUTH][0][1:]))
    ), "refused"


def _deep(dice: np.random.Generator) -> tuple[bytes, str] | tuple[bytes, str, float]:
    white, fate, scale = [
        (65535, "read", None), (65535, "read", 65535.0), (255, "read", None), (255, "read", 255.0),
        (4095, "refused", None), (4095, "read", 4095.0), (1023, "refused", None), (32768, "refused", None),
        (65535, "refused", 255.0), (100, "refused", None),
    ][dice.integers(10)]  # fmt: skip
    values = np.rint(TRUTH / 255.0 * white).astype(np.uint16)
    kind = str(dice.choice(["PNG", "TIFF"]))
    return _bytes(PillowImage.fromarray(values), kind), fate, scale  # type: ignore[return-value]


def _deep_channels(dice: np.random.Generator) -> tuple[bytes, str]:
    white, fate = [(65535, "read"), (255, "refused"), (4095, "refused")][dice.integers(3)]
    values = np.rint(TRUTH / 255.0 * white).astype(np.uint16)
    photo = _photo(dice).astype(np.uint16) * 257
    bands = np.dstack([values] * 3) if dice.random() < 0.5 else np.dstack([photo, values])
    return cv2.imencode(str(dice.choice([".png", ".tiff"])), bands)[1].tobytes(), fate


def _floats(dice: np.random.Generator) -> tuple[bytes, str] | tuple[bytes, str, float]:
    white, fate, scale = [
        (1.0, "read", None), (1.0, "read", 1.0), (1.002, "read", None), (255.0, "refused", None),
        (255.0, "read", 255.0), (65535.0, "refused", None), (100.0, "refused", 1.0), (0.5, "refused", None),
    ][dice.integers(8)]  # fmt: skip
    values = (TRUTH / 255.0 * white).astype(np.float32)
    if dice.random() < 0.1:
        values[3, 3], fate = np.nan, "refused"
    return _bytes(PillowImage.fromarray(values), "TIFF"), fate, scale  # type: ignore[return-value]


def _narrow(dice: np.random.Generator) -> tuple[bytes, str]:
    """Other ranges of 8 bits, which nobody declares."""
    low, high = [(0, 1), (0, 100), (0, 128), (0, 20), (16, 235), (0, 200)][dice.integers(6)]
    values = np.rint(low + TRUTH / 255.0 * (high - low)).astype(np.uint8)
    picture = PillowImage.fromarray([values, _grey(values), np.dstack([_photo(dice), values])][dice.integers(3)])
    return _saved(picture, dice), "refused"


def _wrong_scale(dice: np.random.Generator) -> tuple[bytes, str, float]:
    return (
        _saved(PillowImage.fromarray(TRUTH), dice),
        "refused",
        float(dice.choice([1.0, 100.0, 254.0, 1023.0, 65535.0])),
    )


def _no_matte(dice: np.random.Generator) -> tuple[bytes, str]:
    """A photograph, alone or under an alpha channel that says nothing."""
    flat = np.full(_SHAPE, dice.choice([0, 128, 255]), np.uint8)
    bands = np.dstack([_photo(dice), *([flat] if dice.random() < 0.5 else [])])
    return _saved(PillowImage.fromarray(bands), dice), "refused"


def _white_is_zero(dice: np.random.Generator) -> tuple[bytes, str]:
    if dice.random() < 0.5:
        return _bytes(PillowImage.fromarray(TRUTH), "TIFF", tiffinfo={262: 0}), "read"
    deep = 65535 - TRUTH.astype(np.uint16) * 257
    return _bytes(PillowImage.fromarray(deep), "TIFF", tiffinfo={262: 0}), "refused"


_WAYS = (
    _whole_grey, _equal_channels, _some_channels, _alpha_over, _alpha_over, _grey_and_alpha, _under_another_alpha,
    _under_another_alpha, _palette, _transparent_palette, _class_palette, _transparent_colour, _deep, _deep_channels,
    _floats, _narrow, _wrong_scale, _no_matte, _white_is_zero,
)  # fmt: skip


def _encoding(number: int) -> _Encoding:
    dice = np.random.default_rng([20_240_611, number])
    way: Any = _WAYS[number % len(_WAYS)]
    data, fate, *scale = way(dice)
    return _Encoding(f"{number}: {way.__name__.strip('_')}", data, fate, scale[0] if scale else None)


@pytest.mark.slow
def test_five_hundred_encodings_of_one_matte_are_stored_rightly_or_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(encode_png(_photo(np.random.default_rng(0))))
    matte = tmp_path / "matte"
    pair = Pair("x", PictureRef.of(tmp_path / "photo.png"), PictureRef.of(matte), None, "photo.png")
    reasons: Counter[str] = Counter()
    wrong: list[str] = []
    for number in range(_COUNT):
        encoding = _encoding(number)
        matte.write_bytes(encoding.data)
        try:
            sample = load_foreground(Pair(**{**vars(pair), "alpha_scale": encoding.scale}))
        except Rejected as error:
            reasons[error.reason] += 1
            wrong += [f"{encoding.name}: {error}"] if encoding.fate == "read" else []
            continue
        reasons["read"] += 1
        stored = to_uint8(sample.alpha)
        same = stored.shape == TRUTH.shape and np.abs(stored.astype(int) - TRUTH).max() <= 1
        if not same or encoding.fate == "refused":
            wrong.append(f"{encoding.name}: {'read, but must be refused' if same else 'WRONG'}")
    assert wrong == []
    assert reasons["read"] >= 240
    assert reasons.keys() - {"read"} == {
        "two_mattes", "never_white", "unequal_channels", "out_of_range", "alpha_empty", "min_is_white", "not_finite"
    }  # fmt: skip
