"""Dilation and erosion by OpenCV's ellipse, at a quarter of OpenCV's cost where the ellipse is large.

An ellipse is a stack of runs of px, nested in one another. The mask is widened one px at a time, and when it is as wide
as a run, it is laid over the result at that run's height: some 100 operations on whole rows for a kernel of 50 px,
where OpenCV does 1,900.
"""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from rssn.image.arrays import Pixels

Mask: TypeAlias = npt.NDArray[np.bool_]

_LEAST_SIZE = 16  # px; OpenCV is faster below
_STRIP = 256  # rows at a time stay in the processor's cache


def dilate(mask: Mask, kernel_size: int) -> Mask:
    """Where the ellipse, laid over a px, meets the mask; outside the picture there is no mask.

    Args:
        mask: H x W.
        kernel_size: Diameter of the ellipse, px.

    Returns:
        H x W, to the bit what `cv2.dilate` gives.
    """
    ellipse = np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (kernel_size, kernel_size)), dtype=np.uint8)
    if kernel_size < _LEAST_SIZE:
        return np.asarray(cv2.dilate(mask.astype(np.uint8), ellipse) > 0)
    height, width = mask.shape
    before, after = kernel_size // 2, (kernel_size - 1) // 2  # px of the ellipse on either side of its anchor
    padded = np.zeros((height + before + after, width + before + after), dtype=np.bool_)
    padded[before : before + height, before : before + width] = mask
    result = np.zeros_like(mask)
    for top in range(0, height, _STRIP):
        strip = result[top : top + _STRIP]
        _dilate_strip(padded[top : top + len(strip) + before + after], ellipse, strip)
    return result


def erode(mask: Mask, kernel_size: int) -> Mask:
    """Where the ellipse, laid over a px, lies inside the mask; what is outside the picture does not count.

    Args:
        mask: H x W.
        kernel_size: Diameter of the ellipse, px.

    Returns:
        H x W, to the bit what `cv2.erode` gives.
    """
    return ~dilate(~mask, kernel_size)


def _dilate_strip(padded: Mask, ellipse: Pixels, result: Mask) -> None:
    """Dilate the rows of `result`, which are all zero; `padded` has as many px more on each side as the ellipse has."""
    rows, width = result.shape
    before, after = len(ellipse) // 2, (len(ellipse) - 1) // 2
    reaches = before - np.argmax(ellipse, axis=1)  # how far each run goes to the left; to the right at most `after`
    widened = padded[:, before : before + width].copy()
    reach = 0
    for row in np.argsort(reaches, kind="stable"):
        while reach < reaches[row]:
            reach += 1
            widened |= padded[:, before - reach :][:, :width]
            if reach <= after:
                widened |= padded[:, before + reach :][:, :width]
        result |= widened[row : row + rows]
