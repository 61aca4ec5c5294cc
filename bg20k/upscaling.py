"""Upscaled photographs: were the pixels interpolated?

Enlarging leaves two kinds of traces. The spectrum falls off where the smaller picture's Nyquist limit was. And pixels
between two of the smaller picture's are smoother than those upon them, so the mean size of differences along a line has
a rhythm: of the third of the frequencies for a factor of 1.5 (Gallagher 2005; his second differences are left out,
because an enlargement by 2 about pixel centres leaves no rhythm in even ones). A linear rule weighs both. It was fitted
by `tests/benchmarks/bench_upscaling.py --fit`, which prints the table below and its errors on photographs left out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from bg20k.upscaling_weights import BIAS, WEIGHTS
from rssn.image.arrays import Pixels

_BANDS = 32
_LOWEST_BIN = 3  # below it there is the window's own width
_REFERENCE = slice(1, 7)  # bands that every picture fills; the others are measured against them
_FLOOR = 0.28  # energy in squared 8-bit units, about that of rounding
_ORDERS = (1, 3)  # of the differences
_FAINT = 0.05  # squared 8-bit units; keeps flat samples from counting as rhythm
_SILENCE = 1e-9
_NEIGHBOURS = 10  # bins on each side against whose median a rhythm is measured
_FIRST_RHYTHM, _RHYTHM_STEP = 16, 8  # bins
_JPEG_BINS = (32, 64, 96, 128)  # of a 256 px sample; blocks of 8 px beat here

_Floats: TypeAlias = npt.NDArray[np.float32]


def upscaling_score(tiles: Pixels) -> float | None:
    """How surely a photograph was enlarged by about 1.4 or more.

    Args:
        tiles: n x 256 x 256 uint8 grey samples at full resolution, see `rssn.image.photograph`.

    Returns:
        0 to 1, a logistic regression's probability; `bg20k.verdict` has the error rates. None where there is no sample.
    """
    if not len(tiles):
        return None
    return float(1 / (1 + np.exp(-(traces(tiles) @ np.array(WEIGHTS) + BIAS))))


def traces(tiles: Pixels) -> npt.NDArray[np.float64]:
    """What the rule weighs: logarithms of energies by band and of rhythms by frequency, 69 of them.

    Args:
        tiles: n x 256 x 256 uint8, at least one.
    """
    side = tiles.shape[1]
    power = np.zeros(side // 2 + 1)
    rhythms = np.zeros((len(_ORDERS), side // 2 + 1))
    for tile in tiles:
        for lines in (tile, tile.T):
            values = lines.astype(np.float32, order="C")
            power += _power(values)
            rhythms += [_rhythm(values, order) for order in _ORDERS]
    bands = _bands(power / (2 * len(tiles)))
    level = bands[_REFERENCE].mean()
    return np.concatenate([bands - level, [level], *(_beats(one / (2 * len(tiles))) for one in rhythms)])


def _power(lines: _Floats) -> npt.NDArray[np.float64]:
    """The mean energy of the lines at each frequency, in squared 8-bit units."""
    window = _window(lines.shape[1])
    packed = np.asarray(cv2.dft((lines - lines.mean(axis=1, keepdims=True)) * window, flags=cv2.DFT_ROWS))
    squares = np.einsum("yx,yx->x", packed, packed).astype(np.float64) / len(lines)
    pairs = squares[1:-1].reshape(-1, 2).sum(axis=1)  # OpenCV packs real and imaginary parts side by side
    return np.concatenate([squares[:1], pairs, squares[-1:]]) / float((window**2).sum())


def _rhythm(lines: _Floats, order: int) -> npt.NDArray[np.float64]:
    """The energy at each frequency of the differences' mean size, against that size."""
    sizes = np.abs(np.diff(lines, order, axis=1)).mean(axis=0)
    window, mean = _window(len(sizes)), float(sizes.mean())
    energy = np.abs(np.fft.rfft((sizes - mean) * window, lines.shape[1])) ** 2 / float((window**2).sum())
    return np.asarray(energy / (mean**2 + _FAINT), dtype=np.float64)


def _bands(power: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    edges = np.linspace(_LOWEST_BIN, len(power), _BANDS + 1).astype(int)
    return np.log(np.add.reduceat(power, edges[:-1]) / np.diff(edges) + _FLOOR)


def _beats(energy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How far a rhythm stands out: its largest value in each range of frequencies, and its values at JPEG's."""
    loud = np.log(energy + _SILENCE)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(loud, _NEIGHBOURS, mode="reflect"), 2 * _NEIGHBOURS + 1)
    beyond = loud - np.median(around, axis=1)
    starts = range(_FIRST_RHYTHM, len(beyond) - 1, _RHYTHM_STEP)
    largest = [beyond[start : start + _RHYTHM_STEP + 1].max() for start in starts]
    return np.array([*largest, *beyond[list(_JPEG_BINS)]])


@lru_cache(maxsize=4)
def _window(length: int) -> _Floats:
    return np.hanning(length).astype(np.float32)
