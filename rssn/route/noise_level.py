"""How noisy a photograph is, from itself: what `denoise.sigma: auto` removes, and what `match-grain` makes equal."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rssn.image.arrays import Alpha, Image

Mask: TypeAlias = npt.NDArray[np.bool_]

_MOST = 1000  # tenths of an 8-bit step: what is stronger is a pattern
_NORMAL_MAD = 0.6745
"""Median of the absolute value of a standard normal variable."""


def estimate_sigma(image: Image) -> float:
    """Standard deviation of a picture's noise (Donoho and Johnstone 1994): the median of its finest diagonal detail.

    Edges are few, so the median hardly sees them; fine texture everywhere counts as noise. Detail that is exactly zero
    (clipped lights, flat areas) says nothing and is left out, so that the rounding of 8-bit pictures alone counts as
    0.7 steps. Noise that is coarser than a pixel, as JPEG leaves it, is underestimated.

    Args:
        image: H x W x 3 RGB or H x W grey, float32 in [0, 1].

    Returns:
        The mean over the channels in the image's units, rounded to a tenth of an 8-bit step; 0 where there is none, and
        for pictures of a single row or column; at most 100 steps.
    """
    channels = _diagonal(image).reshape(-1, *image.shape[2:] or (1,))
    sigmas = [float(np.median(values[values > 0])) / _NORMAL_MAD for values in channels.T if np.any(values > 0)]
    tenths = round(2550.0 * sum(sigmas) / int(channels.shape[1]))
    return min(tenths, _MOST) / 2550.0


_BLOCK = 8  # of the diagonal band: 16 px
_FLAT = 0.2  # of the blocks, the smoothest: they hold hardly any texture
_BIAS = 0.955  # of the deviation of pure noise, which the fifth of smoothest blocks shows
_NORMAL_MEAN = 0.7979
"""Mean of the absolute value of a standard normal variable; unlike the median, it has no steps in 8-bit pictures."""
_LEAST_BLOCKS = 20


def estimate_floor(image: Image, weight: Alpha | None = None) -> float | None:
    """Standard deviation of the noise of a picture's flat parts: of each block's finest diagonal detail; a quantile.

    Args:
        image: H x W x 3 RGB, float32 in [0, 1].
        weight: H x W; blocks with a pixel below 0.95 are left out. None: all count.

    Returns:
        The mean over the channels, in the image's units; None where there are fewer than 20 blocks, or no detail.
    """
    blocks = _blocks(_diagonal(image))
    if weight is not None:
        blocks = blocks[_whole(weight)]
    if len(blocks) < _LEAST_BLOCKS:
        return None
    blocks = blocks[np.median(blocks, axis=(1, 2)).mean(axis=1) > 0]  # clipped lights and darks say nothing
    levels = blocks.mean(axis=(1, 2, 3)) / _NORMAL_MEAN
    return float(np.quantile(levels, _FLAT)) / _BIAS if len(levels) >= _LEAST_BLOCKS else None


def _diagonal(image: Image) -> Image:
    """Absolute values of Haar's diagonal band, half as high and as wide."""
    height, width = (side - side % 2 for side in image.shape[:2])
    upper, lower = image[0:height:2, :width], image[1:height:2, :width]
    detail = (upper[:, 0::2] - upper[:, 1::2] - lower[:, 0::2] + lower[:, 1::2]) / 2.0
    return np.asarray(np.abs(detail), dtype=np.float32)


def _blocks(band: Image) -> Image:
    """N x side x side x channels, without what is left at the right and at the bottom."""
    rows, columns = band.shape[0] // _BLOCK, band.shape[1] // _BLOCK
    whole = band[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK, -1)
    return np.asarray(whole.swapaxes(1, 2).reshape(rows * columns, _BLOCK, _BLOCK, -1))


def _whole(weight: Alpha) -> Mask:
    """Which blocks lie where all of the weight is at least 0.95."""
    rows, columns = (side // 2 // _BLOCK for side in weight.shape)
    side = 2 * _BLOCK
    whole = weight[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return np.asarray(whole.min(axis=(1, 3)).ravel() >= 0.95, dtype=bool)
