"""Where a cut-out lies in a frame: scaled, flipped and moved, with its alpha; never cut unless that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from rssn.errors import Rejected
from rssn.image.arrays import Alpha, Image
from rssn.route.step import CutOut

_OPAQUE = 0.5
_INSIDE = 0.01  # of the shorter side: so far inside, a subject that only touches the edge is much wider already
_TINY = 1e-6
_ROUNDED = 1  # px


@dataclass(frozen=True)
class Placement:
    """A cut-out's place in a frame."""

    size: float  # of the frame's width or height, whichever the subject's box fills first; in (0, 1]
    x: float  # in [0, 1]: from the left edge to the right one
    y: float  # in [0, 1]: from the upper edge to the lower one
    flipped: bool  # left and right
    outside: float = 0.0  # how much of the box's width and height may lie beyond an edge
    max_upscale: float = 1.0  # how much the cut-out may be enlarged


class _Box(NamedTuple):
    left: int
    top: int
    right: int  # exclusive
    bottom: int


@dataclass(frozen=True)
class CutOff:
    """The edges of its frame at which a subject is cut off."""

    left: bool
    top: bool
    right: bool
    bottom: bool

    @classmethod
    def of(cls, alpha: Alpha) -> CutOff:
        """Edges along which the matte is opaque, and hardly wider a little inside: a subject that touches is round."""
        inside = max(2, round(_INSIDE * min(alpha.shape)))

        def cut(edge: Alpha, within: Alpha) -> bool:
            opaque = int(np.count_nonzero(edge > _OPAQUE))
            return opaque >= inside and 2 * opaque >= int(np.count_nonzero(within > _OPAQUE))

        depth = min(inside, *(side - 1 for side in alpha.shape))
        return cls(
            cut(alpha[:, 0], alpha[:, depth]),
            cut(alpha[0], alpha[depth]),
            cut(alpha[:, -1], alpha[:, -1 - depth]),
            cut(alpha[-1], alpha[-1 - depth]),
        )


def place_cut_out(cut_out: CutOut, frame: tuple[int, int], placement: Placement) -> CutOut:
    """F and alpha in a frame of another size.

    An edge at which the subject is cut off stays at that edge of the frame. Colours are resampled weighted by alpha, so
    that what an image editor left where alpha is 0 does not show, and alpha F is the resampled alpha F. Beyond the
    picture F goes on as its edge, and alpha is 0.

    Args:
        cut_out: F and alpha; alpha is above 0 somewhere.
        frame: Width and height, px.
        placement: The place.

    Raises:
        Rejected: stage `placement`, reason `cut_off`, if the subject is cut off at two opposite edges, and to reach
            both it would have to be enlarged more than allowed, or more of it cut off than `outside` allows.
    """
    if placement.flipped:
        cut_out = CutOut(*(np.ascontiguousarray(each[:, ::-1]) for each in cut_out))
    cut, box = CutOff.of(cut_out.alpha), _box(cut_out.alpha)
    scaled = _resize(cut_out, _scale(box, cut, frame, placement))
    (rows, columns), (height, width) = scaled.alpha.shape, cut_out.alpha.shape
    across = (round(box.left * columns / width), round(box.right * columns / width))
    down = (round(box.top * rows / height), round(box.bottom * rows / height))
    _refuse_more_cut(across, frame[0], placement.outside, (cut.left, cut.right))
    _refuse_more_cut(down, frame[1], placement.outside, (cut.top, cut.bottom))
    x = _start(across, frame[0], placement.x, placement.outside, (cut.left, cut.right))
    y = _start(down, frame[1], placement.y, placement.outside, (cut.top, cut.bottom))
    return CutOut(
        _paste(scaled.foreground, frame, (x, y), cv2.BORDER_REPLICATE),
        _paste(scaled.alpha, frame, (x, y), cv2.BORDER_CONSTANT),
    )


def _box(alpha: Alpha) -> _Box:
    """Where alpha is above 0."""
    columns, rows = np.flatnonzero(alpha.max(axis=0)), np.flatnonzero(alpha.max(axis=1))
    return _Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def _scale(box: _Box, cut: CutOff, frame: tuple[int, int], placement: Placement) -> float:
    full = (frame[0] / (box.right - box.left), frame[1] / (box.bottom - box.top))  # to fill the frame
    spans = [one for one, both in zip(full, (cut.left and cut.right, cut.top and cut.bottom), strict=True) if both]
    if not spans:
        return min(placement.size * min(full), placement.max_upscale)
    if max(spans) > placement.max_upscale * (1 + _TINY):
        words = f"the subject is cut off at two opposite edges, and enlarged {max(spans):.3g} times to reach both"
        raise Rejected("placement", "cut_off", f"{words}; leave it out, or allow max_upscale: {max(spans):.3g}")
    return max(spans)


def _resize(cut_out: CutOut, scale: float) -> CutOut:
    height, width = cut_out.alpha.shape
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size == (width, height):
        return cut_out
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC

    def resized(picture: Image) -> Image:
        return np.clip(np.asarray(cv2.resize(picture, size, interpolation=how), dtype=np.float32), 0.0, 1.0)

    alpha = resized(cut_out.alpha)
    weight = alpha[..., None]
    shown = resized(cut_out.foreground * cut_out.alpha[..., None]) / np.maximum(weight, np.float32(_TINY))
    hidden = resized(cut_out.foreground)
    return CutOut(np.clip(np.where(weight > _TINY, shown, hidden), 0.0, 1.0), alpha)


def _refuse_more_cut(span: tuple[int, int], side: int, outside: float, cut: tuple[bool, bool]) -> None:
    length = span[1] - span[0]
    beyond = outside * length * (1 if any(cut) else 2)  # an edge at which it is cut off already takes no more
    if length - side > beyond + _ROUNDED:
        words = f"the subject is cut off at two opposite edges, and to reach both it is {length} px long in {side} px"
        raise Rejected("placement", "cut_off", f"{words}, where more of it would be cut off; leave it out")


def _start(span: tuple[int, int], side: int, place: float, outside: float, cut: tuple[bool, bool]) -> int:
    """Where the scaled picture's first column or row lies in the frame; may be below 0."""
    length = span[1] - span[0]
    if cut[0]:
        return -span[0]
    if cut[1]:
        return side - span[1]
    beyond = outside * length
    low, high = min(-beyond, side - length + beyond), max(-beyond, side - length + beyond)
    return round(low + place * (high - low)) - span[0]


def _paste(picture: Image, frame: tuple[int, int], start: tuple[int, int], border: int) -> Image:
    """A picture in a frame, from `start` on; what lies beyond the picture is as the border says."""
    (width, height), (x, y) = frame, start
    rows, columns = picture.shape[:2]
    sides = (max(0, y), max(0, height - y - rows), max(0, x), max(0, width - x - columns))
    wide = cv2.copyMakeBorder(picture, *sides, border, value=0)
    top, left = max(0, -y), max(0, -x)
    return np.ascontiguousarray(wide[top : top + height, left : left + width], dtype=np.float32)
