"""Vectors of float32 for numba: a node's F and B in three channels at once.

A row of an N x 8 array is F0 F1 F2 0 B0 B1 B2 0, a row of an N x 4 array t0 t1 t2 0 with t = F - B. LLVM turns the
vectors into what the processor has, from SSE and NEON to AVX-512; every processor runs the same code. `load8`, `load4`
and `store` go to memory without a check: callers pass C-contiguous arrays of that width and rows that exist. All other
functions touch registers only.
"""

# mypy: disable-error-code="no-untyped-def, misc"
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

_INDEX = ir.IntType(32)
_FUSED = ("contract",)


class Lanes(types.Type):
    """numba's type of a vector of `count` floats, 4 bytes each or 8."""

    def __init__(self, count: int, double: bool = False) -> None:
        self.vector = ir.VectorType(ir.DoubleType() if double else ir.FloatType(), count)
        super().__init__(name=f"Lanes({count}, {double})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(manager, kind, kind.vector)


_EIGHT, _FOUR, _SUMS = Lanes(8), Lanes(4), Lanes(8, double=True)


def _order(*lanes: int) -> ir.Constant:
    return ir.Constant(ir.VectorType(_INDEX, len(lanes)), list(lanes))


def _spread(builder: Any, value: Any, vector: ir.VectorType) -> Any:
    single = builder.insert_element(ir.Constant(vector, ir.Undefined), value, _INDEX(0))
    return builder.shuffle_vector(single, single, _order(*[0] * vector.count))


def _pure(build: Callable[..., Any]) -> Callable[..., Any]:
    """Code generator of a function that reads and writes no memory."""
    return lambda context, builder, signature, arguments: build(builder, *arguments)


def _place(context: Any, builder: Any, signature: Any, arguments: Any, kind: Lanes) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    row = context.cast(builder, arguments[1], signature.args[1], types.intp)
    first = builder.gep(array.data, [builder.mul(row, row.type(kind.vector.count))])
    return builder.bitcast(first, kind.vector.as_pointer())


@intrinsic
def load8(_, array, row):
    """A row of an N x 8 array."""

    def code(context, builder, signature, arguments):
        return builder.load(_place(context, builder, signature, arguments, _EIGHT), align=4)

    return _EIGHT(array, row), code


@intrinsic
def load4(_, array, row):
    """A row of an N x 4 array."""

    def code(context, builder, signature, arguments):
        return builder.load(_place(context, builder, signature, arguments, _FOUR), align=4)

    return _FOUR(array, row), code


@intrinsic
def store(_, array, row, value):
    """Write a vector of 8, 4 or (float64) 8 lanes to the row of an array that wide."""

    def code(context, builder, signature, arguments):
        place = _place(context, builder, signature, arguments, value)
        builder.store(arguments[2], place, align=4)
        return context.get_dummy_value()

    return types.void(array, row, value), code


@intrinsic
def halves(_, foreground, background):
    """Eight lanes, the first number in F's four and the second in B's."""

    def build(builder, first, second):
        pair = builder.insert_element(ir.Constant(_EIGHT.vector, ir.Undefined), first, _INDEX(0))
        pair = builder.insert_element(pair, second, _INDEX(1))
        return builder.shuffle_vector(pair, pair, _order(0, 0, 0, 0, 1, 1, 1, 1))

    return _EIGHT(types.float32, types.float32), _pure(build)


@intrinsic
def mul(_, first, second):
    """First times second."""
    return first(first, first), _pure(lambda builder, a, b: builder.fmul(a, b))


@intrinsic
def add(_, first, second):
    """First plus second."""
    return first(first, first), _pure(lambda builder, a, b: builder.fadd(a, b))


@intrinsic
def sub(_, first, second):
    """First minus second."""
    return first(first, first), _pure(lambda builder, a, b: builder.fsub(a, b))


@intrinsic
def mul_add(_, first, second, third):
    """First times second plus third."""

    def build(builder, a, b, c):
        return builder.fadd(builder.fmul(a, b, _FUSED), c, _FUSED)

    return first(first, first, first), _pure(build)


@intrinsic
def scale(_, factor, value):
    """A number times a vector."""
    return value(types.float32, value), _pure(lambda builder, w, v: builder.fmul(_spread(builder, w, v.type), v))


@intrinsic
def scale_add(_, factor, value, total):
    """Factor (a number) times value plus total."""

    def build(builder, w, v, t):
        return builder.fadd(builder.fmul(_spread(builder, w, v.type), v, _FUSED), t, _FUSED)

    return value(types.float32, value, value), _pure(build)


@intrinsic
def swap(_, value):
    """Exchange F and B."""
    return value(value), _pure(lambda builder, v: builder.shuffle_vector(v, v, _order(4, 5, 6, 7, 0, 1, 2, 3)))


@intrinsic
def fold(_, value):
    """F + B in four lanes."""

    def build(builder, v):
        low, high = (builder.shuffle_vector(v, v, _order(k, k + 1, k + 2, k + 3)) for k in (0, 4))
        return builder.fadd(low, high)

    return _FOUR(_EIGHT), _pure(build)


@intrinsic
def widen(_, value):
    """Four lanes twice."""
    return _EIGHT(_FOUR), _pure(lambda builder, v: builder.shuffle_vector(v, v, _order(0, 1, 2, 3, 0, 1, 2, 3)))


@intrinsic
def peak(_, largest, value):
    """The larger of `largest` and the absolute value, lane by lane."""

    def build(builder, m, v):
        zero = ir.Constant(v.type, None)
        size = builder.select(builder.fcmp_ordered("<", v, zero), builder.fsub(zero, v), v)
        return builder.select(builder.fcmp_ordered("<", m, size), size, m)

    return value(value, value), _pure(build)


@intrinsic
def add_products(_, sums, first, second):
    """Add first times second to eight sums in float64."""

    def build(builder, s, a, b):
        return builder.fadd(s, builder.fpext(builder.fmul(a, b), _SUMS.vector))

    return _SUMS(_SUMS, _EIGHT, _EIGHT), _pure(build)


@intrinsic
def zeros8(_):
    """Eight zeros."""
    return _EIGHT(), _pure(lambda builder: ir.Constant(_EIGHT.vector, None))


@intrinsic
def zeros4(_):
    """Four zeros."""
    return _FOUR(), _pure(lambda builder: ir.Constant(_FOUR.vector, None))


@intrinsic
def zero_sums(_):
    """Eight zeros in double precision."""
    return _SUMS(), _pure(lambda builder: ir.Constant(_SUMS.vector, None))
