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
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.core.extending import intrinsic, models, register_model

from rssn.errors import InputError, first_line

LANES = 16
"""Lanes of a vector where nothing else is said."""
_I32, _F32 = ir.IntType(32), ir.FloatType()
FLOATS = ir.VectorType(_F32, LANES)
INTS = ir.VectorType(_I32, LANES)
_ROUNDER = 1.5 * 2**23  # added to a float, it leaves the nearest whole number in the last bits
_ROUNDER_BITS = 0x4B400000


Float: TypeAlias = Any
Int: TypeAlias = Any
Four: TypeAlias = Any
Eight: TypeAlias = Any
EightDoubles: TypeAlias = Any
Same: TypeAlias = Any
"""What vector code returns, by its annotation: a float, an int, a vector of floats, or one like its last argument."""

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Compile a module's function, once for all processes of a machine; it runs without the interpreter's lock.

    Raises:
        InputError: If there is no folder in which compiled code can be kept.
    """
    try:
        return cast(_Function, njit(cache=True, nogil=True)(function))
    except RuntimeError as error:
        words = "compiled code can be kept nowhere; set NUMBA_CACHE_DIR to a folder that can be written"
        raise InputError(f"{words} ({first_line(error)})") from error


def aligned(size: int, dtype: Any = np.float32) -> Any:
    """A zeroed flat array that starts at a multiple of 64 bytes and has room for one vector more than its size."""
    item = np.dtype(dtype).itemsize
    raw = np.zeros((size + LANES) * item + 64, dtype=np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + (size + LANES) * item].view(dtype)


class Vectors:
    """Writes LLVM instructions on vectors, of 16 lanes unless told otherwise; values are 32-bit floats or ints."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.builder = builder

    def load(self, array: Any, index: Any, *, lanes: int = LANES, ints: bool = False, aligned: bool = True) -> Any:
        """So many elements of an array from `index` on; an aligned load needs an index divisible by them."""
        kind = ir.VectorType(_I32 if ints else _F32, lanes)
        return self.builder.load(self._at(array, index, kind), align=_alignment(kind, aligned))

    def load_short(self, array: Any, index: Any) -> Any:
        """Sixteen 16-bit ints, as 32-bit ints; the index is divisible by 16."""
        kind = ir.VectorType(ir.IntType(16), LANES)
        return self.builder.sext(self.builder.load(self._at(array, index, kind), align=2 * LANES), INTS)

    def store_short(self, value: Any, array: Any, index: Any) -> None:
        """Floats of an absolute value below 32767, rounded to 16-bit ints; the index is divisible by 16."""
        lifted = self.as_ints(self.add(value, self.constant(_ROUNDER)))
        whole = self.builder.sub(lifted, self.whole(_ROUNDER_BITS))
        short = self.builder.trunc(whole, ir.VectorType(ir.IntType(16), LANES))
        self.builder.store(short, self._at(array, index, short.type), align=2 * LANES)

    def to_float(self, value: Any) -> Any:
        """Ints as floats of the same value."""
        return self.builder.sitofp(value, FLOATS)

    def store(self, value: Any, array: Any, index: Any, *, aligned: bool = True) -> None:
        """The counterpart of `load`."""
        self.builder.store(value, self._at(array, index, value.type), align=_alignment(value.type, aligned))

    def load_scalar(self, array: Any, index: Any) -> Any:
        """One element of an array, of the array's type."""
        return self.builder.load(self.builder.gep(array, [self.index(index) if isinstance(index, int) else index]))

    def prefetch(self, array: Any, index: Any) -> None:
        """Ask for the cache line of an element; never faults."""
        kind = ir.FunctionType(ir.VoidType(), [ir.PointerType(ir.IntType(8)), _I32, _I32, _I32])
        function = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0")
        pointer = self.builder.bitcast(self.builder.gep(array, [index]), ir.PointerType(ir.IntType(8)))
        self.builder.call(function, [pointer, *(ir.Constant(_I32, n) for n in (0, 3, 1))])

    def splat(self, scalar: Any, lanes: int = LANES) -> Any:
        """A scalar in every lane."""
        kind = ir.VectorType(scalar.type, lanes)
        first = self.builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(_I32, 0))
        return self.shuffle(first, first, [0] * lanes)

    def constant(self, value: float, kind: ir.VectorType = FLOATS) -> Any:
        """A float in every lane."""
        return ir.Constant(kind, [float(value)] * kind.count)

    def first(self, value: float) -> Any:
        """A float in the first lane, zero in the others."""
        return ir.Constant(FLOATS, [float(value)] + [0.0] * (LANES - 1))

    def whole(self, value: int) -> Any:
        """A 32-bit int in every lane."""
        return ir.Constant(INTS, [value] * LANES)

    def shuffle(self, a: Any, b: Any, lanes: Sequence[int]) -> Any:
        """Lanes chosen from `a` and `b`, numbered through: of 16 lanes each, 0 to 15 and 16 to 31."""
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, len(lanes)), list(lanes)))

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

    def reciprocal(self, a: Any) -> Any:
        """1 / a for positive normal floats, within 2e-4: a guess from the exponent, and a step of the third order."""
        guess = self.as_floats(self.builder.sub(self.whole(0x7EF127EA), self.as_ints(a)))
        error = self.multiply_add(self.builder.fneg(a), guess, self.constant(1.0))
        return self.multiply_add(guess, self.multiply_add(error, error, error), guess)

    def times_power_of_two(self, a: Any, power: int) -> Any:
        """A * 2^power for positive normal floats, by their exponent."""
        return self.as_floats(self.builder.add(self.as_ints(a), self.whole(power << 23)))

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
        bits = self.builder.bitcast(self.builder.icmp_signed("<", a, b), ir.IntType(LANES))
        return self.builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(LANES), 0))

    def total(self, value: Any) -> Any:
        """The sum of all float lanes, pair by pair."""
        width = LANES // 2
        while width:
            lower = self.shuffle(value, value, [lane ^ width for lane in range(LANES)])
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
        return self.builder.bitcast(value, INTS)

    def as_floats(self, value: Any) -> Any:
        """Floats of these bits."""
        return self.builder.bitcast(value, FLOATS)

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
    return 4 * kind.count if aligned else 4


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
    """Make a numba function of a Python function that writes its instructions.

    Args:
        emit: Called with a `Vectors` and one LLVM value per argument: the address of the first element for an array,
            the value itself for a vector, a 64-bit int or a 32-bit float (numbers are converted). What it returns is
            said by its annotation: `Float`, `Int`, `Four`, `Eight`, `EightDoubles`, `Same` or None.
    """
    returns = inspect.signature(emit, eval_str=False).return_annotation

    def definition(typingctx: Any, *arguments: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[Any]) -> Any:
            plain = [
                context.make_array(kind)(context, builder, value=value).data if isinstance(kind, types.Array) else value
                for kind, value in zip(signature.args, values, strict=True)
            ]
            found = emit(Vectors(builder), *plain)
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


def vector_code_for(*cases: int) -> Callable[[Callable[..., Any]], Any]:
    """`vector_code` with a version for each of these values of the first argument; another value does nothing.

    Python code sees the value as a plain int. A version returns a float (0 for another value) or nothing.
    """

    def decorate(emit: Callable[..., Any]) -> Any:
        @wraps(emit)
        def choose(v: Vectors, number: Any, *arguments: Any) -> Any:
            found = ir.Constant(_F32, 0.0)
            for case in cases:
                before = v.builder.block
                with v.builder.if_then(v.builder.icmp_signed("==", number, v.index(case))):
                    made = emit(v, case, *arguments)
                    inside = v.builder.block
                if made is not None:
                    either = v.builder.phi(_F32)
                    either.add_incoming(found, before)
                    either.add_incoming(made, inside)
                    found = either
            return found

        return vector_code(choose)

    return decorate


def _converted(kind: Any) -> Any:
    if isinstance(kind, types.Integer):
        return types.int64
    return types.float32 if isinstance(kind, types.Float) else kind
