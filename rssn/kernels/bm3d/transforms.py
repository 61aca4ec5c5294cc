"""The 8 x 8 cosine transform of every block position of an image, sliding and separable, there and back.

Forward, each row of px is transformed once per position (sixteen positions are sixteen lanes), and eight such rows make
the blocks of one row of positions (two positions with eight frequencies each are sixteen lanes). Back, the vertical
transform adds its eight rows to a ring, and a row of the ring is transformed back once all blocks over it have been
added. The Kaiser window of the aggregation (Dabov et al. 2007, section III-D) is separable and folded into both steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from itertools import chain
from typing import Any

import numpy as np
from llvmlite import ir

from rssn.kernels.bm3d.matching import BLOCK
from rssn.kernels.simd import FLOAT, LANES, Vectors

COEFFICIENTS = BLOCK * BLOCK
WEIGHTS = 4  # weights of a position: up to three channels, and one to fill up
WEIGHTS_MARGIN = 2 * LANES  # floats left of a row of weights that stay zero, and right of it
_KAISER = tuple(float(value) for value in np.kaiser(BLOCK, 2.0))
_COSINE = [[math.cos((2 * n + 1) * k * math.pi / 16) / 2 for n in range(BLOCK)] for k in range(BLOCK)]
_ROOT = math.sqrt(1 / 8)
SCALE = 16  # coefficients are held as 16-bit ints, in sixteenths


def _forward(v: Vectors, x: list[Any], scale: float = 1.0) -> list[Any]:
    """The orthonormal DCT-II of eight vectors times a scale, 36 instructions."""
    s = [v.add(x[n], x[7 - n]) for n in range(4)]
    d = [v.subtract(x[n], x[7 - n]) for n in range(4)]
    outer, inner = v.add(s[0], s[3]), v.add(s[1], s[2])
    out: list[Any] = [None] * BLOCK
    out[0] = v.multiply(v.add(outer, inner), v.constant(_ROOT * scale))
    out[4] = v.multiply(v.subtract(outer, inner), v.constant(_ROOT * scale))
    pair = [v.subtract(s[0], s[3]), v.subtract(s[1], s[2])]
    for k in (2, 6):
        out[k] = _weighted(v, pair, [scale * value for value in _COSINE[k]])
    for k in (1, 3, 5, 7):
        out[k] = _weighted(v, d, [scale * value for value in _COSINE[k]])
    return out


def _inverse(v: Vectors, x: list[Any]) -> list[Any]:
    """The inverse of `_forward`."""
    outer = v.multiply(v.add(x[0], x[4]), v.constant(_ROOT))
    inner = v.multiply(v.subtract(x[0], x[4]), v.constant(_ROOT))
    slope = [_weighted(v, [x[2], x[6]], [_COSINE[2][n], _COSINE[6][n]]) for n in range(2)]
    even = [v.add(outer, slope[0]), v.add(inner, slope[1]), v.subtract(inner, slope[1]), v.subtract(outer, slope[0])]
    odd = [_weighted(v, x[1::2], [_COSINE[k][n] for k in (1, 3, 5, 7)]) for n in range(4)]
    first = [v.add(even[n], odd[n]) for n in range(4)]
    return first + [v.subtract(even[n], odd[n]) for n in (3, 2, 1, 0)]


def _weighted(v: Vectors, values: list[Any], weights: list[float]) -> Any:
    total = v.multiply(values[0], v.constant(weights[0]))
    for value, weight in zip(values[1:], weights[1:], strict=False):
        total = v.multiply_add(value, v.constant(weight), total)
    return total


def _zip(v: Vectors, a: Any, b: Any) -> tuple[Any, Any]:
    lanes = [lane for n in range(LANES) for lane in (n, n + LANES)]
    return v.shuffle(a, b, lanes[:LANES]), v.shuffle(a, b, lanes[LANES:])


def _unzip(v: Vectors, a: Any, b: Any) -> tuple[Any, Any]:
    return v.shuffle(a, b, range(0, 2 * LANES, 2)), v.shuffle(a, b, range(1, 2 * LANES, 2))


def _to_positions(v: Vectors, x: list[Any]) -> list[Any]:
    """Eight vectors of a frequency each, lanes are positions, to eight vectors of two positions each."""
    fours = [_zip(v, x[n], x[n + 4]) for n in range(4)]  # (0 4), (1 5), (2 6), (3 7)
    even = [both for half in range(2) for both in _zip(v, fours[0][half], fours[2][half])]  # (0 2 4 6)
    odd = [both for half in range(2) for both in _zip(v, fours[1][half], fours[3][half])]
    return [both for n in range(4) for both in _zip(v, even[n], odd[n])]


def _to_frequencies(v: Vectors, x: list[Any]) -> list[Any]:
    """The inverse of `_to_positions`."""
    pairs = [_unzip(v, x[n], x[n + 1]) for n in range(0, BLOCK, 2)]  # even and odd frequencies of four positions
    out: list[Any] = [None] * BLOCK
    for parity in range(2):
        eights = [_unzip(v, pairs[n][parity], pairs[n + 1][parity]) for n in (0, 2)]  # (0 4) and (2 6) of eight
        for high in range(2):
            low, upper = _unzip(v, eights[0][high], eights[1][high])
            out[2 * high + parity], out[2 * high + parity + 4] = low, upper
    return out


def _row_forward(v: Vectors, pixels: Any, source: Any, rows: Any, target: Any) -> None:
    """Sixteen positions of one row of px, as [position, frequency]."""
    taken = [v.load(pixels, v.offset(source, n), aligned=False) for n in range(BLOCK)]
    for n, vector in enumerate(_to_positions(v, _forward(v, taken))):
        v.store(vector, rows, v.offset(target, n * LANES))


def _column_forward(v: Vectors, rows: Any, source: Any, slot: Any, size: Any, blocks: Any, target: Any) -> None:
    """Two positions from eight rows of a ring, as blocks of 64 coefficients."""
    out = _forward(v, [v.load(rows, _in_ring(v, source, slot, size, n)) for n in range(BLOCK)], SCALE)
    following = v.offset(target, COEFFICIENTS)
    for n in range(0, BLOCK, 2):
        left = v.shuffle(out[n], out[n + 1], [*range(8), *range(16, 24)])
        right = v.shuffle(out[n], out[n + 1], [*range(8, 16), *range(24, 32)])
        v.store_short(left, blocks, v.offset(target, n * BLOCK))
        v.store_short(right, blocks, v.offset(following, n * BLOCK))


def _column_inverse(v: Vectors, blocks: Any, source: Any, rows: Any, target: Any, slot: Any, size: Any) -> None:
    """A block, or two where a register holds as much, back to eight rows of a ring, to which they are added.

    The blocks become zero.
    """
    width = min(v.lanes, BLOCK)
    for first in range(0, BLOCK, width):
        places = [
            [v.offset(source, block + n * BLOCK + first) for block in range(0, v.lanes * BLOCK, COEFFICIENTS)]
            for n in range(BLOCK)
        ]
        values = _inverse(v, [v.joined([v.load(blocks, place, lanes=width) for place in row]) for row in places])
        for place in chain.from_iterable(places):
            v.store(v.constant(0.0, ir.VectorType(ir.FloatType(), width)), blocks, place)
        for n, value in enumerate(values):
            place = _in_ring(v, v.offset(target, first), slot, size, n)
            v.store(v.multiply_add(value, v.constant(_KAISER[n]), v.load(rows, place)), rows, place)


def _row_inverse(v: Vectors, rows: Any, source: Any, pixels: Any, target: Any) -> None:
    """Sixteen positions of a row of the ring, back to 23 px, to which they are added; the ring's row becomes zero."""
    places = [v.offset(source, n * LANES) for n in range(BLOCK)]
    values = _inverse(v, _to_frequencies(v, [v.load(rows, place) for place in places]))
    for place in places:
        v.store(v.constant(0.0), rows, place)
    nothing = v.constant(0.0)
    here = v.multiply(values[0], v.constant(_KAISER[0]))
    beyond = nothing
    for n in range(1, BLOCK):
        shifted = v.shuffle(nothing, values[n], [*range(n), *range(LANES, 2 * LANES - n)])
        rest = v.shuffle(values[n], nothing, [*range(LANES - n, LANES), *range(LANES, 2 * LANES - n)])
        here = v.multiply_add(shifted, v.constant(_KAISER[n]), here)
        beyond = v.multiply_add(rest, v.constant(_KAISER[n]), beyond)
    v.store(v.add(here, v.load(pixels, target)), pixels, target)
    after = v.offset(target, LANES)
    v.store(v.add(beyond, v.load(pixels, after)), pixels, after)


