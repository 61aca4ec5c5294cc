"""The one border between bytes and arrays, `decoding` apart: types, resizing, encoding, files.

Inside, a picture is RGB, H x W x 3, float32 in [0, 1] (`Image`), and alpha is H x W, float32 in [0, 1] (`Alpha`);
8-bit pictures (`Pixels`) live only here, in thumbnails and in front of the codecs. Resizing and encoding are OpenCV's,
for speed.
"""

from __future__ import annotations

import errno
import zlib
from os import SEEK_END
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from rssn.errors import Rejected, RemoteError
from rssn.storage.location import Location
from rssn.storage.remote import NOT_A_FILE, content, opened

Image: TypeAlias = npt.NDArray[np.float32]
Alpha: TypeAlias = npt.NDArray[np.float32]
Pixels: TypeAlias = npt.NDArray[np.uint8]
Pixels16: TypeAlias = npt.NDArray[np.uint16]


MAX_BYTES = 1 << 29
"""Files with more bytes than this are refused before they are read."""

_PNG_HEADER = 33
"""Bytes of a PNG in front of its second chunk."""
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_NOTE = b"tEXtrssn\0"


def to_uint8(image: npt.NDArray[np.floating]) -> Pixels:
    """Clip to [0, 1], scale to 255 and round to nearest: the only way from floats to bytes."""
    return np.asarray(_scaled(image, 255), dtype=np.uint8)


def to_uint16(image: npt.NDArray[np.floating]) -> Pixels16:
    """Likewise for 16 bits, scaled to 65535."""
    return np.asarray(_scaled(image, 65535), dtype=np.uint16)


def to_float(pixels: Pixels) -> Image:
    """Scale 8-bit values to float32 in [0, 1]; `to_uint8(to_float(p)) == p`."""
    return np.divide(pixels, np.float32(255.0), dtype=np.float32)  # in one pass


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


def encode_png(pixels: Pixels | Pixels16, note: str = "") -> bytes:
    """Encode grey (H x W), RGB or RGBA of 8 or 16 bits as PNG, without loss.

    Args:
        pixels: What is seen.
        note: What is not, in ASCII: `png_note` reads it.
    """
    png = encode_pixels(".png", pixels, [])
    if not note:
        return png
    text = _NOTE + note.encode("ascii")
    chunk = (len(text) - 4).to_bytes(4, "big") + text + zlib.crc32(text).to_bytes(4, "big")
    return b"".join((png[:_PNG_HEADER], chunk, png[_PNG_HEADER:]))


def png_note(path: Location) -> str | None:
    """The note of a PNG that `encode_png` made; None for any other file, and for one of which the end is missing.

    Raises:
        OSError: If there is no such file, or it cannot be read.
    """
    with opened(path) as stream:
        head = stream.read(_PNG_HEADER + 1024)[_PNG_HEADER:]
        stream.seek(max(0, stream.seek(0, SEEK_END) - len(_PNG_END)))
        whole = stream.read() == _PNG_END
    length = int.from_bytes(head[:4], "big")
    return (
        head[4 + len(_NOTE) : 8 + length].decode("ascii", "replace") if whole and head[4:].startswith(_NOTE) else None
    )


def read_bytes(path: Location, max_bytes: int = MAX_BYTES) -> bytes:
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
        raise Rejected("read", reason, f"{path}: {error.strerror or error}") from error


def encode_pixels(suffix: str, pixels: Pixels | Pixels16, options: list[int]) -> bytes:
    """Encode grey, RGB or RGBA with an OpenCV codec, chosen by file suffix, and its options."""
    order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    try:
        swapped = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, order[pixels.shape[2]])
        done, encoded = cv2.imencode(suffix, swapped, options)
    except cv2.error as error:
        raise Rejected("encode", "codec", f"OpenCV could not write {pixels.shape} as {suffix}") from error
    if not done:
        raise Rejected("encode", "codec", f"OpenCV could not write {pixels.shape} as {suffix}")
    return encoded.tobytes()


def _scaled(image: npt.NDArray[np.floating], white: int) -> npt.NDArray[np.floating]:
    scaled = np.clip(image, 0.0, 1.0)
    scaled *= np.float32(white)  # in place: fresh memory costs more than the arithmetic
    return np.asarray(np.rint(scaled, out=scaled))
