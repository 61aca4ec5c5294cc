"""LLVM programs of `rssn.kernels.simd` as functions that become a part of the compiled code that calls them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from llvmlite import ir
from numba.core import types
from numba.core.errors import TypingError
from numba.core.extending import intrinsic
from numba.core.types.containers import BaseNamedTuple, BaseTuple

from rssn.kernels.simd import LANES, Vectors

Float: TypeAlias = Any
Int: TypeAlias = Any
"""What vector code returns, by its annotation: a 32-bit float or a 64-bit int."""

_REGISTERS = (("+avx512bw", 16), ("+avx2", 8))
_RESULTS = {"None": types.void, "Float": types.float32, "Int": types.int64}


def vector_code(emit: Callable[..., Any]) -> Any:
    """Make a numba function of a Python function that writes its instructions, for vectors of 16 lanes.

    Args:
        emit: Called with a `Vectors` and one LLVM value per argument: the address of the first element for an array,
            which must be C-contiguous, or numba refuses to compile; a 64-bit int or float for a number; for a tuple a
            tuple, named where it was, whose numbers are as they came. What it returns is said by its annotation:
            `Float`, `Int` or None.
    """
    return _intrinsic(emit, lambda _: LANES)


def register_code(emit: Callable[..., Any]) -> Any:
    """`vector_code` for vectors as wide as a register: what works with many of them keeps more of them there."""
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

        if not all(map(_is_contiguous, arguments)):
            raise TypingError(f"{emit.__name__}: an array that is not C-contiguous")
        result = _RESULTS[returns]
        return result(*(_converted(kind) for kind in arguments)), generate

    names = list(inspect.signature(emit).parameters)[1:]
    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ["typingctx", *names]]
    definition.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    definition.__name__ = definition.__qualname__ = emit.__name__
    definition.__doc__ = emit.__doc__
    definition.__module__ = emit.__module__
    return intrinsic(definition)


def _is_contiguous(kind: Any) -> bool:
    if isinstance(kind, BaseTuple):
        return all(map(_is_contiguous, kind))
    return not isinstance(kind, types.Array) or kind.layout == "C"


def _plain(context: Any, builder: ir.IRBuilder, kind: Any, value: Any) -> Any:
    """Of an array the address of its first element, of a tuple these of its members, anything else as it is."""
    if isinstance(kind, BaseTuple):
        parts = [_plain(context, builder, each, builder.extract_value(value, n)) for n, each in enumerate(kind)]
        return kind.instance_class(*parts) if isinstance(kind, BaseNamedTuple) else parts
    if not isinstance(kind, types.Array):
        return value
    return builder.extract_value(value, context.data_model_manager[kind].get_field_position("data"))


def _converted(kind: Any) -> Any:
    if isinstance(kind, types.Integer):
        return types.int64
    return types.float64 if isinstance(kind, types.Float) else kind
