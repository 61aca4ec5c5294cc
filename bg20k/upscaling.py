"""Upscaled photographs: do the pixels hold fine detail, or were they interpolated?

Enlarging leaves a cliff in the spectrum: what the smaller picture had fills the low frequencies, and nothing but the
filter's leftovers and the noise of the codec lies above. A photograph falls off gently. The measure compares energy
above half of the Nyquist frequency with energy well below it, in the one sample where the photograph is sharpest.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from rssn.image.arrays import Pixels

_HIGH = (0.55, 0.75)  # of the Nyquist frequency; below 0.75, for what lies higher is the codec's
_LOW = (0.2, 0.4)
_FLOOR = 2.0  # energy of a coefficient in squared 8-bit units: rounding and JPEG noise must not pass for detail

_Floats: TypeAlias = npt.NDArray[np.float32]


def high_frequency_ratio(tiles: Pixels) -> float | None:
    """How much of a photograph's energy lies at high frequencies, at its own resolution.

    The largest ratio, over the samples, of the mean spectral energy at 0.55 to 0.75 of the Nyquist frequency to that at
    0.2 to 0.4 (the larger of the horizontal and the vertical frequency counts). White noise gives about 1, sharp
    photographs 0.05 to 0.5, pictures enlarged twice or more mostly less than 0.05; `bg20k.verdict` has the error rates.

    Args:
        tiles: n x S x S uint8 grey samples at full resolution, see `rssn.image.photograph`.

    Returns:
        The ratio, 0 or more; None where there is no sample.
    """
    return max((_ratio(tile) for tile in tiles), default=None)


def _ratio(tile: Pixels) -> float:
    window, low, high = _weights(len(tile))
    sample = tile.astype(np.float32)
    sample -= sample.mean()
    sample *= window
    energy = np.square(cv2.dft(sample)).ravel()
    return float(energy @ high) / (float(energy @ low) + _FLOOR)


@lru_cache(maxsize=2)
def _weights(side: int) -> tuple[_Floats, _Floats, _Floats]:
    """The window, and what takes the mean energy of a coefficient in each band from a spectrum as OpenCV packs it.

    Column 2k - 1 holds real parts, column 2k imaginary parts of the horizontal frequency k. The first and last column,
    packed otherwise, are left out.
    """
    line = np.hanning(side)
    window = np.outer(line, line)
    across, down = np.meshgrid((np.arange(side) + 1) // 2 * 2 / side, 2 * np.abs(np.fft.fftfreq(side)))
    radius = np.maximum(across, down)
    radius[:, [0, -1]] = 0.0
    bands = [(radius >= start) & (radius < stop) for start, stop in (_LOW, _HIGH)]
    low, high = ((2 * band / band.sum() / (window**2).sum()).astype(np.float32).ravel() for band in bands)
    return window.astype(np.float32), low, high
