"""From the bytes of a JPEG to its pixels, or a refusal: libjpeg's warnings are heard here.

libjpeg decodes damaged data as far as it can make sense of them, and warns: bands of grey, shifted blocks, a lower half
in other colours. Pillow and OpenCV keep the warnings to themselves; `simplejpeg` tells them. What it decodes equals
Pillow's to the bit, at every scale.

Not every warning is damage. What cannot touch a pixel is set right, and libjpeg is asked again; if it has nothing more
to say, the photograph is whole:

* the closing marker is missing, and nothing else: it is put there;
* bytes of one value pad the data in front of the closing marker, as some cameras write them: they are taken away;
* bytes lie between the segments of the header, the JFIF version is unknown, or a sequential scan bears the parameters
  of a progressive one, as some phones write it: the header is written anew of the segments that decide pixels.

Bytes behind the closing marker (a second picture, a film, a phone's notes) are of no matter.

libjpeg does not warn of scans that are missing: a progressive file that was cut between two scans and closed shows its
picture without the fine detail. So a progressive file must bring every coefficient to its last bit. Nor does it warn of
anything in arithmetic coding, which is refused as a whole. Where altered bits give other valid codes, nothing can tell:
JPEG has no checksum. So a file that was cut at its end, closed or not, is always refused, a hole or a cut in its middle
mostly, and a single altered bit rarely.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import simplejpeg

from rssn.errors import Rejected
from rssn.image.arrays import Pixels

Mode: TypeAlias = Literal["RGB", "L", "CMYK"]
"""What the samples are, in Pillow's words; of CMYK 0 is ink, as Adobe writes it."""

