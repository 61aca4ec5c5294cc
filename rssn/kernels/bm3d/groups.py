"""What happens to a group of similar blocks: Haar's transform across it, shrinkage, and back (Dabov et al. 2007).

As many coefficients of every block as a register has lanes are transformed at a time. There and back, the code, which
is written out, goes down to one block after the other before it takes the next one, so that a handful of values is in
registers. The transform is not normalised: its scaling is folded into thresholds and weights. Coefficients come as
16-bit ints and stay ints until they are shrunk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from rssn.kernels.bm3d.transforms import COEFFICIENTS
from rssn.kernels.compiling import inlined
from rssn.kernels.simd import LANES, Float, Vectors, register_code, register_code_for, register_lanes, vector_code

FIRST, SECOND = 16, 32
"""Blocks of a group in stage 1 and in stage 2."""


def _haar(v: Vectors, block: Callable[[int], Any], size: int, lift: Any, take: Callable[[int, Any, int], None]) -> None:
    """Hand over each coefficient: its number, value, and the power of two that its variance has grown by.

    Number 0 is the sum, to which `lift` is added; numbers 2^n to 2^(n+1) - 1 are the n-th level from the coarsest on.
    """

    def total(number: int, first: int, count: int) -> Any:
        if count == 1:
            return block(first)
        half = count // 2
        a, b = total(2 * number, first, half), total(2 * number + 1, first + half, half)
        take(number, v.to_float(v.builder.sub(a, b)), half.bit_length())
        return v.builder.add(a, b)

    take(0, v.add(v.to_float(total(1, 0, size)), lift), size.bit_length() - 1)


def _unhaar(v: Vectors, coefficient: Callable[[int], Any], size: int, give: Callable[[int, Any], None]) -> None:
    """Hand over each block's values, back from coefficients that were divided by their power of two."""

    def split(number: int, value: Any, first: int, count: int) -> None:
        if count == 1:
            give(first, value)
            return
        half, difference = count // 2, coefficient(number)
        split(2 * number, v.add(value, difference), first, half)
        split(2 * number + 1, v.subtract(value, difference), first + half, half)

    split(1, coefficient(0), 0, size)


def _block(v: Vectors, blocks: Any, places: Any, shift: Any) -> Callable[[int], Any]:
    moved = v.at(blocks, shift)
    return lambda n: v.load_short(moved, v.load_scalar(places, n))


@register_code
def _threshold(
    v: Vectors,
    blocks: Any,
    places: Any,
    shift: Any,
    held: Any,
    start: Any,
    limits: Any,
    lift: Any,
    place: Any,
) -> None:
    """Hard-threshold coefficients of a group into `held`; how many were kept goes to `place` in it."""
    kept = v.constant(0.0)

    def take(n: int, value: Any, power: int) -> None:
        nonlocal kept
        over = v.builder.fcmp_ordered(">", v.absolute(value), v.load(limits, power * LANES))
        scaled = v.multiply(value, v.constant(2.0**-power))
        v.store(v.builder.select(over, scaled, v.constant(0.0)), held, v.offset(start, n * v.lanes))
        kept = v.add(kept, v.builder.select(over, v.constant(1.0), v.constant(0.0)))

    _haar(v, _block(v, blocks, places, shift), FIRST, v.multiply(v.splat(lift), v.first(FIRST)), take)
    v.store(kept, held, place)


@register_code
def _weigh(
    v: Vectors,
    basic: Any,
    places: Any,
    shift: Any,
    held: Any,
    start: Any,
    variances: Any,
    lift: Any,
    place: Any,
) -> None:
    """Wiener's weights of coefficients of a group into `held`; the sums of their squares go to `place` in it."""
    squares: dict[int, Any] = {}

    def take(n: int, value: Any, power: int) -> None:
        square = v.multiply(value, value)
        noise = v.load(variances, power * LANES)
        weight = v.divide(square, v.multiply_add(square, v.constant(2.0**power), noise))
        squares[power] = v.multiply_add(weight, weight, squares.get(power, v.constant(0.0)))
        v.store(weight, held, v.offset(start, n * v.lanes))

    _haar(v, _block(v, basic, places, shift), SECOND, v.multiply(v.splat(lift), v.first(SECOND)), take)
    total = v.constant(0.0)
    for power in sorted(squares):
        total = v.multiply_add(squares[power], v.constant(4.0**power), total)
    v.store(total, held, place)


