"""How a JPEG was compressed, read from its header or chosen, and a picture compressed in the same way (ITU-T T.81).

A quality is libjpeg's: the tables that the standard gives as examples (Annex K.1), scaled; 50 has them as they are.
Tables are in rows from low to high vertical frequencies, not in the zigzag order of the file.
"""

from __future__ import annotations

import io
from typing import Annotated, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import features
from PIL.JpegImagePlugin import JpegImageFile
from pydantic import Field

from rssn.errors import Rejected
from rssn.image.arrays import Pixels
from rssn.image.decoding import MAX_PIXELS, open_header, orientation
from rssn.image.jpeg import decode_jpeg
from rssn.storage.settings import settings
from rssn.versions import version

Subsampling: TypeAlias = Literal["4:2:0", "4:2:2", "4:4:4"]
"""Chroma at half the width and height, at half the width, or at full size."""

Divisor = Annotated[int, Field(ge=1, le=255, description="whole numbers")]
Table = Annotated[tuple[Divisor, ...], Field(min_length=64, max_length=64, description="64 whole numbers, 1 to 255")]

_SUBSAMPLINGS: dict[tuple[float, float], Subsampling] = {(2, 2): "4:2:0", (2, 1): "4:2:2", (1, 1): "4:4:4"}
"""By how many times finer luma is across and down."""

_LUMA = """
16 11 10 16  24  40  51  61    12 12 14 19  26  58  60  55    14 13 16 24  40  57  69  56    14 17 22 29  51  87  80  62
18 22 37 56  68 109 103  77    24 35 55 64  81 104 113  92    49 64 78 87 103 121 120 101    72 92 95 98 112 100 103  99
"""
_CHROMA = """
17 18 24 47  99  99  99  99    18 21 26 66  99  99  99  99    24 26 56 99  99  99  99  99    47 66 99 99  99  99  99  99
99 99 99 99  99  99  99  99    99 99 99 99  99  99  99  99    99 99 99 99  99  99  99  99    99 99 99 99  99  99  99  99
"""
_EXAMPLES = np.array((_LUMA + _CHROMA).split(), np.int64)  # 128


@settings
class Compression:
    """What decides how much a JPEG loses: the divisors of its coefficients, and the size of its chroma."""

    luma: Table
    chroma: Table
    subsampling: Subsampling = "4:2:0"


class NearestQuality(NamedTuple):
    """The quality of libjpeg whose tables are nearest, and how far they are off."""

    quality: int  # 1 to 100
    off: float  # mean of |ln(divisor / libjpeg's)| over both tables; 0: they are its tables, 0.1: a tenth apart


def of_quality(quality: int, subsampling: Subsampling) -> Compression:
    """What libjpeg does at a quality of 1 to 100."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    divisors = np.clip((_EXAMPLES * scale + 50) // 100, 1, 255).tolist()
    return Compression(tuple(divisors[:64]), tuple(divisors[64:]), subsampling)


def nearest_quality(found: Compression) -> NearestQuality:
    """The quality whose tables are nearest to those of a camera or a program that has tables of its own."""
    divisors = np.log([*found.luma, *found.chroma])
    off = [float(np.abs(divisors - np.log(_divisors(quality))).mean()) for quality in range(1, 101)]
    return NearestQuality(1 + int(np.argmin(off)), min(off))


def read_compression(data: bytes, max_pixels: int = MAX_PIXELS) -> Compression | None:
    """How a photograph was compressed, from its header; no pixel is decoded.

    A photograph that EXIF turns by a quarter has its tables and its chroma turned with it: they are those of the
    picture as it is shown.

    Args:
        data: The file.
        max_pixels: As `open_header` takes it.

    Returns:
        None where it is no JPEG in luma and chroma, or not one that `Compression` can say: Cb and Cr by different
        tables, divisors above 255, chroma reduced otherwise (4:1:1, or 4:4:0 as shown).

    Raises:
        Rejected: As `open_header` does.
    """
    picture = open_header(data, max_pixels)
    if not isinstance(picture, JpegImageFile) or not _has_chroma(picture):
        return None
    tables = [np.reshape(picture.quantization.get(layer[3], [0] * 64), (8, 8)) for layer in picture.layer]
    if any(table.min() < 1 or table.max() > 255 for table in tables) or not np.array_equal(tables[1], tables[2]):
        return None
    finer = _finer(picture)
    if orientation(picture) in (5, 6, 7, 8):
        tables, finer = [table.T for table in tables], finer[::-1]
    subsampling = _SUBSAMPLINGS.get((finer[0], finer[1]))
    luma, chroma = (tuple(table.ravel().tolist()) for table in tables[:2])
    return Compression(luma, chroma, subsampling) if subsampling else None


def compress(pixels: Pixels, how: Compression) -> Pixels:
    """Encode 8-bit RGB as a JPEG and decode it: 8-bit RGB of the same size.

    Pillow encodes, because it takes tables; its baseline JPEG has libjpeg's exact transform, as its decoder does.

    Raises:
        Rejected: stage `encode`, reason `codec`, where a side has more than 65,500 px.
    """
    stream = io.BytesIO()
    try:
        picture = PillowImage.fromarray(pixels)
        picture.save(stream, "JPEG", qtables=[how.luma, how.chroma], subsampling=how.subsampling)
    except (OSError, ValueError) as error:
        raise Rejected("encode", "codec", f"Pillow could not write {pixels.shape} as .jpg: {error}") from error
    return decode_jpeg(stream.getvalue(), "RGB", picture.size)


def compression_versions() -> str:
    """Of the packages that decide what `compress` makes."""
    library = features.version("libjpeg_turbo") or f"none, libjpeg {features.version('jpg')}"
    return f"pillow {version('pillow')}, its libjpeg-turbo {library}, simplejpeg {version('simplejpeg')}"


def _divisors(quality: int) -> npt.NDArray[np.int64]:
    tables = of_quality(quality, "4:4:4")
    return np.array([*tables.luma, *tables.chroma])


def _has_chroma(picture: JpegImageFile) -> bool:
    """Whether it has luma, Cb and Cr; Adobe's transform 0 and the ids R, G, B say that it does not."""
    colours = picture.info.get("adobe_transform") == 0 or [layer[0] for layer in picture.layer] == [*b"RGB"]
    return len(picture.layer) == 3 and not colours


def _finer(picture: JpegImageFile) -> list[float]:
    """How many times finer luma is than chroma, across and down; 0 where Cb and Cr differ."""
    luma, blue, red = (layer[1:3] for layer in picture.layer)
    return [of_luma / of_blue if blue == red else 0 for of_luma, of_blue in zip(luma, blue, strict=True)]
