"""One photograph at a time: read it, check its resolution, and resize it.

What is measured on it is light (numbers and names) and all that the global stages need; the pixels go to the networks
and are then forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from bg20k.objects import Detection
from bg20k.rules import CurationRules
from bg20k.saliency import Saliency
from bg20k.strokes import Strokes, find_strokes
from bg20k.verdict import TOO_LONG, TOO_SMALL
from rssn.errors import Rejected
from rssn.image.arrays import Pixels, fit_inside, resize_area
from rssn.image.decoding import picture_size
from rssn.image.photograph import decode_photograph, is_mislabelled
from rssn.storage.files import content_id

THUMBNAIL_SIDE: Final = 256  # px

_HASH_SIDE = 256  # px
_JPEG_SIDE = 65_500  # px; what libjpeg writes at most


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """A photograph that can be read and is large enough: what measures are computed from.

    Attributes:
        background_id: Content id of the source file.
        rules: What it is examined by.
        pixels: H x W x 3 uint8 RGB; the shorter side has exactly `min_side` px.
        thumbnail: h x w x 3 uint8, the same with `THUMBNAIL_SIDE` px on the longer side.
        grey: H x W uint8, the same without colours.
        square: 256 x 256 px uint8, the same squeezed: small enough to hash fast, large enough to change no bit.
        strokes: What looks drawn in it, see `bg20k.strokes`.
        tiles: n x S x S uint8 grey samples of the source at full resolution, see `rssn.image.photograph`.
        source_width: Width in px of the source, after EXIF orientation.
        source_height: Height in px.
        size: Bytes of the source file.
        format: What the bytes are: `JPEG`, `PNG`, ...
        converted: What decoding had to change, see `rssn.image.photograph.CONVERSIONS`.
        detections: Findings of the detector, uncertain ones included; None where none looked.
        saliency: What the class-free network marked; None where none looked.
    """

    background_id: str
    rules: CurationRules
    pixels: Pixels
    thumbnail: Pixels
    grey: Pixels
    square: Pixels
    strokes: Strokes
    tiles: Pixels
    source_width: int
    source_height: int
    size: int
    format: str
    converted: tuple[str, ...]
    detections: Sequence[Detection] | None = None
    saliency: Saliency | None = None


def examine(data: bytes, rules: CurationRules, source: str = "") -> Candidate:
    """Read and resize one photograph.

    Args:
        data: The bytes of the source file.
        rules: `min_side` and `max_pixels` apply.
        source: Its path or URL; a suffix that names another format counts as a conversion.

    Returns:
        The resized photograph, at which no network has looked yet.

    Raises:
        Rejected: stage `read` as `rssn.image.decoding.decode_pixels` does; stage `resolution`, reason `too_small` or
            `too_long`, judged from the header before the picture is decoded.
    """
    shown = picture_size(data, rules.max_pixels)
    if min(shown) < rules.min_side:
        found = f"{shown[0]} x {shown[1]} px"
        raise Rejected("resolution", TOO_SMALL, f"{found}; the shorter side must have {rules.min_side} px or more")
    size = resized_size(*shown, rules.min_side)
    if max(size) > _JPEG_SIDE:
        found = f"{shown[0]} x {shown[1]} px would become {size[0]} x {size[1]}"
        raise Rejected("resolution", TOO_LONG, f"{found}; a JPEG has {_JPEG_SIDE} px at most on a side")
    photograph = decode_photograph(data, rules.min_side, rules.max_pixels)
    pixels = photograph.pixels
    if size != pixels.shape[1::-1]:
        pixels = resize_area(pixels, *size)
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    return Candidate(
        background_id=content_id(data),
        rules=rules,
        pixels=pixels,
        thumbnail=fit_inside(pixels, THUMBNAIL_SIDE),
        grey=grey,
        square=hash_square(grey),
        strokes=find_strokes(grey),
        tiles=photograph.tiles,
        source_width=photograph.width,
        source_height=photograph.height,
        size=len(data),
        format=photograph.format,
        converted=(*photograph.converted, *(["mislabelled"] if is_mislabelled(source, photograph.format) else [])),
    )


def hash_square(grey: Pixels) -> Pixels:
    """A grey H x W picture as it is hashed, see `Candidate.square`."""
    return resize_area(grey, _HASH_SIDE, _HASH_SIDE)


def resized_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Width and height with exactly `side` px on the shorter side.

    The longer side keeps the aspect ratio, rounded to the nearest px, halves up.
    """
    shorter, longer = sorted((width, height))
    other = (2 * longer * side + shorter) // (2 * shorter)
    return (side, other) if width == shorter else (other, side)
