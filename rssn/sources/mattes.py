"""What the matte of a picture file is: the one place that decides it, for every command that takes mattes from a user.

A matte is the truth that everything else is judged by, and a wrong one looks like a right one in every log. So nothing
is converted here that is not understood: what is doubtful is refused, with what was found.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageChops

from rssn.errors import Rejected
from rssn.image.arrays import Alpha, Image, Pixels, to_float, to_uint8
from rssn.image.decoding import MAX_PIXELS, as_srgb, converted, is_deep, load, open_header, upright
from rssn.image.matte_flags import histogram, matte_flags

MATTE_RULES = 3
"""Count it up where a file may give another matte than before: layers that were made of the old one are made again."""

NEAR_WHITE = 0.9
"""A matte whose largest value is a smaller share of white is refused, unless `--alpha-scale` says what is opaque."""

_FAINT = 0.1  # of what --alpha-scale says: a whole matte below it is a wrong scale all the same
_GREY_BLACK, _DULL_WHITE = 0.05, 0.95  # a matte within these has neither black nor white: levels of video
_SLACK = 2  # 8-bit units by which equal channels may differ: JPEG, colour management
_DARK = 64  # a picture with no larger value gets no slack: it may be a mask of 0 and 1
_EXTREMES = 0.05  # share of black and white that a matte has, and hardly a grey photograph
_WHITES = (1.0, 100.0, 255.0, 1023.0, 4095.0, 16383.0, 32768.0, 65535.0)
_COLOURED, _COLOURFUL = 8, 0.01  # 8-bit units between channels, and the share of such px that makes a photograph
_TRIMAP_VALUES = 3
_KEYED = "grey values, one of which is declared transparent"

_Floats: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Matte:
    """A matte that was understood.

    Attributes:
        alpha: H x W float32 in [0, 1].
        flags: What is odd about it, of `rssn.image.matte_flags.FLAGS`.
    """

    alpha: Alpha
    flags: tuple[str, ...]


@dataclass(frozen=True)
class _Channel:
    """The values of the one channel that holds the matte, as the file has them."""

    values: Pixels | _Floats  # H x W
    white: float  # what opaque is, unless somebody says otherwise: 255, 65535, or 1 for floats
    coloured: bool = False  # one or two of a picture's colour channels
    coarse: bool = False  # 16 bits, of which the upper 8 were read


def read_matte(data: bytes, scale: float | None = None, max_pixels: int = MAX_PIXELS) -> Matte:
    """Read the matte of a picture file.

    The alpha channel (RGBA, LA, a palette's transparency, a transparent colour) is the matte unless it is opaque
    everywhere, or nearly; its colours are then nobody's business, unless they are another matte. Else it is the grey
    values, three equal channels, or the channels that vary where the others are constant. White is 255 of 8 bits, 1 of
    one bit and of floats, 65535 of 16 bits, or 255 where the values of 16 bits go no further. 16-bit channels beside
    others are read with 8 bits.

    Args:
        data: The bytes of the file.
        scale: The value that means opaque (`--alpha-scale`); None goes by the values.
        max_pixels: Pictures with more pixels are refused before decoding.

    Raises:
        Rejected: stage `read`, as `rssn.image.decoding.decode_pixels` does, or with the reason `never_white`,
            `unequal_channels`, `two_mattes`, `out_of_range`, `class_numbers`, `not_finite`, `min_is_white` or
            `alpha_empty`.
    """
    picture, deep = _opened(data, max_pixels)
    channel = _chosen(picture, scale)
    return _matte(_coarse(channel) if deep else channel, scale)


def read_cutout(data: bytes, scale: float | None = None, max_pixels: int = MAX_PIXELS) -> tuple[Image, Matte]:
    """Read a picture that carries its own matte: H x W x 3 from the colours, and the alpha channel.

    Alpha channels of 16 bits are read with 8. Colours that were multiplied by alpha, and say so, are divided again.

    Raises:
        Rejected: as `read_matte` does, or with the reason `no_alpha_channel`.
    """
    picture, deep = _opened(data, max_pixels)
    if not picture.has_transparency_data:
        raise Rejected("read", "no_alpha_channel", f"a cut-out needs an alpha channel; this picture is {picture.mode}")
    both = converted(picture, "RGBA")
    channel = _Channel(np.asarray(both.getchannel("A")), 255.0)
    return to_float(as_srgb(both)), _matte(_coarse(channel) if deep else channel, scale)


def stored_matte(data: bytes) -> Pixels:
    """A matte of our own shards, H x W uint8: 8-bit grey is taken as it is, for we have written it.

    Raises:
        Rejected: as `read_matte` does.
    """
    header = open_header(data)
    return np.asarray(load(header)) if header.mode == "L" else to_uint8(read_matte(data).alpha)


def decode_trimap(data: bytes) -> Pixels:
    """Read a trimap: 0 is background, white is foreground, the one value between is unknown.

    Returns:
        H x W uint8 of 0, 128 and 255.

    Raises:
        Rejected: stage `read`, as `read_matte` does, or with the reason `no_trimap`.
    """
    channel = _chosen(_opened(data)[0], None)
    found = np.unique(channel.values).astype(np.float64)
    white = _usual_white(channel, float(found[-1]))
    shares = found / white
    middle = shares[(shares > 0) & (shares < 1)]
    if len(found) > _TRIMAP_VALUES or len(middle) > 1 or np.any(np.abs(middle - 0.5) > 0.25):
        shown = ", ".join(f"{value:g}" for value in found[:5]) + (", ..." if len(found) > 5 else "")
        words = f"{len(found)} values ({shown}); 0, {white:g} and one in the middle are expected, without loss"
        raise Rejected("read", "no_trimap", words)
    known = (channel.values == 0) | (channel.values == white)
    return np.where(known, np.where(channel.values == 0, 0, 255), 128).astype(np.uint8)


def _opened(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[PillowImage.Image, bool]:
    """The picture, upright; and whether it has several channels of 16 bits, of which Pillow reads the upper 8."""
    header = open_header(data, max_pixels)
    deep = len(header.getbands()) > 1 and ";16" in str(getattr(header, "tile", ""))
    return upright(load(header)), deep


def _coarse(channel: _Channel) -> _Channel:
    """Upper halves as numbers of 16 bits."""
    return replace(channel, values=channel.values.astype(np.float32) * np.float32(257.0), white=65535.0, coarse=True)


def _matte(channel: _Channel, scale: float | None) -> Matte:
    values = channel.values
    low, high = float(values.min()), float(values.max())
    white = _white(channel, low, high, scale)
    if values.dtype == np.uint8 and white == 255.0:
        pixels = np.asarray(values, dtype=np.uint8)
        alpha = to_float(pixels)
    else:
        alpha = np.clip(values.astype(np.float32) / np.float32(white), 0.0, 1.0)
        pixels = to_uint8(alpha)
    counts = histogram(pixels)
    if scale is None:
        _refuse_class_numbers(counts)
    return Matte(alpha, matte_flags(pixels, counts))


def _white(channel: _Channel, low: float, high: float, scale: float | None) -> float:
    """The value that means opaque."""
    found = f"values from {low:g} to {high:g}"
    if not math.isfinite(low + high):
        raise Rejected("read", "not_finite", "some of its values are not finite")
    white = _usual_white(channel, high) if scale is None else scale
    floats = channel.white == 1.0
    slack = white / 255 if floats else 0.0  # enlarging and filtering overshoot
    if low < -slack or high > white + slack or (white > channel.white and not floats):
        _refuse_range(channel, found, high, scale)
    if channel.coloured and high < NEAR_WHITE * white:
        words = f"the largest value of its colours is {high:g} of {white:g}: class numbers, as of a VOC palette?"
        raise Rejected("read", "never_white", f"{words} save the foreground's class as grey of 255")
    if channel.coarse and (high == 0.0 or white < NEAR_WHITE * channel.white):
        few = "of which nothing is left" if scale is None else f"too few for --alpha-scale {scale:g}"
        words = f"16-bit channels are read with their upper 8 bits, {few}"
        raise Rejected("read", "out_of_range", f"{words}; save the matte alone, as grey of 16 bits")
    if scale is not None and high < _FAINT * scale and high > 0:
        words = f"{found}, and --alpha-scale {scale:g} would make the most opaque {high / scale:.2%}"
        raise Rejected("read", "never_white", f"{words}; give the value that means opaque")
    if scale is None and 0 < high < NEAR_WHITE * white:
        raise Rejected("read", "never_white", _dark_words(high, white))
    if scale is None and low > _GREY_BLACK * white and high < _DULL_WHITE * white:
        words = f"{found} of {white:g}: neither black nor white, as levels of video; save it with 0 to {white:g}"
        raise Rejected("read", "never_white", f"{words}, or give --alpha-scale {white:g} if it is meant so")
    return white


def _usual_white(channel: _Channel, high: float) -> float:
    """White of the file's kind, but of 8 bits where the values of a deeper one go no further than that."""
    shallow = channel.white > 255.0 and NEAR_WHITE * 255.0 <= high <= 255.0
    return 255.0 if shallow else channel.white


def _refuse_range(channel: _Channel, found: str, high: float, scale: float | None) -> NoReturn:
    kind = "floats, whose white is 1" if channel.white == 1.0 else f"whole numbers of which {channel.white:g} is white"
    if scale is not None:
        words = f"{found} in {kind}: --alpha-scale {scale:g} cannot be right; give the value that means opaque"
    else:
        likely = _likely(high)
        words = f"{found} in a picture of {kind}; if {likely:g} means opaque, give --alpha-scale {likely:g}"
    raise Rejected("read", "out_of_range", words)


def _dark_words(high: float, white: float) -> str:
    """What a matte that is never near white may be, and the remedy."""
    found = f"the largest value is {high:g} of {white:g}"
    guess = "a mask of 0 and 1? " if high == 1 and white > 1 else ""
    likely = _likely(high) if white > 1 else high
    remedy = f"if {likely:g} means opaque, give --alpha-scale {likely:g}"
    if high >= _FAINT * white:
        remedy += f"; if {white:g} does, give that: a matte that is nowhere opaque is meant so"
    return f"{found}: {guess}{remedy}"


def _likely(high: float) -> float:
    """The smallest usual white that is not below a value; class numbers and odd ones are themselves."""
    usual = next((white for white in _WHITES if white >= high), high)
    return usual if high > NEAR_WHITE * usual else high


def _refuse_class_numbers(counts: npt.NDArray[np.float64]) -> None:
    """Small numbers and 255, nothing between: classes, with 255 for what is to be ignored (VOC, Cityscapes)."""
    numbers = np.flatnonzero(counts[1:32]) + 1
    if counts[255] and numbers.size and not counts[32:255].any() and counts[1:32].sum() > 0.001 * counts.sum():
        words = f"values from 0 to {numbers[-1]}, then 255: class numbers, with 255 for what to ignore?"
        remedy = "save the foreground's class as 255 and all else as 0; or give --alpha-scale 255 if it is a matte"
        raise Rejected("read", "class_numbers", f"{words} {remedy}")


def _chosen(picture: PillowImage.Image, scale: float | None) -> _Channel:
    """The channel of an upright picture that holds the matte."""
    if is_deep(picture):
        return _deep(picture)
    if picture.has_transparency_data and (channel := _alpha_channel(picture, scale)):
        return _Channel(np.asarray(channel), 255.0)
    if picture.mode == "1" and scale == 1.0:
        return _Channel(np.asarray(picture).astype(np.uint8), 255.0)
    if picture.mode in ("1", "L"):
        return _Channel(np.asarray(converted(picture, "L")), 255.0)
    return _grey(picture)


def _deep(picture: PillowImage.Image) -> _Channel:
    values = np.asarray(picture, dtype=np.float32)
    key = picture.info.get("transparency")
    if key is not None and np.any(values == key):
        _refuse_two(_KEYED)
    return _Channel(values, 1.0 if picture.mode == "F" else 65535.0)


def _grey(picture: PillowImage.Image) -> _Channel:
    """The one grey value of a picture's colours: of the channels that vary, which must be equal."""
    colours = converted(picture, "RGB")
    bands = colours.split()
    ranges = [_range(band) for band in bands]
    slack = _SLACK if max(high for _, high in ranges) >= _DARK else 0
    varying = [band for band, (low, high) in zip(bands, ranges, strict=True) if high - low > slack]
    first, *others = varying or bands
    largest = max((_range(ImageChops.difference(first, other))[1] for other in others), default=0)
    if largest > slack:
        kind = "a palette of class colours?" if picture.mode == "P" else "a photograph, or a mask of class colours?"
        words = f"its colour channels differ by up to {largest} of 255, and no alpha channel shows a background: {kind}"
        remedy = "save the matte as grey values or in the alpha channel"
        raise Rejected("read", "unequal_channels", f"{words} {remedy}")
    coloured = len(varying) in (1, 2)
    return _Channel(np.asarray(first if coloured else colours.convert("L")), 255.0, coloured)


def _range(band: PillowImage.Image) -> tuple[int, int]:
    low, high = band.getextrema()
    return int(low), int(high)  # type: ignore[arg-type]  # one channel has one pair


def _alpha_channel(picture: PillowImage.Image, scale: float | None) -> PillowImage.Image | None:
    """The alpha channel, or None where it is opaque everywhere, or nearly, and says nothing."""
    both = converted(picture, "RGBA")
    channel = both.getchannel("A")
    low, high = _range(channel)
    if low >= NEAR_WHITE * (scale or 255.0):
        return None
    if low == high:
        words = f"its alpha channel is {high} of 255 everywhere; if the matte is in the colours, save it without one"
        raise Rejected("read", "never_white" if high else "alpha_empty", words)
    alpha, colours = np.asarray(channel), np.asarray(converted(both, "RGB"))
    if isinstance(picture.info.get("transparency"), int | tuple):  # one colour is declared transparent
        _refuse_other_key(alpha, colours)
    _refuse_other_matte(alpha, colours)
    return channel


def _refuse_other_matte(alpha: Pixels, colours: Pixels) -> None:
    """Refuse an alpha channel over colours that look like another matte, where they show or where they do not.

    They are none where they are constant or a photograph, and no other one where they are the alpha channel again,
    multiplied by itself or not.
    """
    seen = alpha > 0
    shown = _one_channel(colours[seen], alpha[seen].astype(np.float32) / np.float32(255.0))
    hidden = _one_channel(colours[~seen], np.ones(int((~seen).sum()), np.float32))
    if hidden is not None:
        left = hidden[np.abs(hidden - np.median(hidden)) > _SLACK]  # of what an encoder or a person has wiped
        hidden = left if len(left) > _COLOURFUL * len(hidden) else None
    for grey in (shown, hidden):
        if grey is not None and np.mean((grey <= _SLACK) | (grey >= 255 - _SLACK)) >= _EXTREMES:
            _refuse_two("an alpha channel and colours that are another matte")


def _refuse_other_key(alpha: Pixels, colours: Pixels) -> None:
    """A transparent colour cuts out a hard shape; refuse it where the colours are greys and not the same shape."""
    grey = _one_channel(colours.reshape(-1, 3), np.ones(alpha.size, np.float32))
    if grey is not None and np.abs(grey - alpha.ravel()).max() > _SLACK:
        _refuse_two(_KEYED)


def _one_channel(colours: Pixels, weight: _Floats) -> _Floats | None:
    """The one of N colours' channels (N x 3), or of two alike, that is neither constant nor their own alpha channel.

    Differences count by weight, which is N shares of opacity. None: there is no such channel, or all differ.
    """
    if not weight.size:
        return None
    most = int(weight.argmax())
    share = weight / weight[most]
    bands: list[_Floats] = list(colours.astype(np.float32).T)
    varying = [
        band
        for band in bands
        if all((np.abs(band - band[most] * share**power) * weight).max() > _SLACK for power in range(3))
    ]
    if len(varying) == 1:
        return varying[0]
    alike = (
        one
        for one, other in combinations(varying, 2)
        if np.mean(np.abs(one - other) * weight > _COLOURED) <= _COLOURFUL
    )
    return next(alike, None)


def _refuse_two(found: str) -> NoReturn:
    words = "it is unclear which of them is the matte; save the right one alone, as grey"
    raise Rejected("read", "two_mattes", f"it holds {found}; {words}")
