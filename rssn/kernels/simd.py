"""Vectors inside numba: short LLVM programs, written in Python, that numba inlines.

numba's own loops leave it to LLVM to find vectors, and in code such as a search over blocks it finds few. A function
marked with `intrinsics.vector_code` says which vector instruction stands where. LLVM maps the lanes onto what the
processor has: sixteen floats are one register on AVX-512, two on AVX2, four on SSE or Arm; the same code runs
everywhere. Loops are written so, too: numba takes many times as long to compile a line of its own.

Nothing here checks bounds. Whoever calls vector code sizes its buffers first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils

LANES = 16
"""Lanes of a vector where nothing else is said."""
BYTE, INT, FLOAT, DOUBLE = ir.IntType(8), ir.IntType(32), ir.FloatType(), ir.DoubleType()
_SHORT, _LONG = ir.IntType(16), ir.IntType(64)
_LINE = 64  # bytes of a cache's line
_ROUNDER = 1.5 * 2**23  # added to a float, it leaves the nearest whole number in the last bits
_ROUNDER_BITS = 0x4B400000


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


@dataclass
class Loop:
    """The inside of a loop: the number of the round, and a value that each round takes from the one before."""

    index: Any
    value: Any


class Vectors:
    """Writes LLVM instructions on vectors of `lanes` lanes and 32-bit floats, unless told otherwise."""

    def __init__(self, builder: ir.IRBuilder, lanes: int = LANES) -> None:
        self.builder = builder
        self.lanes = lanes

    def load(self, array: Any, index: Any, *, lanes: int = 0, of: ir.Type = FLOAT, aligned: bool = True) -> Any:
        """So many elements of an array from `index` on; an aligned load needs an index divisible by them."""
        kind = ir.VectorType(of, lanes or self.lanes)
        return self.builder.load(self._at(array, index, kind), align=_alignment(kind, aligned))

    def load_short(self, array: Any, index: Any) -> Any:
        """16-bit ints, as 32-bit ints; the index is divisible by the lanes."""
        kind = ir.VectorType(_SHORT, self.lanes)
        found = self.builder.load(self._at(array, index, kind), align=_alignment(kind, aligned=True))
        return self.builder.sext(found, ir.VectorType(INT, self.lanes))

    def store_short(self, value: Any, array: Any, index: Any) -> None:
        """Floats of an absolute value below 32767, rounded to 16-bit ints; the index is divisible by the lanes."""
        lifted = self.as_ints(self.add(value, self.constant(_ROUNDER)))
        whole = self.builder.sub(lifted, self.whole(_ROUNDER_BITS))
        short = self.builder.trunc(whole, ir.VectorType(_SHORT, self.lanes))
        self.builder.store(short, self._at(array, index, short.type), align=_alignment(short.type, aligned=True))

    def load_pairs(self, array: Any, index: Any) -> Any:
        """Pairs of neighbouring 16-bit ints, one for each lane; the index is divisible by twice the lanes."""
        kind = ir.VectorType(_SHORT, 2 * self.lanes)
        return self.builder.load(self._at(array, index, kind), align=_alignment(kind, aligned=True))

    def interleave(self, array: Any, first: Any, second: Any, target: Any, start: Any) -> None:
        """Make pairs of 16-bit ints: as many as there are lanes, from `first` and from `second` on."""
        kind = ir.VectorType(_SHORT, self.lanes)
        one, other = (self.builder.load(self._at(array, place, kind), align=2) for place in (first, second))
        both = self.shuffle(one, other, [n for lane in range(self.lanes) for n in (lane, lane + self.lanes)])
        self.builder.store(both, self._at(target, start, both.type), align=_alignment(both.type, aligned=True))

    def sum_of_squares(self, pairs: Any) -> Any:
        """The sum of the squares of each pair of 16-bit ints, as 32-bit ints."""
        wide = self.builder.sext(pairs, ir.VectorType(INT, pairs.type.count))
        squares = self.builder.mul(wide, wide)
        halves = (self.shuffle(squares, squares, range(side, pairs.type.count, 2)) for side in range(2))
        return self.builder.add(*halves)

    def to_float(self, value: Any) -> Any:
        """Ints as floats of the same value."""
        return self.builder.sitofp(value, ir.VectorType(FLOAT, value.type.count))

    def store(self, value: Any, array: Any, index: Any, *, aligned: bool = True) -> None:
        """The counterpart of `load`."""
        self.builder.store(value, self._at(array, index, value.type), align=_alignment(value.type, aligned))

    def at(self, array: Any, index: Any) -> Any:
        """The array from an element on."""
        return self.builder.gep(array, [index])

    def load_scalar(self, array: Any, index: Any) -> Any:
        """One element of an array, of the array's type."""
        return self.builder.load(self.builder.gep(array, [self.index(index) if isinstance(index, int) else index]))

    def load_index(self, array: Any, index: Any) -> Any:
        """One element of an array of ints that are never negative, as a 64-bit int."""
        found = self.load_scalar(array, index)
        return found if found.type.width == 64 else self.builder.zext(found, _LONG)

    def store_index(self, value: Any, array: Any, index: Any) -> None:
        """The counterpart of `load_index`; the value fits into the array's type."""
        target = self.at(array, index)
        kind = target.type.pointee
        self.builder.store(value if kind.width == 64 else self.builder.trunc(value, kind), target)

    def prefetch(self, array: Any, index: Any) -> None:
        """Ask for the cache line of an element; never faults."""
        kind = ir.FunctionType(ir.VoidType(), [ir.PointerType(BYTE), INT, INT, INT])
        function = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0")
        pointer = self.builder.bitcast(self.builder.gep(array, [index]), ir.PointerType(BYTE))
        self.builder.call(function, [pointer, *(ir.Constant(INT, n) for n in (0, 3, 1))])

    def splat(self, scalar: Any, lanes: int = 0) -> Any:
        """A scalar in every lane."""
        kind = ir.VectorType(scalar.type, lanes or self.lanes)
        first = self.builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(INT, 0))
        return self.shuffle(first, first, [0] * kind.count)

    def constant(self, value: float, kind: ir.VectorType | None = None) -> Any:
        """A float in every lane."""
        kind = kind or ir.VectorType(FLOAT, self.lanes)
        return ir.Constant(kind, [float(value)] * kind.count)

    def first(self, value: float) -> Any:
        """A float in the first lane, zero in the others."""
        return ir.Constant(ir.VectorType(FLOAT, self.lanes), [float(value)] + [0.0] * (self.lanes - 1))

    def whole(self, value: int) -> Any:
        """A 32-bit int in every lane."""
        return ir.Constant(ir.VectorType(INT, self.lanes), [value] * self.lanes)

    def shuffle(self, a: Any, b: Any, lanes: Sequence[int]) -> Any:
        """Lanes chosen from `a` and `b`, numbered through: of 16 lanes each, 0 to 15 and 16 to 31."""
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(INT, len(lanes)), list(lanes)))

    def joined(self, parts: Sequence[Any]) -> Any:
        """One or two vectors as one."""
        return parts[0] if len(parts) == 1 else self.shuffle(parts[0], parts[1], range(2 * parts[0].type.count))

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """A * b + c of 32-bit floats, rounded once wherever the processor can."""
        return self._call("llvm.fmuladd", a, b, c)

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
        """|a| of 32-bit floats."""
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
        width = value.type.count // 2
        while width:
            lower = self.shuffle(value, value, [lane ^ width for lane in range(value.type.count)])
            value = self.add(value, lower)
            width //= 2
        return self.builder.extract_element(value, ir.Constant(INT, 0))

    @contextmanager
    def loop(self, begin: Any, end: Any, value: Any = None, *, backwards: bool = False) -> Iterator[Loop]:
        """What is written inside runs for begin to end - 1; a `value` assigned there is the next round's, and the last.

        Both ends are 64-bit ints.
        """
        builder, before = self.builder, self.builder.block
        inside, after = (builder.append_basic_block(name) for name in ("loop", "after"))
        builder.cbranch(builder.icmp_signed("<", begin, end), inside, after)
        builder.position_at_end(inside)
        number = builder.phi(begin.type)
        held: Any = None if value is None else builder.phi(value.type)
        index = builder.sub(builder.add(begin, end), builder.add(number, self.index(1))) if backwards else number
        loop = Loop(index, held)
        yield loop
        following, last = builder.add(number, self.index(1), flags=("nsw",)), builder.block
        builder.cbranch(builder.icmp_signed("<", following, end), inside, after)
        number.add_incoming(begin, before)
        number.add_incoming(following, last)
        builder.position_at_end(after)
        if value is not None:
            held.add_incoming(value, before)
            held.add_incoming(loop.value, last)
            loop.value = self._joining((value, before), (loop.value, last))

    def where(self, condition: Any, made: Callable[[], Any], otherwise: Any) -> Any:
        """The value that is made if a bit is set, which takes no time if it is not, or another one."""
        before = self.builder.block
        with self.builder.if_then(condition):
            value, inside = made(), self.builder.block
        return self._joining((value, inside), (otherwise, before))

    def _joining(self, *ways: tuple[Any, Any]) -> Any:
        joined = self.builder.phi(ways[0][0].type)
        for value, block in ways:
            joined.add_incoming(value, block)
        return joined

    @staticmethod
    def index(number: int) -> Any:
        """A constant index."""
        return ir.Constant(_LONG, number)

    def offset(self, index: Any, more: int) -> Any:
        """An index plus a constant."""
        return self.builder.add(index, self.index(more)) if more else index

    def as_ints(self, value: Any) -> Any:
        """The bits of floats."""
        return self.builder.bitcast(value, ir.VectorType(INT, value.type.count))

    def _call(self, name: str, *arguments: Any) -> Any:
        kind = arguments[0].type
        signature = ir.FunctionType(kind, [kind] * len(arguments))
        lanes = f"v{kind.count}" if isinstance(kind, ir.VectorType) else ""
        function = cgutils.get_or_insert_function(self.builder.module, signature, f"{name}.{lanes}f32")
        return self.builder.call(function, arguments)

    def _at(self, array: Any, index: Any, kind: ir.Type) -> Any:
        return self.builder.bitcast(
            self.builder.gep(array, [self.index(index) if isinstance(index, int) else index]), kind.as_pointer()
        )


def _alignment(kind: ir.VectorType, aligned: bool) -> int:
    size = kind.element.width // 8 if isinstance(kind.element, ir.IntType) else 4
    return size * kind.count if aligned else size
