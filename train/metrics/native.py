"""The gradient and connectivity errors, compiled.

Both follow the authors' evaluation, not the MATLAB code of Deep Image Matting (no min-max step, another Gaussian
kernel). Connected components are found on runs of px instead of px: a row of a matte has few. Gradients are taken only
of rows where the two mattes differ within the reach of the kernel; elsewhere they are equal.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rssn.image.arrays import Alpha, Pixels
from rssn.kernels.compiling import compiled

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int32]

_SIGMA = 1.4
_TOLERANCE = 0.15

STEPS = 10
"""Thresholds of the connectivity error."""

REACH = 6
"""Px that a gradient's kernel reaches to each side: four sigma of 1.4."""

_THRESHOLDS = np.arange(1, STEPS + 1, dtype=np.float32) / np.float32(STEPS)


def gradient_error(predicted: Alpha, alpha: Alpha) -> float:
    """Sum of squared differences of gradient magnitudes, divided by 10.

    The gradient is a Gaussian derivative with sigma 1.4, cut off at four sigma. The factor 10 brings this kernel, which
    is not normalised, within a few per cent of the usual one divided by 1000.
    """
    places = np.arange(REACH + 1)
    smooth = np.exp(-0.5 * (places / _SIGMA) ** 2)
    smooth /= 2 * smooth.sum() - 1
    guess, truth = (np.pad(matte.astype(np.float64), REACH, mode="symmetric") for matte in (predicted, alpha))
    return float(gradient_sum(guess, truth, smooth, -places / _SIGMA**2 * smooth)) / 10


def connectivity_error(predicted: Alpha, alpha: Alpha) -> float:
    """Connectivity error of Rhemann et al. 2009, divided by 1000.

    For each threshold 0.1, 0.2 .. 1 the largest 4-connected region is found in which both mattes reach it. A pixel's
    level is the last threshold before it leaves this region; what a matte has above its level, from 0.15 on, counts.
    A threshold that no pixel reaches is skipped, as the authors do. Where both mattes together reach not even the
    first, as in a scene that one of them calls empty, theirs would be without error whatever the other says; here the
    level is 0, as in Deep Image Matting's code: what the other matte has from 0.15 on counts. Thresholds are float32,
    so that 153 / 255 reaches 0.6.
    """
    depth, reached = connected_depth(threshold_steps(predicted, alpha, _THRESHOLDS))
    return float(connectivity_sum(predicted, alpha, depth, reached, _TOLERANCE)) / 1000


def connectivity_difference(predicted: Alpha, alpha: Alpha) -> npt.NDArray[np.float64]:
    """Each pixel's part of the connectivity error, not divided; here a threshold that none reaches ends all regions.

    So does Deep Image Matting's code; the sum is otherwise that of `connectivity_error`.
    """
    depth, _ = connected_depth(threshold_steps(predicted, alpha, _THRESHOLDS))
    level = depth / STEPS
    above = [np.where(matte - level >= _TOLERANCE, matte - level, 0.0) for matte in (predicted, alpha)]
    return np.asarray(np.abs(above[0] - above[1]))


