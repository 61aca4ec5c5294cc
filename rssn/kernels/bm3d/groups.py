"""What happens to a group of similar blocks: Haar's transform across it, shrinkage, and back (Dabov et al. 2007).

Sixteen coefficients of every block are sixteen lanes; groups have 1, 2, 4, 8, 16 or 32 blocks, and the code of each
size is written out. The transform is not normalised: its scaling is folded into thresholds and weights. Coefficients
come as 16-bit ints and stay ints until they are shrunk.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rssn.kernels.bm3d.transforms import COEFFICIENTS
from rssn.kernels.simd import LANES, Float, Vectors, compiled, vector_code, vector_code_for

_SIZES = (1, 2, 4, 8, 16, 32)
"""Blocks in a group."""
_FIRST_SIZES = _SIZES[:-1]
"""The same, in stage 1."""


def _haar(v: Vectors, values: list[Any], lift: Any) -> list[tuple[Any, int]]:
    """Coefficients, each with the power of two that its variance has grown by: the sum, then from coarse to fine."""
    fine: list[tuple[Any, int]] = []
    level = 0
    while len(values) > 1:
        level += 1
        pairs = list(zip(values[::2], values[1::2], strict=True))
        fine = [(v.to_float(v.builder.sub(a, b)), level) for a, b in pairs] + fine
        values = [v.builder.add(a, b) for a, b in pairs]
    return [(v.add(v.to_float(values[0]), lift), level), *fine]


def _unhaar(v: Vectors, coefficients: list[Any]) -> list[Any]:
    """Back from coefficients that were divided by their power of two."""
    values, taken = coefficients[:1], 1
    while taken < len(coefficients):
        differences = coefficients[taken : 2 * taken]
        values = [end for s, d in zip(values, differences, strict=True) for end in (v.add(s, d), v.subtract(s, d))]
        taken *= 2
    return values


def _blocks(v: Vectors, blocks: Any, places: Any, shift: Any, size: int) -> list[Any]:
    starts = [v.builder.add(v.load_scalar(places, n), shift) for n in range(size)]
    return [v.load_short(blocks, start) for start in starts]


@vector_code_for(*_FIRST_SIZES)
def _threshold(
    v: Vectors, size: int, blocks: Any, places: Any, shift: Any, held: Any, start: Any, limits: Any, lift: Any
) -> Float:
    """Hard-threshold sixteen coefficients of a group into `held`; returns how many were kept."""
    kept = v.constant(0.0)
    lifted = v.multiply(v.splat(lift), v.first(size))
    for n, (value, power) in enumerate(_haar(v, _blocks(v, blocks, places, shift, size), lifted)):
        over = v.builder.fcmp_ordered(">", v.absolute(value), v.splat(v.load_scalar(limits, power)))
        scaled = v.multiply(value, v.constant(2.0**-power))
        v.store(v.builder.select(over, scaled, v.constant(0.0)), held, v.offset(start, n * LANES))
        kept = v.builder.select(over, v.add(kept, v.constant(1.0)), kept)
    return v.total(kept)


@vector_code_for(*_FIRST_SIZES)
def _spread(v: Vectors, size: int, held: Any, start: Any, sums: Any, places: Any, shift: Any, weight: Any) -> None:
    """Transform sixteen coefficients of a group back and add them, weighted, to the sums of their blocks."""
    kept = [v.load(held, v.offset(start, n * LANES)) for n in range(size)]
    _add_blocks(v, _unhaar(v, kept), v.splat(weight), sums, places, shift)


@vector_code_for(*_SIZES)
def _weigh(
    v: Vectors, size: int, basic: Any, places: Any, shift: Any, held: Any, start: Any, variances: Any, lift: Any
) -> Float:
    """Wiener's weights of sixteen coefficients of a group into `held`; returns the sum of their squares."""
    squares: dict[int, Any] = {}
    lifted = v.multiply(v.splat(lift), v.first(size))
    for n, (value, power) in enumerate(_haar(v, _blocks(v, basic, places, shift, size), lifted)):
        square = v.multiply(value, value)
        noise = v.splat(v.load_scalar(variances, power))
        weight = v.multiply(square, v.reciprocal(v.times_power_of_two(v.add(square, noise), power)))
        squares[power] = v.multiply_add(weight, weight, squares.get(power, v.constant(0.0)))
        v.store(weight, held, v.offset(start, n * LANES))
    total = v.constant(0.0)
    for power, part in squares.items():
        total = v.multiply_add(part, v.constant(4.0**power), total)
    return v.total(total)


