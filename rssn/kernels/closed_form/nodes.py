"""A node of the closed form as one vector: its F and B in three channels at once, see `rssn.kernels.simd`.

A row of an N x 8 array is F0 F1 F2 0 B0 B1 B2 0, a row of an N x 4 array t0 t1 t2 0 with t = F - B. `load8`, `load4`
and `store` go to memory without a check: callers pass C-contiguous arrays of that width and rows that exist. All other
functions touch registers only.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from rssn.kernels.simd import Eight, EightDoubles, Four, Same, Vectors, vector_code


@vector_code
def load8(v: Vectors, array: Any, row: Any) -> Eight:
    """A row of an N x 8 array."""
    return v.load(array, v.builder.mul(row, v.index(8)), lanes=8, aligned=False)


@vector_code
def load4(v: Vectors, array: Any, row: Any) -> Four:
    """A row of an N x 4 array."""
    return v.load(array, v.builder.mul(row, v.index(4)), lanes=4, aligned=False)


@vector_code
def store(v: Vectors, array: Any, row: Any, value: Any) -> None:
    """Write a vector to the row of an array that wide."""
    v.store(value, array, v.builder.mul(row, v.index(value.type.count)), aligned=False)


@vector_code
def halves(v: Vectors, foreground: Any, background: Any) -> Eight:
    """Eight lanes, the first number in F's four and the second in B's."""
    return v.shuffle(v.splat(foreground, 4), v.splat(background, 4), range(8))


@vector_code
def multiply(v: Vectors, first: Any, second: Any) -> Same:
    """First times second."""
    return v.multiply(first, second)


@vector_code
def add(v: Vectors, first: Any, second: Any) -> Same:
    """First plus second."""
    return v.add(first, second)


@vector_code
def subtract(v: Vectors, first: Any, second: Any) -> Same:
    """First minus second."""
    return v.subtract(first, second)


@vector_code
def multiply_add(v: Vectors, first: Any, second: Any, third: Any) -> Same:
    """First times second plus third."""
    return v.contracted(first, second, third)


@vector_code
def scale(v: Vectors, factor: Any, value: Any) -> Same:
    """A number times a vector."""
    return v.multiply(v.splat(factor, value.type.count), value)


@vector_code
def scale_add(v: Vectors, factor: Any, value: Any, total: Any) -> Same:
    """Factor (a number) times value plus total."""
    return v.contracted(v.splat(factor, value.type.count), value, total)


@vector_code
def swap(v: Vectors, value: Any) -> Eight:
    """Exchange F and B."""
    return v.shuffle(value, value, [4, 5, 6, 7, 0, 1, 2, 3])


@vector_code
def fold(v: Vectors, value: Any) -> Four:
    """F + B in four lanes."""
    return v.add(v.shuffle(value, value, range(4)), v.shuffle(value, value, range(4, 8)))


@vector_code
def widen(v: Vectors, value: Any) -> Eight:
    """Four lanes twice."""
    return v.shuffle(value, value, [0, 1, 2, 3, 0, 1, 2, 3])


@vector_code
def peak(v: Vectors, largest: Any, value: Any) -> Same:
    """The larger of `largest` and the absolute value, lane by lane."""
    size = v.absolute(value)
    return v.builder.select(v.builder.fcmp_ordered("<", largest, size), size, largest)


@vector_code
def add_products(v: Vectors, sums: Any, first: Any, second: Any) -> EightDoubles:
    """Add first times second to eight sums in float64."""
    return v.add(sums, v.builder.fpext(v.multiply(first, second), sums.type))


@vector_code
def zeros4(v: Vectors) -> Four:
    """Four zeros."""
    return v.constant(0.0, ir.VectorType(ir.FloatType(), 4))


@vector_code
def zeros8(v: Vectors) -> Eight:
    """Eight zeros."""
    return v.constant(0.0, ir.VectorType(ir.FloatType(), 8))


@vector_code
def zero_sums(v: Vectors) -> EightDoubles:
    """Eight zeros in double precision."""
    return v.constant(0.0, ir.VectorType(ir.DoubleType(), 8))
