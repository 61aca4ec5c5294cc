"""One photograph at a time: read it, check its resolution, resize it and take its fingerprint.

The fingerprint is light (ids and numbers) and is all that the global stages need; the pixels go to the detector and
to the encoder and are then forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import imagehash
import numpy as np
from PIL import Image as PillowImage

from bg20k.detail import detail
from bg20k.rules import CurationRules
from bg20k.verdict import TOO_LONG, TOO_SMALL
from rssn.errors import Rejected
from rssn.image.arrays import Pixels, resize_area
from rssn.image.decoding import picture_size
from rssn.image.photograph import decode_photograph
from rssn.storage.files import content_id

_JPEG_SIDE = 65_500  # px; what libjpeg writes at most
_COLOUR_SIDE = 64  # px; of what is looked through for colours
_HASH_SIDE = 256
"""Side in px of the square grey picture that is hashed: small enough to be fast, large enough to change no bit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What is known about a photograph without its pixels.

    Attributes:
        background_id: Content id of the source file.
        source_width: Width in px of the source, after EXIF orientation.
        source_height: Height in px.
        phash: 64-bit perceptual hash (`imagehash.phash`, hash size 8); the first bit is the most significant one.
        sharpness: Variance of the Laplacian of the resized grey picture, in squared 8-bit units. Comparable between
            photographs, because all are resized to the same shorter side.
        flat: Nearly constant: the perceptual hash is noise and must not be compared.
        grey: Without colours, whatever the file could hold; see `CurationRules.grey`.
        detail: Detail at the source's own resolution, see `bg20k.detail`; None where it is too small to tell.
    """

    background_id: str
    source_width: int
    source_height: int
    phash: int
    sharpness: float
    flat: bool
    grey: bool = False
    detail: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate(Fingerprint):
    """A photograph that can be read and is large enough.

    Attributes:
        pixels: H x W x 3 uint8 RGB; the shorter side has exactly `min_side` px.
        format: What the bytes are: `JPEG`, `PNG`, ...
        converted: What decoding had to change, see `rssn.image.photograph.CONVERSIONS`.
    """

    pixels: Pixels
    format: str
    converted: tuple[str, ...]


def examine(data: bytes, rules: CurationRules) -> Candidate:
    """Read, measure and resize one photograph.

    Args:
        data: The bytes of the source file.
        rules: `min_side`, `max_pixels`, `flat_std` and `grey` apply.

    Returns:
        The resized photograph and its fingerprint.

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
    phash, flat = hash_picture(grey, rules)
    return Candidate(
        background_id=content_id(data),
        source_width=photograph.width,
        source_height=photograph.height,
        phash=phash,
        sharpness=_sharpness(grey),
        flat=flat,
        grey=_is_grey(pixels, rules),
        detail=detail(photograph.tiles),
        pixels=pixels,
        format=photograph.format,
        converted=photograph.converted,
    )


def hash_picture(grey: Pixels, rules: CurationRules) -> tuple[int, bool]:
    """The perceptual hash of a grey H x W picture, and whether the picture is so flat that it means nothing."""
    square = resize_area(grey, _HASH_SIDE, _HASH_SIDE)
    return perceptual_hash(square), float(resize_area(square, 32, 32).std()) < rules.flat_std


def resized_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Width and height with exactly `side` px on the shorter side.

    The longer side keeps the aspect ratio, rounded to the nearest px, halves up.
    """
    shorter, longer = sorted((width, height))
    other = (2 * longer * side + shorter) // (2 * shorter)
    return (side, other) if width == shorter else (other, side)


def perceptual_hash(grey: Pixels) -> int:
    """The 64-bit pHash of a grey H x W picture: signs of its low DCT coefficients against their median."""
    bits = imagehash.phash(PillowImage.fromarray(grey), hash_size=8).hash
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _is_grey(pixels: Pixels, rules: CurationRules) -> bool:
    small = resize_area(pixels, _COLOUR_SIDE, _COLOUR_SIDE)
    return float(np.ptp(small, axis=2).max()) < rules.grey


def _sharpness(grey: Pixels) -> float:
    _, deviation = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
    return float(deviation[0, 0]) ** 2