@compiled
def threshold_steps(predicted: Alpha, alpha: Alpha, thresholds: Alpha) -> Pixels:
    """How many of the 10 ascending thresholds both mattes reach."""
    height, width = alpha.shape
    steps = np.empty((height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            lower = min(predicted[y, x], alpha[y, x])
            count = 0
            for threshold in range(STEPS):
                count += lower >= thresholds[threshold]
            steps[y, x] = count
    return steps


@compiled
def connected_depth(steps: Pixels) -> tuple[Pixels, int]:
    """For each px, how many thresholds in turn it lies in the largest 4-connected region.

    Args:
        steps: H x W, the number of thresholds that both mattes reach.

    Returns:
        H x W depths, and the last threshold that any px reaches. Of regions of one size the first in reading order
        counts.
    """
    height, width = steps.shape
    depth = np.zeros((height, width), np.uint8)
    capacity = height * ((width + 1) // 2)
    starts, ends = np.empty(capacity, np.int32), np.empty(capacity, np.int32)
    parents, sizes = np.empty(capacity, np.int32), np.empty(capacity, np.int32)
    first = np.empty(height + 1, np.int32)
    reached = 0
    for threshold in range(1, STEPS + 1):
        count = _runs(steps, threshold, starts, ends, first)
        if count == 0:
            break
        reached = threshold
        best = _largest(starts, ends, parents, sizes, first)
        for y in range(height):
            for run in range(first[y], first[y + 1]):
                if _root(parents, run) == best:
                    for x in range(starts[run], ends[run]):
                        depth[y, x] += depth[y, x] == threshold - 1
    return depth, reached


@compiled
def _runs(steps: Pixels, threshold: int, starts: Integers, ends: Integers, first: Integers) -> int:
    """Write where runs of px at or above the threshold begin and end, and each row's first run; returns their count."""
    height, width = steps.shape
    count = 0
    for y in range(height):
        first[y] = count
        inside = False
        for x in range(width):
            if (steps[y, x] >= threshold) != inside:
                if inside:
                    ends[count] = x
                    count += 1
                else:
                    starts[count] = x
                inside = not inside
        if inside:
            ends[count] = width
            count += 1
    first[height] = count
    return count


@compiled
def _largest(starts: Integers, ends: Integers, parents: Integers, sizes: Integers, first: Integers) -> int:
    """Join runs that touch; returns the root of the largest region, a region's root being its first run."""
    count = first[-1]
    for run in range(count):
        parents[run], sizes[run] = run, 0
    for y in range(1, len(first) - 1):
        above, run = first[y - 1], first[y]
        while above < first[y] and run < first[y + 1]:
            if starts[above] < ends[run] and starts[run] < ends[above]:
                one, other = _root(parents, above), _root(parents, run)
                parents[max(one, other)] = min(one, other)
            if ends[above] < ends[run]:
                above += 1
            else:
                run += 1
    best = 0
    for run in range(count):
        sizes[_root(parents, run)] += ends[run] - starts[run]
    for run in range(count):
        if sizes[run] > sizes[best]:
            best = run
    return best


@compiled
def _root(parents: Integers, run: int) -> int:
    while parents[run] != run:
        parents[run] = parents[parents[run]]
        run = parents[run]
    return run


@compiled
def connectivity_sum(predicted: Alpha, alpha: Alpha, depth: Pixels, reached: int, tolerance: float) -> float:
    """Sum of |phi of one matte - phi of the other|; a px that never left the region has level 1, if there was one."""
    total = 0.0
    for y in range(alpha.shape[0]):
        for x in range(alpha.shape[1]):
            level = 1.0 if 0 < reached == depth[y, x] else depth[y, x] / 10
            guess, truth = predicted[y, x] - level, alpha[y, x] - level
            total += abs((guess if guess >= tolerance else 0.0) - (truth if truth >= tolerance else 0.0))
    return total


@compiled
def gradient_sum(predicted: Floats, alpha: Floats, smooth: Floats, derive: Floats) -> float:
    """Sum of squared differences of gradient magnitudes.

    Args:
        predicted: H x W float64, with a border of `REACH` px on each side.
        alpha: Likewise.
        smooth: The Gaussian's taps from the middle on, `REACH` + 1; it is symmetric.
        derive: Those of its derivative, which is antisymmetric.
    """
    height, width = alpha.shape
    differs = np.empty(height, np.bool_)
    for y in range(height):
        differs[y] = np.any(predicted[y] != alpha[y])
    room, guess, truth = np.empty((2, width)), np.empty(width), np.empty(width)
    total = 0.0
    for y in range(height - 2 * REACH):
        if np.any(differs[y : y + 2 * REACH + 1]):
            _magnitudes(predicted[y:], smooth, derive, room, guess)
            _magnitudes(alpha[y:], smooth, derive, room, truth)
            for x in range(width - 2 * REACH):
                total += (guess[x] - truth[x]) ** 2
    return total


@compiled
def _magnitudes(rows: Floats, smooth: Floats, derive: Floats, room: Floats, result: Floats) -> None:
    """Gradient magnitudes of the px in the middle of the first 2 * `REACH` + 1 rows.

    Loops begin at 0 and the taps are constants: so they are unrolled, no index can be negative, and px are handled side
    by side.
    """
    slopes, levels = room[0], room[1]
    count = rows.shape[1] - 2 * REACH
    for x in range(count + 2 * REACH):
        slope, level = 0.0, smooth[0] * rows[REACH, x]
        for far in range(1, REACH + 1):
            before, after = rows[REACH - far, x], rows[REACH + far, x]
            slope += derive[far] * (after - before)
            level += smooth[far] * (after + before)
        slopes[x], levels[x] = slope, level
    for x in range(count):
        vertical, horizontal = smooth[0] * slopes[x + REACH], 0.0
        for far in range(1, REACH + 1):
            vertical += smooth[far] * (slopes[x + (REACH + far)] + slopes[x + (REACH - far)])
            horizontal += derive[far] * (levels[x + (REACH + far)] - levels[x + (REACH - far)])
        result[x] = np.sqrt(vertical * vertical + horizontal * horizontal)
