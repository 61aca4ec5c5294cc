"""The clearest edges of a photograph and where they are, in some 4 KB: by what marks that photographs share are found.

Where a watermark, a logo or a date stands, the edges of its strokes lie at the same place and point the same way in
every photograph, whatever is behind it; photographs of different things have hardly an edge in common.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from rssn.image.arrays import Pixels, resize_area

CELL: Final = 4
"""Side in px of a cell; edges within it count as at the same place."""

ROWS: Final = 135
COLUMNS: Final = 240
DIRECTIONS: Final = 8
"""In which a picture gets brighter, 45 degrees each; 4 more is the opposite one."""

_SIDE = ROWS * CELL  # px; shorter side to which the picture is shrunk
_PART = COLUMNS * CELL // 3  # px of the longer side that its start, its middle and its end have each
_MOST = 4000  # edges of a photograph: 2,500 find a fifth less, 7,000 take twice the room for a twentieth more
_LEAST = 10.0  # 8-bit units; the least contrast
_AROUND = 65  # px; side of the square against which an edge is compared
_FLOOR = 2.0  # 8-bit units that are added to its mean
_CLEAR = 1.2  # times the mean around it
_JUMP = 255  # in the stored bytes: so far, and no edge there

_Floats: TypeAlias = npt.NDArray[np.float32]
Edges: TypeAlias = npt.NDArray[np.int64]
"""Ascending numbers of edges: (row of cells * 240 + column of cells) * 8 + direction."""


def find_edges(grey: Pixels) -> Edges:
    """The clearest edges of an H x W picture against what surrounds each.

    Upright pictures are laid on their side. Of the longer side its start, its middle and its end are looked at, each as
    far from the picture's own start, middle and end as in other pictures: so marks that keep their distance from a
    corner or from the centre, in units of the shorter side, are at one place in pictures of any shape. Between them
    nothing is seen where a picture is longer than 16:9.

    Args:
        grey: H x W uint8.

    Returns:
        Up to 4,000 numbers, see `Edges`.
    """
    small = _shrunk(grey)
    across, down = (np.asarray(cv2.Sobel(small, cv2.CV_32F, *o, scale=0.25), np.float32) for o in ((1, 0), (0, 1)))
    strength = _strength(across, down)
    ground = cv2.boxFilter(strength, -1, (_AROUND, _AROUND)) + np.float32(_FLOOR)
    starts = (0, (small.shape[1] - _PART) // 2, small.shape[1] - _PART)
    found = strength >= np.maximum(ground * np.float32(_CLEAR), np.float32(_LEAST))
    y, x = np.divmod(np.flatnonzero(np.hstack([found[:, start : start + _PART] for start in starts])), 3 * _PART)
    pixels = y * small.shape[1] + x % _PART + np.array(starts)[x // _PART]
    steep = np.abs(across.ravel()[pixels]) > np.abs(down.ravel()[pixels])
    ridge = _is_ridge(strength.ravel(), pixels, np.where(steep, 1, small.shape[1]))
    y, x, pixels = y[ridge], x[ridge], pixels[ridge]
    steps = (each.ravel()[pixels].astype(np.float64) for each in (down, across))
    turns = np.arctan2(*steps) * (DIRECTIONS / (2 * np.pi))
    numbers = ((y // CELL) * COLUMNS + x // CELL) * DIRECTIONS + np.rint(turns).astype(np.int64) % DIRECTIONS
    return _clearest(numbers, strength.ravel()[pixels] / ground.ravel()[pixels])


def pack_edges(edges: Edges) -> bytes:
    """Edges as they are stored: the steps from one to the next, a byte each but for wide ones."""
    steps = np.diff(edges, prepend=0)
    ends = np.cumsum(steps // _JUMP + 1)
    packed = np.full(ends[-1] if len(ends) else 0, _JUMP, np.uint8)
    packed[ends - 1] = steps % _JUMP
    return packed.tobytes()


def unpack_edges(data: bytes) -> Edges:
    """What `pack_edges` wrote."""
    steps = np.frombuffer(data, np.uint8)
    return np.cumsum(steps, dtype=np.int64)[steps < _JUMP]


def _shrunk(grey: Pixels) -> Pixels:
    lying = np.ascontiguousarray(grey.T) if grey.shape[0] > grey.shape[1] else grey
    return resize_area(lying, max(_SIDE, round(lying.shape[1] * _SIDE / lying.shape[0])), _SIDE)


def _strength(across: _Floats, down: _Floats) -> _Floats:
    """Length of each step, rounded correctly; the last bit of OpenCV's depends on where its result lies in memory."""
    return np.asarray(np.sqrt(across * across + down * down), np.float32)


def _is_ridge(strength: _Floats, pixels: Edges, step: Edges) -> npt.NDArray[np.bool_]:
    """Where neither pixel beside is stronger, across the edge: it is one px wide then."""
    last = len(strength) - 1
    beside = np.maximum(strength[np.maximum(pixels - step, 0)], strength[np.minimum(pixels + step, last)])
    return np.asarray(strength[pixels] >= beside)


def _clearest(numbers: Edges, clear: _Floats) -> Edges:
    """Each number once, the clearest ones."""
    best = np.zeros(ROWS * COLUMNS * DIRECTIONS, np.float32)
    np.maximum.at(best, numbers, clear)
    found = np.flatnonzero(best)
    return np.sort(found[np.argsort(-best[found], kind="stable")[:_MOST]])
