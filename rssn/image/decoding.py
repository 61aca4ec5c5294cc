"""From the bytes of a picture file to arrays.

Headers, EXIF orientation, ICC profiles, palettes and 16 bits are Pillow's. The pixels of a JPEG come from `image.jpeg`,
which hears libjpeg's warnings of damage; those of other formats from Pillow. What was cut off is refused in every
format. Altered bits inside show where a format has a checksum, in PNG and in TIFF with deflate, and often in JPEG; not
in WebP, AVIF, HEIC, JPEG 2000, GIF, BMP and other TIFF.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from threading import Lock
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    ImageCms,
    ImageFile,
    ImageOps,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from PIL import Image as PillowImage

from rssn.errors import Rejected, RemoteError, first_line
from rssn.image.arrays import Image, Pixels, to_float, to_uint8
from rssn.image.jpeg import Mode, decode_jpeg, salvage_jpeg
from rssn.image.picture_files import FORMATS, HEAD_BYTES, format_of

MAX_PIXELS = 120_000_000
"""Pictures with more pixels than this are refused before they are decoded."""


def _open_heif(stream: BinaryIO) -> ImageFile.ImageFile:
    try:
        from pillow_heif import HeifImageFile  # noqa: PLC0415  (an extra)
    except ImportError as error:
        words = "a HEIC picture, which needs a package that is not installed: pip install 'rssn[heif]'"
        raise Rejected("read", "needs_package", words) from error
    picture: ImageFile.ImageFile = HeifImageFile(stream)
    return picture


_OPENERS: dict[str, Callable[[BinaryIO], ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.jpeg_factory,  # MPO too
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "HEIF": _open_heif,
    "JPEG2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
}
"""Pillow's readers, by the names of `rssn.image.picture_files.format_of`."""

_LIMIT_LOCK = Lock()

_SEVERAL_PICTURES = ("MPO", "HEIF")
"""Formats in which cameras put previews and depth beside the picture, which comes first."""

_MOVING = ("GIF", "PNG", "WEBP", "AVIF")
"""Formats of which several pictures in a file are frames; in a TIFF they are pages, of which none is the picture."""

_PHOTOMETRIC = 262
"""The tag of a TIFF that says what its values mean; 0: of grey, 0 is white."""

_TIFF_PARTS = ((273, 324), (279, 325))
"""Tags of a TIFF: the places of its strips or tiles, and their bytes."""

_PNG_START = 8
"""Bytes in front of a PNG's first chunk."""

_PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"tIME")

_OPAQUE = 250  # of 255; below it something would shine through
_FEW = 0.001  # share of a picture that may be transparent: stray pixels

_OVERSHOOT = 1 / 255  # of floats, by filters that enlarged or sharpened them
_FEWER_BITS = 1 << 14  # 16-bit values below it are those of 8 to 14 bits, as cameras and scanners have them

_SRGB = ImageCms.createProfile("sRGB")


