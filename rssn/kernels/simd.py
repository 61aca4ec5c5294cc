"""Vectors inside numba: short LLVM programs, written in Python, that numba inlines.

numba's own loops leave it to LLVM to find vectors, and in code such as a search over blocks it finds few. A function
marked with `vector_code` says which vector instruction stands where. LLVM maps the lanes onto what the processor has:
sixteen floats are one register on AVX-512, two on AVX2, four on SSE or Arm; the same code runs everywhere. Long kernels
do all their work in one such function; compiled loops may also keep a vector in a variable and pass it on.

Nothing here checks bounds. Whoever calls vector code sizes its buffers first.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.extending import intrinsic, models, register_model

LANES = 16
"""Lanes of a vector where nothing else is said."""
_I16, _I32, _F32 = ir.IntType(16), ir.IntType(32), ir.FloatType()
_REGISTERS = (("+avx512bw", 16), ("+avx2", 8))
_LINE = 64  # bytes of a cache's line
_ROUNDER = 1.5 * 2**23  # added to a float, it leaves the nearest whole number in the last bits
_ROUNDER_BITS = 0x4B400000


Float: TypeAlias = Any
Int: TypeAlias = Any
Four: TypeAlias = Any
Eight: TypeAlias = Any
EightDoubles: TypeAlias = Any
Same: TypeAlias = Any
"""What vector code returns, by its annotation: a float, an int, vectors, or one like its last argument."""


def aligned(size: int, dtype: Any = np.float32) -> Any:
    """A zeroed flat array that starts at a multiple of 64 bytes and has room for one vector more than its size."""
    return aligned_together((size, dtype))[0]


def aligned_together(*wanted: tuple[int, Any]) -> list[Any]:
    """`aligned` arrays one after the other: 4 MB or more lie in pages of 2 MB, where Linux has them and numpy asks."""
    sizes = [-(-(size + LANES) * np.dtype(dtype).itemsize // _LINE) * _LINE for size, dtype in wanted]
    raw = np.zeros(sum(sizes) + _LINE, dtype=np.uint8)
    start = -raw.ctypes.data % _LINE
    found = []
    for each, (size, dtype) in zip(sizes, wanted, strict=True):
        found.append(raw[start : start + (size + LANES) * np.dtype(dtype).itemsize].view(dtype))
        start += each
    return found


class Vectors:
    """Writes LLVM instructions on vectors of `lanes` lanes unless told otherwise; values are 32-bit floats or ints."""

    def __init__(self, builder: ir.IRBuilder, lanes: int = LANES) -> None:
        self.builder = builder
        self.lanes = lanes

    def load(self, array: Any, index: Any, *, lanes: int = 0, ints: bool = False, aligned: bool = True) -> Any:
        """So many elements of an array from `index` on; an aligned load needs an index divisible by them."""
        kind = ir.VectorType(_I32 if ints else _F32, lanes or self.lanes)
        return self.builder.load(self._at(array, index, kind), align=_alignment(kind, aligned))

    def load_short(self, array: Any, index: Any) -> Any:
        """16-bit ints, as 32-bit ints; the index is divisible by the lanes."""
        kind = ir.VectorType(_I16, self.lanes)
        found = self.builder.load(self._at(array, index, kind), align=_alignment(kind, aligned=True))
        return self.builder.sext(found, ir.VectorType(_I32, self.lanes))

    def store_short(self, value: Any, array: Any, index: Any) -> None:
        """Floats of an absolute value below 32767, rounded to 16-bit ints; the index is divisible by the lanes."""
        lifted = self.as_ints(self.add(value, self.constant(_ROUNDER)))
        whole = self.builder.sub(lifted, self.whole(_ROUNDER_BITS))
        short = self.builder.trunc(whole, ir.VectorType(_I16, self.lanes))
        self.builder.store(short, self._at(array, index, short.type), align=_alignment(short.type, aligned=True))

    def load_pairs(self, array: Any, index: Any) -> Any:
        """Pairs of neighbouring 16-bit ints, one for each lane; the index is divisible by twice the lanes."""
        kind = ir.VectorType(_I16, 2 * self.lanes)
        return self.builder.load(self._at(array, index, kind), align=_alignment(kind, aligned=True))

    def interleave(self, array: Any, first: Any, second: Any, target: Any, start: Any) -> None:
        """Make pairs of 16-bit ints: as many as there are lanes, from `first` and from `second` on."""
        kind = ir.VectorType(_I16, self.lanes)
        one, other = (self.builder.load(self._at(array, place, kind), align=2) for place in (first, second))
        both = self.shuffle(one, other, [n for lane in range(self.lanes) for n in (lane, lane + self.lanes)])
        self.builder.store(both, self._at(target, start, both.type), align=_alignment(both.type, aligned=True))

    def sum_of_squares(self, pairs: Any) -> Any:
        """The sum of the squares of each pair of 16-bit ints, as 32-bit ints."""
        wide = self.builder.sext(pairs, ir.VectorType(_I32, pairs.type.count))
        squares = self.builder.mul(wide, wide)
        halves = (self.shuffle(squares, squares, range(side, pairs.type.count, 2)) for side in range(2))
        return self.builder.add(*halves)

    def to_float(self, value: Any) -> Any:
        """Ints as floats of the same value."""
        return self.builder.sitofp(value, ir.VectorType(_F32, value.type.count))

    def store(self, value: Any, array: Any, index: Any, *, aligned: bool = True) -> None:
        """The counterpart of `load`."""
        self.builder.store(value, self._at(array, index, value.type), align=_alignment(value.type, aligned))

    def at(self, array: Any, index: Any) -> Any:
        """The array from an element on."""
        return self.builder.gep(array, [index])

    def load_scalar(self, array: Any, index: Any) -> Any:
        """One element of an array, of the array's type."""
        return self.builder.load(self.builder.gep(array, [self.index(index) if isinstance(index, int) else index]))

    def prefetch(self, array: Any, index: Any) -> None:
        """Ask for the cache line of an element; never faults."""
        kind = ir.FunctionType(ir.VoidType(), [ir.PointerType(ir.IntType(8)), _I32, _I32, _I32])
        function = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0")
        pointer = self.builder.bitcast(self.builder.gep(array, [index]), ir.PointerType(ir.IntType(8)))
        self.builder.call(function, [pointer, *(ir.Constant(_I32, n) for n in (0, 3, 1))])

    def splat(self, scalar: Any, lanes: int = 0) -> Any:
        """A scalar in every lane."""
        kind = ir.VectorType(scalar.type, lanes or self.lanes)
        first = self.builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(_I32, 0))
        return self.shuffle(first, first, [0] * kind.count)

    def constant(self, value: float, kind: ir.VectorType | None = None) -> Any:
        """A float in every lane."""
        kind = kind or ir.VectorType(_F32, self.lanes)
        return ir.Constant(kind, [float(value)] * kind.count)

    def first(self, value: float) -> Any:
        """A float in the first lane, zero in the others."""
        return ir.Constant(ir.VectorType(_F32, self.lanes), [float(value)] + [0.0] * (self.lanes - 1))

    def whole(self, value: int) -> Any:
        """A 32-bit int in every lane."""
        return ir.Constant(ir.VectorType(_I32, self.lanes), [value] * self.lanes)

    def shuffle(self, a: Any, b: Any, lanes: Sequence[int]) -> Any:
        """Lanes chosen from `a` and `b`, numbered through: of 16 lanes each, 0 to 15 and 16 to 31."""
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, len(lanes)), list(lanes)))

    def joined(self, parts: Sequence[Any]) -> Any:
        """One or two vectors as one."""
        return parts[0] if len(parts) == 1 else self.shuffle(parts[0], parts[1], range(2 * parts[0].type.count))

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """A * b + c, rounded once wherever the processor can."""
        return self._call("llvm.fmuladd", a, b, c)

    def contracted(self, a: Any, b: Any, c: Any) -> Any:
        """A * b + c, rounded once where LLVM finds that faster."""
        return self.builder.fadd(self.builder.fmul(a, b, ("contract",)), c, ("contract",))

    def add(self, a: Any, b: Any) -> Any:
        """A + b."""
        return self.builder.fadd(a, b)

    def subtract(self, a: Any, b: Any) -> Any:
        """A - b."""
        return self.builder.fsub(a, b)

    def multiply(self, a: Any, b: Any) -> Any:
        """A * b."""
        return self.builder.fmul(a, b)

    def divide(self, a: Any, b: Any) -> Any:
        """A / b, correctly rounded."""
        return self.builder.fdiv(a, b)

    def absolute(self, a: Any) -> Any:
        """|a|."""
        return self._call("llvm.fabs", a)

    def smaller(self, a: Any, b: Any) -> Any:
        """The smaller int, lane by lane."""
        return self.builder.select(self.builder.icmp_signed("<", a, b), a, b)

    def larger(self, a: Any, b: Any) -> Any:
        """The larger int, lane by lane."""
        return self.builder.select(self.builder.icmp_signed("<", a, b), b, a)

    def any_below(self, a: Any, b: Any) -> Any:
        """Whether an int of `a` is below that of `b` in any lane: one bit."""
        mask = ir.IntType(a.type.count)
        bits = self.builder.bitcast(self.builder.icmp_signed("<", a, b), mask)
        return self.builder.icmp_unsigned("!=", bits, ir.Constant(mask, 0))

    def total(self, value: Any) -> Any:
        """The sum of all float lanes, pair by pair."""
        width = self.lanes // 2
        while width:
            lower = self.shuffle(value, value, [lane ^ width for lane in range(self.lanes)])
            value = self.add(value, lower)
            width //= 2
        return self.builder.extract_element(value, ir.Constant(_I32, 0))

    @staticmethod
    def index(number: int) -> Any:
        """A constant index."""
        return ir.Constant(ir.IntType(64), number)

    def offset(self, index: Any, more: int) -> Any:
        """An index plus a constant."""
        return self.builder.add(index, self.index(more)) if more else index

    def as_ints(self, value: Any) -> Any:
        """The bits of floats."""
        return self.builder.bitcast(value, ir.VectorType(_I32, value.type.count))

    def _call(self, name: str, *arguments: Any) -> Any:
        kind = arguments[0].type
        signature = ir.FunctionType(kind, [kind] * len(arguments))
        function = cgutils.get_or_insert_function(self.builder.module, signature, f"{name}.v{kind.count}f32")
        return self.builder.call(function, arguments)

    def _at(self, array: Any, index: Any, kind: ir.Type) -> Any:
        return self.builder.bitcast(
            self.builder.gep(array, [self.index(index) if isinstance(index, int) else index]), kind.as_pointer()
        )


