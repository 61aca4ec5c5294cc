"""A node of the closed form as one vector: its F and B in three channels at once, see `rssn.kernels.simd`.

A row of an N x 8 array is F0 F1 F2 0 B0 B1 B2 0, a row of an N x 4 array t0 t1 t2 0 with t = F - B. `load8`,
`load4`, `load_sums` and `store` go to memory without a check: callers pass arrays of that width and rows that exist.
All other functions but `clear` touch registers only.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from rssn.kernels.simd import DOUBLE, FLOAT, Vectors

_ONE = FLOAT(1.0)


def load8(v: Vectors, array: Any, row: Any) -> Any:
    """A row of an N x 8 array."""
    return v.load(array, place(v, row, 8), lanes=8, aligned=False)


def load_sums(v: Vectors, array: Any, row: Any) -> Any:
    """A row of an S x 8 array in double precision."""
    return v.load(array, place(v, row, 8), lanes=8, of=DOUBLE, aligned=False)


def load4(v: Vectors, array: Any, row: Any) -> Any:
    """A row of an N x 4 array."""
    return v.load(array, place(v, row, 4), lanes=4, aligned=False)


def store(v: Vectors, array: Any, row: Any, value: Any) -> None:
    """Write a vector to the row of an array that wide."""
    v.store(value, array, place(v, row, value.type.count), aligned=False)


def clear(v: Vectors, low: Any, high: Any, values: Any) -> None:
    """Zero rows low to high - 1 of an N x 4 array."""
    with v.loop(low, high) as loop:
        store(v, values, loop.index, zeros(v, 4))


def place(v: Vectors, row: Any, width: int, column: int = 0) -> Any:
    """Where a column of a row is in an array that wide."""
    return v.offset(v.builder.mul(row, v.index(width)), column)


def halves(v: Vectors, foreground: Any, background: Any) -> Any:
    """Eight lanes, the first number in F's four and the second in B's."""
    return v.shuffle(v.splat(foreground, 4), v.splat(background, 4), range(8))


def opacities(v: Vectors, share: Any) -> Any:
    """Alpha in F's lanes and 1 - alpha in B's."""
    return halves(v, share, v.subtract(_ONE, share))


def turning(v: Vectors, share: Any, length: Any) -> Any:
    """The vector of this length along which the blend stays as it is, times the length of (alpha, 1 - alpha)."""
    return halves(v, v.multiply(v.subtract(_ONE, share), length), v.multiply(v.builder.fneg(share), length))


def scale(v: Vectors, factor: Any, value: Any) -> Any:
    """A number times a vector."""
    return v.multiply(v.splat(factor, value.type.count), value)


def scale_add(v: Vectors, factor: Any, value: Any, total: Any) -> Any:
    """Factor (a number) times value plus total."""
    return v.add(scale(v, factor, value), total)


def swap(v: Vectors, value: Any) -> Any:
    """Exchange F and B."""
    return v.shuffle(value, value, [4, 5, 6, 7, 0, 1, 2, 3])


def fold(v: Vectors, value: Any) -> Any:
    """F + B in four lanes."""
    return v.add(v.shuffle(value, value, range(4)), v.shuffle(value, value, range(4, 8)))


def widen(v: Vectors, value: Any) -> Any:
    """Four lanes twice."""
    return v.shuffle(value, value, [0, 1, 2, 3, 0, 1, 2, 3])


def peak(v: Vectors, largest: Any, value: Any) -> Any:
    """The larger of `largest` and the absolute value, lane by lane."""
    size = v.absolute(value)
    return v.builder.select(v.builder.fcmp_ordered("<", largest, size), size, largest)


def add_products(v: Vectors, sums: Any, first: Any, second: Any) -> Any:
    """Add first times second to eight sums in double precision."""
    return v.add(sums, v.builder.fpext(v.multiply(first, second), sums.type))


def zeros(v: Vectors, lanes: int) -> Any:
    """So many zeros."""
    return v.constant(0.0, ir.VectorType(FLOAT, lanes))


def zero_sums(v: Vectors) -> Any:
    """Eight zeros in double precision."""
    return v.constant(0.0, ir.VectorType(DOUBLE, 8))