@vector_code_for(*_SIZES)
def _attenuate(
    v: Vectors,
    size: int,
    noisy: Any,
    sums: Any,
    places: Any,
    shift: Any,
    held: Any,
    start: Any,
    lift: Any,
    weight: Any,
) -> None:
    """Multiply sixteen coefficients of a group by the weights in `held`, transform back and add to the sums."""
    lifted = v.multiply(v.splat(lift), v.first(size))
    found = _haar(v, _blocks(v, noisy, places, shift, size), lifted)
    kept = [v.multiply(value, v.load(held, v.offset(start, n * LANES))) for n, (value, _) in enumerate(found)]
    _add_blocks(v, _unhaar(v, kept), v.splat(weight), sums, places, shift)


def _add_blocks(v: Vectors, values: list[Any], share: Any, sums: Any, places: Any, shift: Any) -> None:
    for n, value in enumerate(values):
        place = v.builder.add(v.load_scalar(places, n), shift)
        v.store(v.multiply_add(value, share, v.load(sums, place)), sums, place)


@vector_code
def fetch_blocks(v: Vectors, blocks: Any, places: Any, n: Any, shift: Any) -> None:
    """Ask for the two cache lines of one channel of a block."""
    start = v.builder.add(v.load_scalar(places, n), shift)
    for line in range(2):
        v.prefetch(blocks, v.offset(start, line * 2 * LANES))


@vector_code
def fetch_sums(v: Vectors, sums: Any, places: Any, n: Any, shift: Any) -> None:
    """Ask for the four cache lines of one channel of a block's sums."""
    start = v.builder.add(v.load_scalar(places, n), shift)
    for line in range(4):
        v.prefetch(sums, v.offset(start, line * LANES))


_QUARTERS = COEFFICIENTS // LANES
_LEAST = np.float32(1e-3)  # of a sum of squared weights


@compiled
def shrink_group(
    blocks: Any, sums: Any, places: Any, size: int, channel: int, held: Any, limits: Any, lift: float
) -> np.float32:
    """Stage 1 on one channel of a group; returns the weight its blocks were added with (equation 10)."""
    kept = np.float32(0)
    for quarter in range(_QUARTERS):
        shift, start = channel + quarter * LANES, quarter * size * LANES
        rise = lift if quarter == 0 else np.float32(0)
        kept += _threshold(size, blocks, places, shift, held, start, limits, rise)
    weight = np.float32(1) / max(kept, np.float32(1))
    for quarter in range(_QUARTERS):
        _spread(size, held, quarter * size * LANES, sums, places, channel + quarter * LANES, weight)
    return weight


@compiled
def attenuate_group(
    noisy: Any, basic: Any, sums: Any, places: Any, size: int, channel: int, held: Any, variances: Any, lift: float
) -> np.float32:
    """Stage 2 on one channel of a group; returns the weight its blocks were added with (equation 11)."""
    squares = np.float32(0)
    for quarter in range(_QUARTERS):
        shift, start = channel + quarter * LANES, quarter * size * LANES
        rise = lift if quarter == 0 else np.float32(0)
        squares += _weigh(size, basic, places, shift, held, start, variances, rise)
    weight = np.float32(1) / max(squares, _LEAST)
    for quarter in range(_QUARTERS):
        shift, start = channel + quarter * LANES, quarter * size * LANES
        rise = lift if quarter == 0 else np.float32(0)
        _attenuate(size, noisy, sums, places, shift, held, start, rise, weight)
    return weight