def _alignment(kind: ir.VectorType, aligned: bool) -> int:
    size = kind.element.width // 8 if isinstance(kind.element, ir.IntType) else 4
    return size * kind.count if aligned else size


class Lanes(types.Type):
    """numba's type of a vector that compiled code keeps in a variable."""

    def __init__(self, element: ir.Type, count: int) -> None:
        self.vector = ir.VectorType(element, count)
        super().__init__(name=f"Lanes({self.vector})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(manager, kind, kind.vector)


_RESULTS = {
    "None": types.void,
    "Float": types.float32,
    "Int": types.int64,
    "Four": Lanes(_F32, 4),
    "Eight": Lanes(_F32, 8),
    "EightDoubles": Lanes(ir.DoubleType(), 8),
}


def vector_code(emit: Callable[..., Any]) -> Any:
    """Make a numba function of a Python function that writes its instructions, for vectors of 16 lanes.

    Args:
        emit: Called with a `Vectors` and one LLVM value per argument: the address of the first element for an array,
            the value itself for a vector, a 64-bit int or a 32-bit float (numbers are converted). What it returns is
            said by its annotation: `Float`, `Int`, `Four`, `Eight`, `EightDoubles`, `Same` or None.
    """
    return _intrinsic(emit, lambda _: LANES)


def register_code(emit: Callable[..., Any]) -> Any:
    """`vector_code` for vectors of `register_lanes()`: what works with many vectors keeps more of them there."""
    return _intrinsic(emit, _lanes_of_register)


def _lanes_of_register(features: str) -> int:
    return next((lanes for name, lanes in _REGISTERS if name in features.split(",")), 4)


def _intrinsic(emit: Callable[..., Any], lanes: Callable[[str], int]) -> Any:
    returns = inspect.signature(emit, eval_str=False).return_annotation

    def definition(typingctx: Any, *arguments: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[Any]) -> Any:
            plain = [_plain(context, builder, *each) for each in zip(signature.args, values, strict=True)]
            _, _, features = context.codegen().magic_tuple()
            found = emit(Vectors(builder, lanes(features)), *plain)
            return context.get_dummy_value() if result is types.void else found

        kinds = [_converted(kind) for kind in arguments]
        result = kinds[-1] if returns == "Same" else _RESULTS[returns]
        return result(*kinds), generate

    names = list(inspect.signature(emit).parameters)[1:]
    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ["typingctx", *names]]
    definition.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    definition.__name__ = definition.__qualname__ = emit.__name__
    definition.__doc__ = emit.__doc__
    definition.__module__ = emit.__module__
    return intrinsic(definition)


def register_code_for(*cases: int) -> Callable[[Callable[..., Any]], Any]:
    """`register_code` with a version for each of these values of the first argument; another value does nothing.

    Python code sees the value as a plain int.
    """

    def decorate(emit: Callable[..., Any]) -> Any:
        @wraps(emit)
        def choose(v: Vectors, number: Any, *arguments: Any) -> None:
            for case in cases:
                with v.builder.if_then(v.builder.icmp_signed("==", number, v.index(case))):
                    emit(v, case, *arguments)

        return register_code(choose)

    return decorate


@register_code
def register_lanes(v: Vectors) -> Int:
    """How many 32-bit lanes a register has: 16, 8 or 4."""
    return v.index(v.lanes)


def _plain(context: Any, builder: ir.IRBuilder, kind: Any, value: Any) -> Any:
    """Of an array the address of its first element, anything else as it is."""
    if not isinstance(kind, types.Array):
        return value
    return builder.extract_value(value, context.data_model_manager[kind].get_field_position("data"))


def _converted(kind: Any) -> Any:
    if isinstance(kind, types.Integer):
        return types.int64
    return types.float32 if isinstance(kind, types.Float) else kind
