"""How pictures are stored in shards. Alpha is always PNG; the choice is for the composite and its layers."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import cv2

from rssn.errors import InputError
from rssn.images import Pixels, encode_jpeg, encode_pixels, encode_png

ImageCodec: TypeAlias = Literal["jpeg", "png", "webp"]
"""`jpeg`: quality 95, 4:4:4. `png` and `webp` are lossless; WebP is smaller and slower to write."""

_LOSSLESS_WEBP = [cv2.IMWRITE_WEBP_QUALITY, 101]

BYTES_PER_PIXEL: dict[ImageCodec, float] = {"jpeg": 0.35, "png": 1.7, "webp": 1.2}
"""What a pixel of a photograph takes, measured on AM-2k composites; for planning only."""


def encode_picture(pixels: Pixels, codec: ImageCodec) -> bytes:
    """Encode 8-bit RGB.

    Raises:
        InputError: If the codec is unknown.
    """
    if codec == "jpeg":
        return encode_jpeg(pixels)
    if codec == "png":
        return encode_png(pixels)
    if codec == "webp":
        return encode_pixels(".webp", pixels, _LOSSLESS_WEBP)
    raise InputError(f"image codec {codec!r} is unknown; choose one of {', '.join(get_args(ImageCodec))}")


def suffix(codec: ImageCodec) -> str:
    """The ending of a file name, with its dot."""
    return ".jpg" if codec == "jpeg" else f".{codec}"