def decode_pixels(data: bytes, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode a photograph to 8-bit sRGB.

    EXIF orientation is applied, ICC profiles are converted to sRGB, CMYK, palette, grey and 16-bit pictures become
    8-bit RGB, and an alpha channel is dropped.

    Args:
        data: The bytes of a file of one of `rssn.image.picture_files.FORMATS`.
        max_pixels: Pictures with more pixels are refused before decoding.

    Returns:
        H x W x 3 uint8, RGB.

    Raises:
        Rejected: stage `read`, with the reason `empty`, `not_an_image`, `needs_package`, `animated`,
            `too_many_pixels`, `truncated` or `damaged`; where values do not say what is white, `min_is_white`,
            `not_finite` or `out_of_range`.
    """
    return srgb_pixels(open_header(data, max_pixels))


def decode_image(data: bytes, max_pixels: int = MAX_PIXELS) -> Image:
    """Decode a photograph to float32 RGB in [0, 1]; see `decode_pixels`."""
    return to_float(decode_pixels(data, max_pixels))


def has_alpha_channel(stream: BinaryIO) -> bool:
    """Whether a file is a picture with an alpha channel (or a transparent colour), by its header alone.

    Raises:
        RemoteError: If it lies in a bucket, which does not give it.
    """
    try:
        with _opened(stream) as picture:
            return picture.has_transparency_data
    except RemoteError:
        raise
    except Exception:  # whatever a broken header makes Pillow raise: no cut-out
        return False


def picture_size(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Width and height as a viewer shows them (after EXIF orientation), read from the header alone."""
    return shown_size(open_header(data, max_pixels))


def shown_size(picture: PillowImage.Image) -> tuple[int, int]:
    """Width and height of an opened picture as a viewer shows it."""
    tags = getattr(picture, "tag_v2", None)  # newer Pillows turn the size of a TIFF, older ones do not
    width, height = (tags[256], tags[257]) if tags else picture.size
    return (height, width) if orientation(picture) in (5, 6, 7, 8) else (width, height)


def open_header(data: bytes, max_pixels: int = MAX_PIXELS, *, first_frame: bool = False) -> PillowImage.Image:
    """Open a picture without decoding it; too large ones are refused, and animated ones unless one frame is enough.

    Raises:
        Rejected: as `decode_pixels` does, `truncated` and `damaged` apart.
    """
    if not data:
        raise Rejected("read", "empty", "the file has no bytes")
    try:
        picture = _opened(io.BytesIO(data), max_pixels)
        picture.decodermaxblock = max(picture.decodermaxblock, len(data))  # or it is fed, and copied, in pieces
        moving = getattr(picture, "is_animated", False) and picture.format not in _SEVERAL_PICTURES
    except Rejected:
        raise
    except PillowImage.DecompressionBombError as error:
        raise Rejected("read", "too_many_pixels", f"{error}; the limit is {max_pixels}") from error
    except Exception as error:  # Pillow's plugins raise whatever a broken header makes them raise
        raise _no_header(data, error) from error
    if picture.mode == "I" and picture.format == "TIFF":
        raise Rejected("read", "not_an_image", "32-bit or signed whole numbers do not say what is white; use 16 bits")
    if is_deep(picture) and getattr(picture, "tag_v2", {}).get(_PHOTOMETRIC) == 0:  # Pillow turns 8 bits alone
        words = "a TIFF of which 0 is white, with more than 8 bits; save it with black as 0"
        raise Rejected("read", "min_is_white", words)
    width, height = picture.size
    if width * height > max_pixels:
        raise Rejected("read", "too_many_pixels", f"{width} x {height} px; the limit is {max_pixels}")
    if moving and not (first_frame and picture.format in _MOVING):
        raise Rejected("read", "animated", "a moving picture, or several pages in one file")
    if picture.format == "PNG":
        _have_late_exif(picture, data)
    orientation(picture)  # Pillow keeps it: what it meets behind the pixels changes nothing any more
    return picture


def _opened(stream: BinaryIO, max_pixels: int = MAX_PIXELS) -> ImageFile.ImageFile:
    found = format_of(stream.read(HEAD_BYTES))
    stream.seek(0)
    if found is None:
        raise SyntaxError("the first bytes are of no picture")
    with _pillows_limit(max_pixels):  # some readers take memory for the pixels here
        try:
            return _OPENERS[found](stream)
        except (SyntaxError, ValueError):
            if found != "PNG":
                raise
            stream.seek(0)
            return _OPENERS[found](io.BytesIO(_without_texts(stream.read())))


def _without_texts(png: bytes) -> bytes:
    """A PNG without the texts in front of its pixels: Pillow stops at damaged and at long ones, no viewer does."""
    parts, place = [png[:_PNG_START]], _PNG_START
    while place < len(png) and (kind := png[place + 4 : place + 8]) != b"IDAT":
        end = place + 12 + int.from_bytes(png[place : place + 4], "big")  # length, kind, content, checksum
        if kind not in _PNG_TEXTS:
            parts.append(png[place:end])
        place = end
    return b"".join((*parts, png[place:]))


def _no_header(data: bytes, error: Exception) -> Rejected:
    """Why a picture cannot be opened: what its first bytes say that it is, and what its reader says."""
    found = format_of(data[:HEAD_BYTES])
    if found is None:
        return Rejected("read", "not_an_image", f"its first bytes are of no {', '.join(FORMATS)} picture")
    said = first_line(error)
    telling = {"truncated": "truncated", "checksum": "damaged"}
    reason = next((reason for word, reason in telling.items() if word in said.lower()), "not_an_image")
    return Rejected("read", reason, f"a picture of the format {found} that cannot be opened: {said}")


@contextmanager
def _pillows_limit(pixels: int | None) -> Iterator[None]:
    """Have some of Pillow's readers, which know one limit for the whole process and refuse twice as much, heed ours."""
    with _LIMIT_LOCK:
        before, PillowImage.MAX_IMAGE_PIXELS = PillowImage.MAX_IMAGE_PIXELS, pixels
        try:
            yield
        finally:
            PillowImage.MAX_IMAGE_PIXELS = before


def _have_late_exif(picture: PillowImage.Image, data: bytes) -> None:
    """Take EXIF behind a PNG's pixels up with the header: Pillow comes to it when it decodes."""
    place = data.rfind(b"eXIf")
    if "exif" in picture.info or place < 0:
        return
    length = int.from_bytes(data[place - 4 : place], "big")
    chunk, check = data[place : place + 4 + length], data[place + 4 + length : place + 8 + length]
    if zlib.crc32(chunk) == int.from_bytes(check, "big"):  # else four bytes of the pixels
        picture.info["exif"] = b"Exif\0\0" + chunk[4:]


def is_jpeg(picture: PillowImage.Image) -> bool:
    """Whether an opened picture can be decoded smaller by its own transform: a JPEG, or an MPO of several."""
    return picture.format in ("JPEG", "MPO")


def load(picture: PillowImage.Image, scale: int = 1, *, grey: bool = False) -> PillowImage.Image:
    """Decode an opened picture.

    Args:
        picture: As `open_header` gives it.
        scale: How many times smaller a JPEG is decoded, see `image.jpeg.decode_jpeg`; of no effect on other formats.
        grey: Whether the brightness of a JPEG is enough; of no effect on CMYK and other formats.

    Raises:
        Rejected: stage `read`, reason `truncated` or `damaged`.
    """
    if is_jpeg(picture):
        mode = _jpeg_mode(picture, grey=grey)
        return _as_picture(picture, mode, decode_jpeg(_encoded(picture), mode, picture.size, scale))
    try:
        _check_deflate(picture)
        with _pillows_limit(None) if picture.format == "TIFF" else nullcontext():  # it asks again, after the header
            picture.load()
    except Exception as error:  # as above: a broken body raises OSError, SyntaxError, struct.error, ...
        reason = "truncated" if isinstance(error, EOFError) or "truncated" in str(error) else "damaged"
        raise Rejected("read", reason, f"the picture data are damaged: {first_line(error)}") from error
    return picture


def salvage(picture: PillowImage.Image, scale: int = 1) -> Pixels:
    """What can be decoded of a damaged picture, as `srgb_pixels` has it; the rest is grey or wrong.

    Raises:
        Rejected: If nothing can be decoded.
    """
    if is_jpeg(picture):
        mode = _jpeg_mode(picture)
        return as_srgb(_as_picture(picture, mode, salvage_jpeg(_encoded(picture), mode, picture.size, scale)))
    strict, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
    try:
        return as_srgb(load(picture))
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = strict


def srgb_pixels(picture: PillowImage.Image, scale: int = 1) -> Pixels:
    """Decode an opened picture to upright H x W x 3 uint8 of sRGB; see `decode_pixels` and `load`."""
    plain = picture.mode == "RGB" and not other_profile(picture) and orientation(picture) == 1
    if plain and is_jpeg(picture):  # the way through Pillow's memory takes longer than the decoding
        return decode_jpeg(_encoded(picture), "RGB", picture.size, scale)
    return as_srgb(load(picture, scale))


def background_pixels(picture: PillowImage.Image, scale: int = 1) -> Pixels:
    """Likewise for a picture that is to be seen all over.

    Raises:
        Rejected: As `srgb_pixels` does, or with the reason `transparent`: what is stored where a picture is transparent
            is not meant to be seen, and what lies behind is not known.
    """
    pixels = srgb_pixels(picture, scale)
    if picture.has_transparency_data:
        share = float((np.asarray(converted(picture, "RGBA").getchannel("A")) < _OPAQUE).mean())
        if share > _FEW:
            raise Rejected("read", "transparent", f"{share:.1%} of it is transparent; save it without an alpha channel")
    return pixels


def as_srgb(picture: PillowImage.Image) -> Pixels:
    """A decoded picture as upright H x W x 3 uint8 of sRGB; see `decode_pixels`."""
    return np.asarray(converted(_srgb(_eight_bit(upright(picture))), "RGB"))


def _encoded(picture: PillowImage.Image) -> bytes:
    return cast(io.BytesIO, picture.fp).getvalue()  # type: ignore[attr-defined]


def _jpeg_mode(picture: PillowImage.Image, *, grey: bool = False) -> Mode:
    return "L" if grey and picture.mode == "RGB" else cast(Mode, picture.mode)


def _as_picture(header: PillowImage.Image, mode: Mode, pixels: Pixels) -> PillowImage.Image:
    """Pixels as Pillow's picture, with what the header says of their colours and orientation."""
    if mode == "CMYK":
        pixels = ~pixels  # Adobe's, as Pillow has it
    picture = PillowImage.frombuffer(mode, pixels.shape[1::-1], np.ascontiguousarray(pixels), "raw", mode, 0, 1)
    picture.info = header.info
    return picture


def _check_deflate(picture: PillowImage.Image) -> None:
    """Check the checksums of a TIFF with deflate, which libtiff does not read.

    Raises:
        zlib.error: If one does not fit.
        EOFError: If one is not there.
    """
    if picture.info.get("compression") not in ("tiff_adobe_deflate", "tiff_deflate"):
        return
    tags, data = picture.tag_v2, memoryview(_encoded(picture))  # type: ignore[attr-defined]
    starts, sizes = (tags.get(strips) or tags.get(tiles) for strips, tiles in _TIFF_PARTS)
    for start, size in zip(starts, sizes, strict=True):
        stream = zlib.decompressobj()
        stream.decompress(data[start : start + size])
        if not stream.eof:
            raise EOFError("a part of it ends early")


def upright(picture: PillowImage.Image) -> PillowImage.Image:
    """A decoded picture as a viewer shows it (EXIF orientation)."""
    if orientation(picture) == 1:
        return picture  # Pillow would copy it
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # broken EXIF raises as broken headers do; viewers ignore it, and so do we
        return picture


def orientation(picture: PillowImage.Image) -> int:
    """The EXIF orientation in a picture's header: 1 upright, also where there is none or it cannot be read."""
    try:
        # The plain method: that of PNG decodes the whole picture in search of a tag behind it.
        return int(PillowImage.Image.getexif(picture).get(0x0112, 1))
    except Exception:  # as above
        return 1


def _eight_bit(picture: PillowImage.Image) -> PillowImage.Image:
    if not is_deep(picture):
        return picture
    shallow = PillowImage.fromarray(to_uint8(_unit_range(picture)))
    shallow.info = picture.info
    return shallow


def is_deep(picture: PillowImage.Image) -> bool:
    """Whether a grey picture has more than 8 bits: integers (`I`, `I;16`, ...) or floats (`F`)."""
    return picture.mode.startswith("I") or picture.mode == "F"


def _unit_range(picture: PillowImage.Image) -> npt.NDArray[np.float32]:
    """The values of a photograph of more than 8 bits, in [0, 1].

    Raises:
        Rejected: stage `read`, reason `not_finite` or `out_of_range`, where they do not say what is white.
    """
    values = np.asarray(picture, dtype=np.float32)
    low, high = float(values.min()), float(values.max())
    if not math.isfinite(low + high):
        raise Rejected("read", "not_finite", "some of its values are not finite")
    if picture.mode == "F":
        if low < -_OVERSHOOT or high > 1.0 + _OVERSHOOT:
            words = f"floats from {low:g} to {high:g}, where 0 is black and 1 is white; save it with 8 bits"
            raise Rejected("read", "out_of_range", words)
        return np.clip(values, 0.0, 1.0)
    if 0 < high < _FEWER_BITS:
        words = f"16 bits of which the largest value is {high:g} of 65535: a photograph of fewer bits? save it with 8"
        raise Rejected("read", "out_of_range", words)
    return values / np.float32(65535.0)


def other_profile(picture: PillowImage.Image) -> bytes | None:
    """The profile of a picture's colours, unless it has none, or one that is sRGB's whatever it is called."""
    profile = picture.info.get("icc_profile")
    return None if not profile or _is_srgb(profile) else profile


@lru_cache(maxsize=64)
def _is_srgb(profile: bytes) -> bool:
    """Whether a profile leaves 4,096 colours where they are, to a step of 8 bits."""
    steps = np.arange(0, 256, 17, dtype=np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(64, 64, 3)
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        seen = ImageCms.profileToProfile(PillowImage.fromarray(colours), source, _SRGB)
    except (ImageCms.PyCMSError, OSError):
        return False
    return int(np.abs(np.asarray(seen, np.int16) - colours).max()) <= 1


def _srgb(picture: PillowImage.Image) -> PillowImage.Image:
    profile = other_profile(picture)
    if not profile:
        return picture
    if picture.mode not in ("RGB", "CMYK", "L"):
        picture = converted(picture, "L" if picture.mode in ("1", "LA") else "RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(picture, source, _SRGB, outputMode="RGB") or picture
    except (ImageCms.PyCMSError, OSError):
        return picture  # a profile that does not fit its picture: viewers ignore it, and so do we


def converted(picture: PillowImage.Image, mode: str) -> PillowImage.Image:
    """A decoded picture in another of Pillow's modes.

    Raises:
        Rejected: stage `read`, reason `not_an_image`: Pillow knows no way.
    """
    if picture.mode == mode:
        return picture
    try:
        return picture.convert(mode)
    except ValueError as error:
        raise Rejected("read", "not_an_image", f"the colour mode {picture.mode} cannot be read") from error
