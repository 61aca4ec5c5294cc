"""Frames and collages: borders of one colour, and straight seams from one side of the picture to the other.

Both are looked for in the resized picture. A horizon is a straight line, too, but hardly ever level and sharp to the
pixel along its whole length.
"""

from __future__ import annotations

import cv2
import numpy as np

from rssn.image.arrays import Pixels

_EVEN = 12  # 8-bit units by which a border's pixels differ from its colour at most
_ODD = 0.02  # share of a border's line that may differ more
_BEYOND = 3  # px behind a border in which the picture begins
_BEGINS = 0.5  # share of a line behind a border that differs from its colour, at least; a night sky fades in
_NARROWEST = 3  # px
_DEEPEST = 3  # times shallower than the picture: what goes deeper is no border
_STEP = 8  # 8-bit units; the least step across a seam
_ALONE = 2  # a seam's step over the steps beside it, at least
_BESIDE = 5  # px from a seam to what lies beside it
_MARGIN = 12  # px at the sides, where no seam is looked for


def border_share(pixels: Pixels) -> float:
    """How wide the widest border of one colour is.

    Args:
        pixels: H x W x 3 uint8.

    Returns:
        Its width as a share of the picture's height or width, 0 to 1/3; 0 where no side has one that ends in a
        straight seam.
    """
    upright = pixels.transpose(1, 0, 2)
    return max(_border(side) for side in (pixels, pixels[::-1], upright, upright[::-1]))


def _border(pixels: Pixels) -> float:
    """The share of the lines that belong to a border, from the first line on."""
    depth = len(pixels)
    colour = np.median(pixels[:2].reshape(-1, 3), axis=0)
    for line in range(depth // _DEEPEST):
        if _odd(pixels[line], colour) > _ODD:
            behind = max(_odd(pixels[line + beyond], colour) for beyond in range(1, _BEYOND + 1))
            return line / depth if line >= _NARROWEST and behind >= _BEGINS else 0.0
    return 0.0


def _odd(line: Pixels, colour: np.ndarray) -> float:
    """The share of a line's pixels that differ from a colour."""
    return float((np.abs(line - colour).max(axis=1) > _EVEN).mean())


def seam_share(grey: Pixels) -> float:
    """How much of its line the longest straight seam covers, upright or level.

    Args:
        grey: H x W uint8.

    Returns:
        0 to 1; photographs mostly stay below 0.6, a level horizon can reach 0.8.
    """
    return max(_upright_seam(grey), _upright_seam(np.asarray(cv2.transpose(grey), dtype=np.uint8)))


def _upright_seam(grey: Pixels) -> float:
    if grey.shape[1] <= 2 * _MARGIN:
        return 0.0
    smooth = cv2.blur(grey, (1, 3))
    steps = np.zeros(grey.shape, np.uint8)
    cv2.absdiff(smooth[:, 3:], smooth[:, :-3], steps[:, 1:-2])
    largest = np.asarray(cv2.dilate(steps, np.ones((1, 3), np.uint8)), dtype=np.uint8)
    beside = np.zeros_like(steps)
    np.maximum(largest[:, : -2 * _BESIDE], largest[:, 2 * _BESIDE :], out=beside[:, _BESIDE:-_BESIDE])
    seams = (steps >= _STEP) & (steps // _ALONE >= beside)
    broad = cv2.dilate(seams.view(np.uint8), np.ones((1, 2), np.uint8))  # the step lies between two pixels
    covered = np.asarray(cv2.reduce(broad, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S))[0, _MARGIN:-_MARGIN]
    return int(covered.max()) / len(grey)
