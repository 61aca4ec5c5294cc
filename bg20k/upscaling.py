"""Upscaled photographs: were the pixels interpolated?

Enlarging leaves two kinds of traces. The spectrum falls off where the smaller picture's Nyquist limit was. And pixels
between two of the smaller picture's are smoother than those upon them, so the mean size of differences along a line has
a rhythm: of the third of the frequencies for a factor of 1.5 (Gallagher 2005; his second differences are left out,
because an enlargement by 2 about pixel centres leaves no rhythm in even ones). A linear rule weighs both. It was fitted
by `tests/benchmarks/bench_upscaling.py --fit`, which writes its table and prints its errors on photographs left out.
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
_RINGS = 16  # of the larger one of a coefficient's two frequencies
_LOW_RINGS = slice(3, 6)
_QUIET = 2.0  # squared 8-bit units; rounding and JPEG's noise must not pass for detail in a sample without any
_ORDERS = (1, 3)  # of the differences
_FAINT = 0.05  # squared 8-bit units; keeps flat samples from counting as rhythm
_SILENCE = 1e-9
_NEIGHBOURS = 10  # bins on each side against whose median a rhythm is measured
_FIRST_RHYTHM, _RHYTHM_STEP = 16, 8  # bins
_JPEG_BINS = (32, 64, 96, 128)  # of a 256 px sample; blocks of 8 px beat here

_Floats: TypeAlias = npt.NDArray[np.float32]
_Indices: TypeAlias = npt.NDArray[np.intp]


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
    """What the rule weighs: logarithms of energies by frequency and of rhythms by frequency, 101 of them.

    Args:
        tiles: n x 256 x 256 uint8, at least one.
    """
    energy = np.stack([_energy(tile) for tile in tiles])
    upright = np.ascontiguousarray(tiles.transpose(0, 2, 1))
    rhythms = (_rhythm(tiles, order) + _rhythm(upright, order) for order in _ORDERS)
    beats = (_beats(one / (2 * len(tiles))) for one in rhythms)
    return np.concatenate([_bands(energy.mean(axis=0)), *_rings(energy), *beats])


def _energy(tile: Pixels) -> npt.NDArray[np.float32]:
    """A tile's energy by frequency, as OpenCV packs it: rows are vertical frequencies, columns 2k - 1 and 2k hold k."""
    spectrum = cv2.dft((tile - np.float32(tile.mean())) * _window_of_tile(len(tile)))
    return np.asarray(np.multiply(spectrum, spectrum, out=spectrum))


@lru_cache(maxsize=2)
def _window_of_tile(side: int) -> _Floats:
    """Falls off to the borders, and makes of squares of the spectrum energies in squared 8-bit units."""
    window = _window(side)
    return np.asarray(np.outer(window, window) * np.float32(np.sqrt(2) / float((window**2).sum())))


def _bands(energy: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The level, and every band against it, of the energy along the lines and the columns together."""
    half = len(energy) // 2
    across = energy[:, 1:-1].mean(axis=0).reshape(-1, 2).mean(axis=1)
    down = energy[1:half, 1:-1].mean(axis=1) + energy[:half:-1, 1:-1].mean(axis=1)
    along = 0.5 * across + 0.25 * down
    edges = np.linspace(_LOWEST_BIN - 1, half - 1, _BANDS + 1).astype(int)
    bands = np.log(np.add.reduceat(along, edges[:-1]) / np.diff(edges) + _FLOOR)
    level = bands[_REFERENCE].mean()
    return np.array([level, *(bands - level)])


def _rings(energy: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The energy in rings of frequencies against the low ones: of all samples, and at most in one sample."""
    groups, owners, sizes = _rings_of(energy.shape[1])
    summed = np.add.reduceat(energy[:, :, 1:-1], groups, axis=2)
    rings = np.stack([np.bincount(owners, one.ravel(), _RINGS) for one in summed]) / sizes
    low = rings[:, _LOW_RINGS].mean(axis=1, keepdims=True)
    together = np.log((rings.mean(axis=0) + _FAINT) / (low.mean() + _FAINT))
    return together, np.log(((rings + _FAINT) / (low + _QUIET)).max(axis=0))


@lru_cache(maxsize=2)
def _rings_of(side: int) -> tuple[_Indices, _Indices, _Indices]:
    """Where each ring of columns begins; the ring of each line's part in each; and how many coefficients each ring has.

    The odd first and last column of the packed spectrum are left out.
    """
    across = np.minimum((np.arange(2, side) // 2) * 2 * _RINGS // side, _RINGS - 1)
    down = np.minimum(np.abs(np.fft.fftfreq(side)) * 2 * _RINGS, _RINGS - 1).astype(np.intp)
    groups, widths = np.unique(across, return_index=True, return_counts=True)[1:]
    owners = np.maximum.outer(down, across[groups]).ravel()
    return groups, owners, np.bincount(owners, np.tile(widths, side), _RINGS).astype(np.intp)


def _rhythm(tiles: Pixels, order: int) -> npt.NDArray[np.float64]:
    """The energy at each frequency of the differences' mean size along the rows, against that size; summed over n."""
    sizes = np.stack([_mean_differences(tile, order) for tile in tiles])
    window, mean = _window(sizes.shape[1]), sizes.mean(axis=1, keepdims=True)
    energy = np.abs(np.fft.rfft((sizes - mean) * window, tiles.shape[2])) ** 2 / float((window**2).sum())
    return np.asarray((energy / (mean**2 + _FAINT)).sum(axis=0))


def _mean_differences(tile: Pixels, order: int) -> npt.NDArray[np.float64]:
    """The mean size of each column's differences along the rows."""
    values = tile.astype(np.int16)
    for _ in range(order):
        values = values[:, 1:] - values[:, :-1]
    sums = cv2.reduce(np.abs(values).view(np.uint16), 0, cv2.REDUCE_SUM, dtype=cv2.CV_64F)
    return np.asarray(sums[0] / len(tile), dtype=np.float64)


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
