"""BM3D in colour, both stages, written for vector units (Dabov et al. 2007; formulas as in Lebrun, IPOL 2012).

Blocks of 8 x 8 px every 3 px, a search of 39 x 39, groups of 16 and 32, the cosine transform in a block and Haar's
across the group, hard thresholds first and Wiener's filter second, Kaiser windows. Colour is filtered in opponent
space, and the luma alone decides which blocks are alike.

What differs from the article, and why:

* The cosine transform in both stages; the article has a bior1.5 wavelet in the first, which was no better.
* The most similar blocks are always taken, with no limit on how different they may be, and are compared as they are.
* Luma and chroma have factors of their own, in stage 2 too, where the article has 1: chroma holds less detail, and more
  of it may go; and the estimate of stage 1, by which Wiener's filter judges, has lost some signal already.
* Blocks are compared in quarters of a grey level, distances to 12 bits, and coefficients are held in sixteenths.
* Blocks that overlap the reference share its noise; a small penalty makes others preferred.
* Where fewer blocks are within reach, which takes an image smaller than 14 px, the reference fills its group up.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rssn.errors import InputError
from rssn.image.arrays import Image
from rssn.kernels.bm3d.groups import SHRINKAGE
from rssn.kernels.bm3d.matching import (
    BLOCK,
    FIRST,
    LABEL_BITS,
    LEVELS,
    LIMIT,
    REACH,
    REFERENCES,
    SECOND,
    STEP,
    offsets,
    phase_planes,
)
from rssn.kernels.bm3d.tiles import MARGIN, Scratch, Stage, filter_tile, make_scratch
from rssn.kernels.bm3d.transforms import SCALE, WEIGHTS
from rssn.kernels.simd import LANES, aligned
from rssn.kernels.threads import sharing

Planes = npt.NDArray[np.float32]  # C x H x W, opponent space, 8-bit units

_OPPONENT = (np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])).astype(np.float32)
"""Orthonormal, so that white noise stays white and of the same strength: luma, red against blue, green against both."""
_MOST = np.float32(32_000 / SCALE / BLOCK)  # a block of such px still has 16-bit coefficients; no px in range is beyond
_LEAST_SIGMA = 1e-3  # 8-bit units; less cannot be told from rounding


@dataclass(frozen=True)
class Strength:
    """How hard noise is shrunk, in units of its standard deviation or variance.

    Chosen on every other one of 13 photographs, for sigma 5, 10 and 25 together, and checked on the rest;
    `tests/benchmarks/bench_bm3d.py --psnr` prints what they reach.
    """

    threshold: tuple[float, float] = (2.55, 3.25)  # luma and chroma: hard threshold of stage 1, times sigma
    noise: tuple[float, float] = (0.65, 0.6)  # luma and chroma: variance in stage 2's filter, times sigma squared
    overlap: tuple[float, float] = (0.3, 0.025)  # stages 1 and 2: penalty a shared px, times sigma squared


def bm3d(image: Image, sigma: float, threads: int = 1) -> Image:
    """Denoise an image.

    Args:
        image: H x W x 3 RGB or H x W, float32 in [0, 1], both sides at least 8.
        sigma: Standard deviation of the noise, in the image's units.
        threads: Tiles at a time; the result does not depend on it.

    Returns:
        The same shape, float32; may leave [0, 1] by a little.

    Raises:
        InputError: If the image is too small or leaves [0, 1], on both of which the compiled code relies, or if so many
            threads cannot be started.
    """
    if min(image.shape[:2]) < BLOCK or not (image.min() >= 0.0 and image.max() <= 1.0):
        raise InputError(f"image of {image.shape[:2]} px; expected sides of {BLOCK} or more, and values in [0, 1]")
    sigma_255 = max(255.0 * sigma, _LEAST_SIGMA)
    height, width = image.shape[:2]
    padding = [(0, -(side - BLOCK) % STEP) for side in (height, width)]
    colour = image.reshape(height, width, -1)
    channels = colour.shape[2]
    mixing = _OPPONENT if channels == 3 else np.ones((1, 1), dtype=np.float32)
    middle = np.float32(127.5 * mixing[0].sum())
    noisy = _mix(np.pad(colour, [*padding, (0, 0)], mode="symmetric"), mixing * np.float32(255.0))
    noisy[0] -= middle  # coefficients are 16-bit; the mean is put back inside the groups
    basic = _run_stage(noisy, None, sigma_255, float(middle), threads)
    final = _run_stage(noisy, basic, sigma_255, float(middle), threads)
    final[0] += middle
    cleaned = final.reshape(channels, -1).T @ (mixing / np.float32(255.0))
    return np.ascontiguousarray(cleaned.reshape(*final.shape[1:], channels)[:height, :width]).reshape(image.shape)


def _mix(colour: Image, mixing: npt.NDArray[np.float32]) -> Planes:
    planes = np.empty((len(mixing), *colour.shape[:2]), dtype=np.float32)
    for plane, weights in zip(planes, mixing, strict=True):
        np.matmul(colour, weights, out=plane)
    return planes


def _run_stage(noisy: Planes, basic: Planes | None, sigma: float, middle: float, threads: int) -> Planes:
    """Stage 1 of the noisy image, or stage 2 with the estimate of stage 1."""
    channels, height, width = noisy.shape
    stage = _make_stage(noisy, basic, sigma, middle)
    total = np.zeros((channels, height, width + MARGIN), dtype=np.float32)
    weights = np.zeros((height, width + MARGIN, WEIGHTS), dtype=np.float32)
    scratches: queue.SimpleQueue[Scratch] = queue.SimpleQueue()
    tiles = list(_tiles(width))
    threads = min(threads, len(tiles))
    for _ in range(threads):
        scratches.put(make_scratch(channels, height, stage.size))
    lock = threading.Lock()

    def run(tile: tuple[int, int, int]) -> None:
        with _borrowed(scratches) as scratch:
            filter_tile(stage, scratch, *tile)
            with lock:  # a px belongs to at most two tiles, so the order of addition does not matter
                _add(scratch, total, weights, tile[2])

    with sharing(threads) as each:
        each(run, tiles)
    result: Planes = total[:, :, :width]
    for channel in range(channels):
        result[channel] /= weights[:, :width, channel] * np.float32(SCALE)
    result[0] -= np.float32(middle)
    return np.clip(result, -_MOST, _MOST, out=result)


def _tiles(width: int) -> Iterator[tuple[int, int, int]]:
    """First reference, references, and first column of blocks of each tile."""
    references = (width - BLOCK) // STEP + 1
    for first in range(0, references, REFERENCES):
        yield first, min(REFERENCES, references - first), max(0, first * STEP - REACH)


def _make_stage(noisy: Planes, basic: Planes | None, sigma: float, middle: float) -> Stage:
    channels, height, width = noisy.shape
    wiener = basic is not None
    strength = Strength()
    guide = noisy if basic is None else basic
    planes, stride, plane = phase_planes(guide[0])
    labels, moves = offsets()
    flat = _flat(noisy)
    return Stage(
        noisy=flat,
        basic=flat if basic is None else _flat(basic),
        planes=planes,
        stride=stride,
        plane=plane,
        height=height,
        width=width + MARGIN,
        channels=channels,
        wiener=wiener,
        size=SECOND if wiener else FIRST,
        limit=int(np.float32(LIMIT).view(np.int32)) | ((1 << LABEL_BITS) - 1),
        labels=labels,
        penalties=_penalties(labels, moves, strength.overlap[wiener] * (LEVELS * sigma) ** 2),
        moves=moves,
        shrinkage=_shrinkage(channels, sigma, strength, wiener=wiener),
        lift=np.array([middle * BLOCK * SCALE, 0.0, 0.0], dtype=np.float32)[:channels],
    )


def _flat(planes: Planes) -> npt.NDArray[np.float32]:
    """Rows with a margin, one after the other; the margin repeats no px and is never used in a group."""
    channels, height, width = planes.shape
    size = channels * height * (width + MARGIN)
    flat: npt.NDArray[np.float32] = aligned(size)
    flat[:size].reshape(channels, height, width + MARGIN)[:, :, :width] = planes
    return flat


def _penalties(labels: npt.NDArray[np.int32], moves: npt.NDArray[np.int64], each: float) -> npt.NDArray[np.float32]:
    """By place in the search: what an offset costs for the px that its block shares with the reference."""
    shared = np.prod(np.maximum(BLOCK - np.abs(moves), 0), axis=1)
    shared[0] = 0  # the reference itself is always the nearest
    return np.asarray(each * shared[labels], dtype=np.float32)


def _shrinkage(channels: int, sigma: float, strength: Strength, *, wiener: bool) -> npt.NDArray[np.float32]:
    """C x SHRINKAGE: sixteen times each threshold of coefficients whose variance the Haar transform made 2^power times.

    In stage 2 variances, times 2^power: weights are divided by it.
    """
    growth = 2.0 ** np.arange(SECOND.bit_length())
    luma, chroma = strength.noise if wiener else strength.threshold
    factors = np.array([luma, chroma, chroma])[:channels, None]
    values = factors * (SCALE * sigma * growth) ** 2 if wiener else factors * SCALE * sigma * np.sqrt(growth)
    repeated: npt.NDArray[np.float32] = aligned(values.size * LANES)[: values.size * LANES]
    repeated[:] = np.repeat(values, LANES)
    return repeated.reshape(channels, SHRINKAGE)


@contextmanager
def _borrowed(scratches: queue.SimpleQueue[Scratch]) -> Iterator[Scratch]:
    scratch = scratches.get()
    try:
        yield scratch
    finally:
        scratches.put(scratch)


def _add(scratch: Scratch, total: Planes, weights: Any, left: int) -> None:
    """Add a tile's sums to those of the image, and clear them."""
    channels, height = total.shape[:2]
    sums = scratch.out[: channels * height * MARGIN].reshape(channels, height, MARGIN)
    total[:, :, left : left + MARGIN] += sums
    sums[:] = 0
    shares = scratch.out_weights[: height * MARGIN * WEIGHTS].reshape(height, MARGIN, WEIGHTS)
    weights[:, left : left + MARGIN] += shares
    shares[:] = 0
