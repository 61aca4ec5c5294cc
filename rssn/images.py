"""The one border between bytes and arrays, `decoding` apart: types, resizing, encoding, files.

Inside, a picture is RGB, H x W x 3, float32 in [0, 1] (`Image`), and alpha is H x W, float32 in [0, 1] (`Alpha`);
8-bit pictures (`Pixels`) live only here, in thumbnails and in front of the codecs. Resizing and encoding are OpenCV's,
for speed.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from rssn.errors import Rejected, RemoteError
from rssn.remote import NOT_A_FILE, content
from rssn.urls import url_of

Image: TypeAlias = npt.NDArray[np.float32]
Alpha: TypeAlias = npt.NDArray[np.float32]
Pixels: TypeAlias = npt.NDArray[np.uint8]


MAX_BYTES = 1 << 29
"""Files with more bytes than this are refused before they are read."""


def to_uint8(image: npt.NDArray[np.floating]) -> Pixels:
    """Clip to [0, 1], scale to 255 and round to nearest: the only way from floats to bytes."""
    scaled = np.clip(image, 0.0, 1.0)
    scaled *= np.float32(255.0)  # in place: fresh memory costs more than the arithmetic
    return np.asarray(np.rint(scaled, out=scaled), dtype=np.uint8)


def to_float(pixels: Pixels) -> Image:
    """Scale 8-bit values to float32 in [0, 1]; `to_uint8(to_float(p)) == p`."""
    return pixels.astype(np.float32) / np.float32(255.0)


def resize_area(pixels: Pixels, width: int, height: int) -> Pixels:
    """Resize 8-bit RGB or grey by area averaging (bilinear where it has to enlarge)."""
    enlarge = width > pixels.shape[1] or height > pixels.shape[0]
    return np.asarray(
        cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR if enlarge else cv2.INTER_AREA),
        dtype=np.uint8,
    )


def fit_inside(pixels: Pixels, side: int) -> Pixels:
    """Shrink so that the longer side is at most `side` px, aspect kept; smaller pictures stay as they are."""
    height, width = pixels.shape[:2]
    scale = min(1.0, side / max(height, width))
    return resize_area(pixels, max(1, round(width * scale)), max(1, round(height * scale)))


def encode_jpeg(pixels: Pixels, quality: int = 95) -> bytes:
    """Encode 8-bit RGB as JPEG with full colour resolution (4:4:4)."""
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    return encode_pixels(".jpg", pixels, options)


def encode_png(pixels: Pixels) -> bytes:
    """Encode 8-bit grey (H x W), RGB or RGBA as PNG, without loss."""
    return encode_pixels(".png", pixels, [])


def read_bytes(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Read a source file; a missing or unreadable one is the sample's fault, not the run's.

    Raises:
        Rejected: stage `read`, reason `unreadable`, `not_a_file` (a pipe, a device, a socket) or `too_many_bytes`.
    """
    try:
        return content(path, max_bytes)
    except RemoteError as error:
        raise Rejected("read", "unreadable", str(error)) from error
    except OSError as error:
        reason = {NOT_A_FILE: "not_a_file", errno.EFBIG: "too_many_bytes"}.get(error.errno or 0, "unreadable")
        raise Rejected("read", reason, f"{url_of(path) or path}: {error.strerror or error}") from error


def encode_pixels(suffix: str, pixels: Pixels, options: list[int]) -> bytes:
    """Encode 8-bit grey, RGB or RGBA with an OpenCV codec, chosen by file suffix, and its options."""
    order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    try:
        swapped = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, order[pixels.shape[2]])
        done, encoded = cv2.imencode(suffix, swapped, options)
    except cv2.error as error:
        raise Rejected("encode", "codec", f"OpenCV could not write {pixels.shape} as {suffix}") from error
    if not done:
        raise Rejected("encode", "codec", f"OpenCV could not write {pixels.shape} as {suffix}")
    return encoded.tobytes()
