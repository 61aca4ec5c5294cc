"""Tiny networks as ONNX files, written by hand: one convolution, perhaps a sigmoid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt


def write_network(
    path: Path, weights: npt.NDArray[np.float32], bias: Sequence[float], *, side: int = 16, sigmoid: bool = True
) -> Path:
    """A network of one input, 1 x 3 x side x side: a convolution of `weights` (out x 3 x k x k, stride k)."""
    kernel = list(weights.shape[2:])
    attributes = b"".join(
        _text(5, _text(1, name) + b"".join(_number(8, value) for value in kernel) + _number(20, 7))
        for name in ("kernel_shape", "strides")
    )
    last = "logits" if sigmoid else "out"
    nodes = _text(1, _node("Conv", ["in", "w", "b"], last) + attributes)
    nodes += _text(1, _node("Sigmoid", ["logits"], "out")) if sigmoid else b""
    tensors = _text(5, _tensor("w", weights)) + _text(5, _tensor("b", np.array(bias, np.float32)))
    shapes = _text(11, _value("in", [1, 3, side, side]))
    shapes += _text(12, _value("out", [1, len(weights), *(side // k for k in kernel)]))
    graph = nodes + _text(2, "tiny") + tensors + shapes
    path.write_bytes(_number(1, 8) + _text(7, graph) + _text(8, _text(1, "") + _number(2, 13)))
    return path


def _node(kind: str, inputs: Sequence[str], output: str) -> bytes:
    return b"".join(_text(1, name) for name in inputs) + _text(2, output) + _text(4, kind)


def _tensor(name: str, values: npt.NDArray[np.float32]) -> bytes:
    dims = b"".join(_number(1, length) for length in values.shape)
    return dims + _number(2, 1) + _text(8, name) + _text(9, values.astype("<f4").tobytes())


def _value(name: str, shape: Sequence[int]) -> bytes:
    dims = b"".join(_text(1, _number(1, length)) for length in shape)
    return _text(1, name) + _text(2, _text(1, _number(1, 1) + _text(2, dims)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])
