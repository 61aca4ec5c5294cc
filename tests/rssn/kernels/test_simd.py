from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from llvmlite import ir
from numba import njit
from numba.core.errors import TypingError

from rssn.kernels.intrinsics import Float, Int, vector_code
from rssn.kernels.simd import FLOAT, Vectors


class _Rows(NamedTuple):
    values: Any  # N x 8 float32
    count: int
    names: tuple[Any, Any]  # arrays of whole numbers of different sizes


@vector_code
def _total(v: Vectors, rows: Any, begin: Any, backwards: Any) -> Float:
    """Halves the total and adds a row, from `begin` on, there or back."""

    def total(backwards: bool) -> Any:
        start = v.constant(0.0, ir.VectorType(FLOAT, 8))
        with v.loop(begin, rows.count, start, backwards=backwards) as loop:
            row = v.load(rows.values, v.builder.mul(loop.index, v.index(8)), lanes=8, aligned=False)
            loop.value = v.multiply_add(loop.value, v.constant(0.5, row.type), row)
        return v.total(loop.value)

    is_back = v.builder.icmp_signed("!=", backwards, v.index(0))
    return v.where(is_back, lambda: total(True), total(False))


@vector_code
def _move(v: Vectors, rows: Any, place: Any) -> Int:
    """Copies a number from one array of names into the other; returns it."""
    found = v.load_index(rows.names[0], place)
    v.store_index(found, rows.names[1], place)
    return found


@njit
def _run(rows: Any, begin: int, backwards: bool) -> float:
    return float(_total(rows, begin, int(backwards)))


@njit
def _moved(rows: Any, place: int) -> int:
    return int(_move(rows, place))


def _rows(count: int) -> _Rows:
    values = np.random.default_rng(0).integers(0, 9, (5, 8)).astype(np.float32)
    return _Rows(values, count, (np.array([7, 2**32 - 1], np.uint32), np.zeros(2, np.int64)))


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(("begin", "end"), [(0, 5), (1, 4), (3, 4), (2, 2), (4, 1)])
def test_a_loop_hands_its_value_on(begin: int, end: int, backwards: bool) -> None:
    rows, expected = _rows(end), np.zeros(8)
    for row in rows.values[begin:end][:: -1 if backwards else 1]:
        expected = expected / 2 + row
    assert _run(rows, begin, backwards) == expected.sum()


def test_an_array_that_is_not_contiguous_is_refused() -> None:
    rows = _rows(5)
    with pytest.raises(TypingError, match="_total: an array that is not C-contiguous"):
        _run(rows._replace(values=np.zeros((5, 16), np.float32)[:, ::2]), 0, False)


def test_whole_numbers_keep_their_value_in_arrays_of_any_width() -> None:
    rows = _rows(0)
    assert [_moved(rows, place) for place in (0, 1)] == [7, 2**32 - 1]
    assert rows.names[1].tolist() == [7, 2**32 - 1]
