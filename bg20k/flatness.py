"""Flat graphics: pictures whose areas have no grain at all, as drawings, logos and wallpapers of shapes have them.

Of several figures (colours that cover 95 %, entropy of the colours, noise floor, share without grain) the last one
alone tells graphics from photographs as well as all together do. Renders with texture and noise pass for photographs.
"""

from __future__ import annotations

import cv2
import numpy as np

from rssn.image.arrays import Pixels

_BLOCK = 8  # px
_STILL = 0.5  # 8-bit units; the mean absolute Laplacian of a block without grain
_CLIPPED = (8, 247)  # mean brightness of a block below or above which even a photograph has no grain


def flat_share(grey: Pixels) -> float | None:
    """The share of blocks without grain among those that are neither black nor white.

    Args:
        grey: H x W uint8.

    Returns:
        0 to 1; None where the picture is smaller than a block, or all black and white.
    """
    grain = _blocks(cv2.convertScaleAbs(cv2.Laplacian(grey, cv2.CV_16S)))
    brightness = _blocks(grey)
    seen = (brightness > _CLIPPED[0]) & (brightness < _CLIPPED[1])
    return float((grain[seen] < _STILL).mean()) if seen.any() else None


def _blocks(values: np.ndarray) -> np.ndarray:
    """Means of the whole blocks of an H x W uint8 picture."""
    rows, columns = (length // _BLOCK for length in values.shape)
    whole = np.ascontiguousarray(values[: rows * _BLOCK, : columns * _BLOCK]).reshape(rows, _BLOCK, columns * _BLOCK)
    lines = whole.sum(axis=1, dtype=np.uint16).reshape(rows, columns, _BLOCK)
    return np.asarray(lines.sum(axis=2, dtype=np.uint16) / np.float32(_BLOCK**2))
