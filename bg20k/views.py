"""Cheap views of a photograph, a hash of each: copies that are cropped, mirrored or recoloured share one of them.

The whole of a cropped copy looks like a crop of its original, so a search compares the wholes of all photographs with
the views of all others, see `bg20k.lookalikes`.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import cv2
import numpy as np

from bg20k.hamming import Hashes
from rssn.image.arrays import Pixels, fit_inside, resize_area

RATIOS: Final = (16 / 9, 3 / 2, 4 / 3, 1.0)
"""Width over height of the crops from the middle."""

WHOLE, MIRRORED, EDGES = 0, 1, -1
"""Places of the views of the whole frame among the hashes: as it is, mirrored, and its edges without their sign."""

_INNER = 0.9  # of both sides; what is left of a frame with a border
_CORNER = 0.6  # of both sides
_SIDE = 384  # px of the longer side of what is hashed
_HASHED = 32  # px
_SMOOTHING = 1.5  # px of 256, before edges are taken

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, width and height as shares of the frame."""


def boxes(width: float, height: float) -> list[Box]:
    """The parts of a frame that are hashed, the whole first; then the crops by ratio, the middle, the four corners."""
    whole: Box = (0.0, 0.0, 1.0, 1.0)
    crops = [_middle(min(1.0, ratio * height / width), min(1.0, width / height / ratio)) for ratio in RATIOS]
    far = 1.0 - _CORNER
    corners = [(left, top, _CORNER, _CORNER) for left in (0.0, far) for top in (0.0, far)]
    return [whole, whole, *crops, _middle(_INNER, _INNER), *corners]


VIEWS: Final = 2 + len(RATIOS) + 1 + 4 + 1
"""Hashes of a photograph: two of the whole, the crops, the middle, the corners, and the edges."""


def view_hashes(grey: Pixels, flat_std: float) -> Hashes:
    """A 64-bit hash of each view: signs of its low DCT coefficients against their median.

    Args:
        grey: H x W uint8.
        flat_std: A view whose 32 x 32 px have a lower standard deviation, in 8-bit units, has no hash.

    Returns:
        `VIEWS` hashes: the whole, the whole mirrored, the other boxes, the edges; 0 where there is none.
    """
    small = fit_inside(grey, _SIDE)
    squares = [_part(small, box) for box in boxes(small.shape[1], small.shape[0])]
    squares[MIRRORED] = squares[MIRRORED][:, ::-1]
    hashes = [_hash(square) if square.std() >= flat_std else 0 for square in squares]
    return np.array([*hashes, _hash(_edges(small)) if hashes[WHOLE] else 0], np.uint64)


def _middle(width: float, height: float) -> Box:
    return (1 - width) / 2, (1 - height) / 2, width, height


def _part(grey: Pixels, box: Box) -> np.ndarray:
    height, width = grey.shape
    left, top = round(box[0] * width), round(box[1] * height)
    right, bottom = round((box[0] + box[2]) * width), round((box[1] + box[3]) * height)
    part = grey[top : max(bottom, top + 1), left : max(right, left + 1)]
    return resize_area(part, _HASHED, _HASHED).astype(np.float32)


def _edges(grey: Pixels) -> np.ndarray:
    """Where edges are, 32 x 32: the same for a picture, its negative and its dark version."""
    square = cv2.GaussianBlur(resize_area(grey, 256, 256).astype(np.float32), (0, 0), _SMOOTHING)
    steps = np.hypot(cv2.Sobel(square, cv2.CV_32F, 1, 0), cv2.Sobel(square, cv2.CV_32F, 0, 1))
    return np.asarray(cv2.resize(np.sqrt(steps), (_HASHED, _HASHED), interpolation=cv2.INTER_AREA))


def _hash(square: np.ndarray) -> int:
    low = cv2.dct(np.ascontiguousarray(square, np.float32))[:8, :8]
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")