_COLOURS = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
_CLOSED = b"\xff\xd9"
_SCAN = 0xDA
_SEQUENTIAL, _PROGRESSIVE, _ARITHMETIC = (0xC0, 0xC1), (0xC2,), (0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
_JFIF, _ADOBE = 0xE0, 0xEE
_DECIDING = (*_SEQUENTIAL, *_PROGRESSIVE, 0xC4, 0xDB, 0xDD, _JFIF, _ADOBE, _SCAN)
_ATTEMPTS = 4  # one for each fault that can be set right, and the last


class _Segment(NamedTuple):
    marker: int
    body: bytes  # with its marker and length
    end: int  # in the file


def decode_jpeg(data: bytes, mode: Mode, size: tuple[int, int], scale: int = 1) -> Pixels:
    """Decode a JPEG of 8 bits.

    Args:
        data: The file.
        mode: What the pixels are to be: `RGB` or `L` of any but CMYK pictures, `CMYK` of those.
        size: Width and height in the header, px.
        scale: 1, 2, 4 or 8: how many times smaller it is decoded, by its own transform; sides are rounded up.

    Returns:
        H x W x 3 or 4, or H x W of mode `L`, uint8.

    Raises:
        Rejected: stage `read`, reason `truncated` where the data end early, `damaged` where libjpeg warned of anything
            else, scans are missing, or the coding is arithmetic.
    """
    _refuse_silent(data)
    whole, said = data, ""
    for _ in range(_ATTEMPTS):
        try:
            return _decoded(whole, mode, size, scale, strict=True)
        except ValueError as error:
            said, now = said or str(error), str(error)
        mended = _set_right(whole, now)
        if mended == whole:
            break
        whole = mended
    reason = "truncated" if "end of JPEG file" in said else "damaged"
    raise Rejected("read", reason, f"the picture data are damaged; libjpeg says: {said}")


def salvage_jpeg(data: bytes, mode: Mode, size: tuple[int, int], scale: int = 1) -> Pixels:
    """What libjpeg makes of damaged data; see `decode_jpeg`.

    Raises:
        Rejected: stage `read`, reason `damaged`, if it makes nothing of them.
    """
    try:
        return _decoded(data, mode, size, scale, strict=False)
    except ValueError as error:
        raise Rejected("read", "damaged", f"nothing can be decoded; libjpeg says: {error}") from error


def _decoded(data: bytes, mode: Mode, size: tuple[int, int], scale: int, *, strict: bool) -> Pixels:
    width, height = (-(-side // scale) for side in size)
    least = {"min_width": width, "min_height": height, "min_factor": scale} if scale > 1 else {}
    pixels: Pixels = simplejpeg.decode_jpeg(data, _COLOURS[mode], strict=strict, **least)
    return pixels[..., 0] if mode == "L" else pixels


def _refuse_silent(data: bytes) -> None:
    """Refuse what libjpeg does not warn of: arithmetic coding, and scans that are missing.

    Raises:
        Rejected: As `decode_jpeg` does.
    """
    header = list(_segments(data))
    markers = {segment.marker for segment in header}
    if not markers.isdisjoint(_ARITHMETIC):
        raise Rejected("read", "damaged", "arithmetic coding: nothing shows whether its data are whole; save it anew")
    if not markers.isdisjoint(_PROGRESSIVE) and not _complete(data, header):
        raise Rejected("read", "damaged", "a progressive JPEG without its last scans: the fine detail is missing")


def _segments(data: bytes) -> Iterator[_Segment]:
    """The segments of a header, to the first scan's; bytes between them are passed over."""
    place = 2
    while 0 <= (place := data.find(b"\xff", place)) < len(data) - 4:
        marker = data[place + 1]
        if marker < 0xC0 or 0xD0 <= marker <= 0xD9 or marker == 0xFF:  # no marker, or one without a length
            place += 1
            continue
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4])
        yield _Segment(marker, data[place:end], end)
        if marker == _SCAN:
            return
        place = end


def _complete(data: bytes, header: list[_Segment]) -> bool:
    """Whether the scans of a progressive JPEG bring each coefficient of each component to its last bit."""
    frame = next(segment.body for segment in header if segment.marker in _PROGRESSIVE)
    left = {component: np.full(64, 15) for component in frame[10::3]}  # bits that are not there yet
    place = header[-1].end - len(header[-1].body)
    while (place := data.find(bytes([0xFF, _SCAN]), place)) >= 0:
        scan = data[place : place + 2 + int.from_bytes(data[place + 2 : place + 4])]
        place += 2
        if len(scan) < 10 or len(scan) != 2 * scan[4] + 8:
            continue  # two bytes of a table
        first, last, bits = scan[-3:]
        for component in scan[5:-3:2]:
            if component in left:
                left[component][first : last + 1] = bits & 15
    return not any(bits.any() for bits in left.values())


def _set_right(data: bytes, warning: str) -> bytes:
    """The file without what a warning is about, if that can touch no pixel; else the file itself."""
    if warning == "Premature end of JPEG file":
        return data.removesuffix(b"\xff") + _CLOSED
    if padding := re.search(r"(\d+) extraneous bytes before marker 0xd9", warning):
        return _unpadded(data, int(padding[1]))
    if any(words in warning for words in ("extraneous bytes", "Invalid SOS parameters", "JFIF revision")):
        return _with_plain_header(data)
    return data


def _unpadded(data: bytes, count: int) -> bytes:
    """The file without so many bytes in front of its closing marker, if they have one value."""
    start = max((segment.end for segment in _segments(data)), default=0)
    coded = data[start : data.find(_CLOSED, start)]
    padding = coded[-count:]
    return data[:start] + coded.rstrip(padding[:1]) + _CLOSED if len({*padding}) == 1 else data


def _with_plain_header(data: bytes) -> bytes:
    header = list(_segments(data))
    if not header or header[-1].marker != _SCAN:
        return data
    sequential = any(segment.marker in _SEQUENTIAL for segment in header)
    parts = [_plain(segment, sequential) for segment in header if segment.marker in _DECIDING]
    return b"".join((data[:2], *parts, data[header[-1].end :]))


def _plain(segment: _Segment, sequential: bool) -> bytes:
    if segment.marker == _JFIF and segment.body[4:9] == b"JFIF\0":
        return segment.body[:9] + b"\x01\x02" + segment.body[11:]
    if segment.marker == _SCAN and sequential:
        return segment.body[:-3] + b"\x00\x3f\x00"
    return segment.body