@register_code
def _attenuate(v: Vectors, noisy: Any, places: Any, shift: Any, held: Any, start: Any, lift: Any) -> None:
    """Multiply coefficients of a group by the weights in `held`."""

    def take(n: int, value: Any, power: int) -> None:
        place = v.offset(start, n * v.lanes)
        v.store(v.multiply(value, v.load(held, place)), held, place)

    _haar(v, _block(v, noisy, places, shift), SECOND, v.multiply(v.splat(lift), v.first(SECOND)), take)


@register_code_for(FIRST, SECOND)
def _spread(v: Vectors, size: int, held: Any, start: Any, sums: Any, places: Any, shift: Any, weight: Any) -> None:
    """Transform coefficients of a group back and add them, weighted, to the sums of their blocks."""
    share, moved = v.splat(weight), v.at(sums, shift)

    def give(n: int, value: Any) -> None:
        place = v.load_scalar(places, n)
        v.store(v.multiply_add(value, share, v.load(moved, place)), moved, place)

    _unhaar(v, lambda n: v.load(held, v.offset(start, n * v.lanes)), size, give)


@vector_code
def _total(v: Vectors, counts: Any, first: Any) -> Float:
    """The sum of 64 numbers, in one order on all processors."""
    quarters = [v.load(counts, v.offset(first, n * LANES)) for n in range(COEFFICIENTS // LANES)]
    return v.total(v.add(v.add(quarters[0], quarters[1]), v.add(quarters[2], quarters[3])))


@vector_code
def fetch(v: Vectors, values: Any, places: Any, n: Any, shift: Any) -> None:
    """Ask for the cache lines of one channel of a block, of 16-bit coefficients or of sums."""
    line = 64 // (values.type.pointee.width // 8 if isinstance(values.type.pointee, ir.IntType) else 4)
    moved = v.at(v.at(values, shift), v.load_scalar(places, n))
    for start in range(0, COEFFICIENTS, line):
        v.prefetch(moved, v.index(start))


_LEAST = np.float32(1e-3)  # of a sum of squared weights


@inlined
def _fetch_share(values: Any, places: Any, size: int, shift: int, channel: int) -> None:
    """Ask for the share of a group's blocks that belongs to these coefficients' time."""
    for n in range(size * shift // COEFFICIENTS, size * (shift + register_lanes()) // COEFFICIENTS):
        fetch(values, places, n, channel)


@inlined
def shrink_group(
    blocks: Any, sums: Any, places: Any, following: Any, channel: int, held: Any, limits: Any, lift: float
) -> np.float32:
    """Stage 1 on one channel of a group; returns the weight its blocks were added with (equation 10).

    The memory of the following group is asked for bit by bit.
    """
    counts = COEFFICIENTS * FIRST
    for shift in range(0, COEFFICIENTS, register_lanes()):
        rise = lift if shift == 0 else np.float32(0)
        _threshold(blocks, places, channel + shift, held, shift * FIRST, limits, rise, counts + shift)
        _fetch_share(blocks, following, FIRST, shift, channel)
    weight: np.float32 = np.float32(1) / max(_total(held, counts), np.float32(1))
    for shift in range(0, COEFFICIENTS, register_lanes()):
        _spread(FIRST, held, shift * FIRST, sums, places, channel + shift, weight)
        _fetch_share(sums, following, FIRST, shift, channel)
    return weight


@inlined
def attenuate_group(
    noisy: Any,
    basic: Any,
    sums: Any,
    places: Any,
    following: Any,
    channel: int,
    held: Any,
    variances: Any,
    lift: float,
) -> np.float32:
    """Stage 2 on one channel of a group; returns the weight its blocks were added with (equation 11)."""
    counts = COEFFICIENTS * SECOND
    for shift in range(0, COEFFICIENTS, register_lanes()):
        rise = lift if shift == 0 else np.float32(0)
        _weigh(basic, places, channel + shift, held, shift * SECOND, variances, rise, counts + shift)
        _fetch_share(basic, following, SECOND, shift, channel)
        _fetch_share(noisy, following, SECOND, shift, channel)
    weight: np.float32 = np.float32(1) / max(_total(held, counts), _LEAST)
    for shift in range(0, COEFFICIENTS, register_lanes()):
        rise = lift if shift == 0 else np.float32(0)
        _attenuate(noisy, places, channel + shift, held, shift * SECOND, rise)
        _spread(SECOND, held, shift * SECOND, sums, places, channel + shift, weight)
        _fetch_share(sums, following, SECOND, shift, channel)
    return weight
