"""How noisy a photograph is, from itself: what `denoise.sigma: auto` removes."""

from __future__ import annotations

import numpy as np

from rssn.image.arrays import Image

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
    height, width = (side - side % 2 for side in image.shape[:2])
    upper, lower = image[0:height:2, :width], image[1:height:2, :width]
    detail = (upper[:, 0::2] - upper[:, 1::2] - lower[:, 0::2] + lower[:, 1::2]) / 2.0  # Haar's diagonal band
    channels = np.abs(detail).reshape(-1, *image.shape[2:] or (1,))
    sigmas = [float(np.median(values[values > 0])) / _NORMAL_MAD for values in channels.T if np.any(values > 0)]
    tenths = round(2550.0 * sum(sigmas) / int(channels.shape[1]))
    return min(tenths, _MOST) / 2550.0
