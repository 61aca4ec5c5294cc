from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from rssn.kernels.simd import Eight, Same, Vectors, register_code_for, vector_code


@register_code_for(2, 4)
def _power(v: Vectors, exponent: int, base: Any, array: Any) -> None:
    """A power of a float, written out for each exponent, into four elements of an array."""
    vector = power = v.splat(base, 4)
    for _ in range(exponent - 1):
        power = v.multiply(power, vector)
    v.store(power, array, 0, aligned=False)


@vector_code
def _eight(v: Vectors, array: Any, row: Any) -> Eight:
    return v.load(array, v.builder.mul(row, v.index(8)), lanes=8, aligned=False)


@vector_code
def _multiply_add(v: Vectors, factor: Any, value: Any, total: Any) -> Same:
    return v.multiply_add(v.splat(factor, total.type.count), value, total)


@vector_code
def _keep(v: Vectors, array: Any, value: Any) -> None:
    v.store(value, array, 8, aligned=False)


def test_code_has_a_version_for_each_value_and_none_for_others() -> None:
    @njit
    def power(exponent: int, base: float) -> float:
        array = np.zeros(4, np.float32)
        _power(exponent, base, array)
        return float(array[3])

    assert [power(n, 3.0) for n in (1, 2, 3, 4)] == [0.0, 9.0, 0.0, 81.0]


def test_compiled_code_keeps_vectors_in_variables() -> None:
    @njit
    def run(array: Any, factor: float) -> None:
        total = _eight(array, 0)
        for row in range(1, len(array)):
            total = _multiply_add(factor, _eight(array, row), total)
        _keep(array, total)

    array = np.arange(40, dtype=np.float32).reshape(5, 8)
    expected = array[0] + 0.5 * array[1:].sum(axis=0)
    run(array, 0.5)
    assert np.array_equal(array[1], expected)
    assert array[2:].ravel().tolist() == list(range(16, 40))