def _in_ring(v: Vectors, place: Any, slot: Any, size: Any, n: int) -> Any:
    turned = v.builder.and_(v.offset(slot, n), v.index(BLOCK - 1))
    return v.builder.add(place, v.builder.mul(turned, size))


def row_forward(v: Vectors, pixels: Any, source: Any, rows: Any, target: Any, positions: int) -> None:
    """Transform one row of px at `positions` (a multiple of 16) places into a row of the ring."""
    with _every(v, positions, LANES) as x:
        _row_forward(v, pixels, v.builder.add(source, x), rows, _times(v, x, BLOCK, target))


def column_forward(
    v: Vectors, rows: Any, source: Any, slot: Any, size: Any, blocks: Any, target: Any, positions: int
) -> None:
    """Make the blocks of one row of positions from the eight rows of the ring that start at `slot`."""
    with _every(v, positions, 2) as x:
        places = _times(v, x, BLOCK, source), _times(v, x, COEFFICIENTS, target)
        _column_forward(v, rows, places[0], slot, size, blocks, places[1])


def column_inverse(
    v: Vectors,
    sums: Any,
    source: Any,
    weights: Any,
    first: Any,
    rows: Any,
    target: Any,
    slot: Any,
    size: Any,
    positions: int,
) -> None:
    """Add the blocks of one row of positions to the eight rows of the ring that start at `slot`, and clear them.

    Blocks without a weight (the channel's from `first` on) were in no group, and are zero.
    """
    together = max(v.lanes // BLOCK, 1)
    with _every(v, positions, together) as x:
        places = [v.offset(_times(v, x, WEIGHTS, first), n * WEIGHTS) for n in range(together)]
        weight = reduce(v.add, [v.load_scalar(weights, place) for place in places])
        with v.builder.if_then(v.builder.fcmp_ordered(">", weight, FLOAT(0.0))):
            block = _times(v, x, COEFFICIENTS, source)
            _column_inverse(v, sums, block, rows, _times(v, x, BLOCK, target), slot, size)


def row_inverse(v: Vectors, rows: Any, source: Any, pixels: Any, target: Any, positions: int) -> None:
    """Add one row of the ring to a row of px, of which `positions` + 16 are touched, and clear it."""
    with _every(v, positions, LANES) as x:
        _row_inverse(v, rows, _times(v, x, BLOCK, source), pixels, v.builder.add(target, x))


@contextmanager
def _every(v: Vectors, count: int, step: int) -> Iterator[Any]:
    """Goes over 0, step, 2 step and so on, below a count."""
    with v.loop(v.index(0), v.index(-(-count // step))) as loop:
        yield v.builder.mul(loop.index, v.index(step))


def _times(v: Vectors, number: Any, factor: int, start: Any) -> Any:
    return v.builder.add(start, v.builder.mul(number, v.index(factor)))


def _spread_weights(v: Vectors, weights: Any, source: Any, rows: Any, target: Any, slot: Any, size: Any) -> None:
    """Four positions of a row of weights, added to eight rows of a ring through the window; they become zero."""
    value = v.load(weights, source)
    v.store(v.constant(0.0), weights, source)
    for n in range(BLOCK):
        place = _in_ring(v, target, slot, size, n)
        v.store(v.multiply_add(value, v.constant(_KAISER[n]), v.load(rows, place)), rows, place)


def _gather_weights(v: Vectors, rows: Any, source: Any, pixels: Any, target: Any) -> None:
    """The weights of four px from a row of the ring: the positions at and left of them, through the window."""
    total = v.load(pixels, target)
    for n in range(BLOCK):
        value = v.load(rows, v.offset(source, -n * WEIGHTS), aligned=n % 4 == 0)
        total = v.multiply_add(value, v.constant(_KAISER[n]), total)
    v.store(total, pixels, target)


def spread_weights(v: Vectors, weights: Any, source: Any, rows: Any, slot: Any, size: Any, positions: int) -> None:
    """Add a row of block weights to eight rows of a ring, whose data start at `WEIGHTS_MARGIN`, and clear it."""
    with _every(v, positions * WEIGHTS, LANES) as x:
        _spread_weights(v, weights, v.builder.add(source, x), rows, v.offset(x, WEIGHTS_MARGIN), slot, size)


def gather_weights(v: Vectors, rows: Any, source: Any, pixels: Any, target: Any, positions: int) -> None:
    """Add a row of the ring of weights to the weights of px, of which `positions` + 8 are touched, and clear it."""
    first = v.offset(source, WEIGHTS_MARGIN)
    with _every(v, (positions + BLOCK) * WEIGHTS, LANES) as x:
        _gather_weights(v, rows, v.builder.add(first, x), pixels, v.builder.add(target, x))
    with _every(v, positions * WEIGHTS, LANES) as x:
        v.store(v.constant(0.0), rows, v.builder.add(first, x))
