"""The best candidates of BM3D's search, sixteen lists side by side.

Sorting needs only minima and maxima, no branches: sixteen candidates are sorted by a network and merged into the sorted
list of the best. Most of the time none of the sixteen is better than the worst of the list, and nothing is done.
"""

from __future__ import annotations

from typing import Any

from rssn.kernels.simd import LANES, Vectors, vector_code


@vector_code
def merge16(v: Vectors, waiting: Any, start: Any, best: Any, place: Any) -> None:
    """Merge sixteen waiting candidates into the best sixteen, lane by lane."""
    _merge(v, waiting, start, best, place, 16)


@vector_code
def merge32(v: Vectors, waiting: Any, start: Any, best: Any, place: Any) -> None:
    """Merge sixteen waiting candidates into the best thirty-two, lane by lane."""
    _merge(v, waiting, start, best, place, 32)


def _merge(v: Vectors, waiting: Any, start: Any, best: Any, place: Any, size: int) -> None:
    fresh = [v.load(waiting, v.offset(start, n * LANES), ints=True) for n in range(LANES)]
    lowest = fresh
    while len(lowest) > 1:
        lowest = [v.smaller(lowest[n], lowest[n + 1]) for n in range(0, len(lowest), 2)]
    worst = v.load(best, v.offset(place, (size - 1) * LANES), ints=True)
    with v.builder.if_then(v.any_below(lowest[0], worst)):
        for low, high in _sorting_network(LANES):
            _exchange(v, fresh, low, high)
        held = [v.load(best, v.offset(place, n * LANES), ints=True) for n in range(size)]
        for n in range(LANES):  # the lower half of held, followed by fresh backwards: a bitonic sequence
            held[size - 1 - n] = v.smaller(held[size - 1 - n], fresh[n])
        width = size // 2
        while width:
            for n in range(size):
                if not n & width:
                    _exchange(v, held, n, n + width)
            width //= 2
        for n in range(size):
            v.store(held[n], best, v.offset(place, n * LANES))


def _exchange(v: Vectors, values: list[Any], low: int, high: int) -> None:
    values[low], values[high] = v.smaller(values[low], values[high]), v.larger(values[low], values[high])


def _sorting_network(size: int) -> list[tuple[int, int]]:
    """Batcher's merge exchange: pairs to compare, in order."""
    pairs = []
    p = 1
    while p < size:
        k = p
        while k >= 1:
            for j in range(k % p, size - k, 2 * k):
                low = [i for i in range(j, j + min(k, size - j - k)) if i // (2 * p) == (i + k) // (2 * p)]
                pairs += [(i, i + k) for i in low]
            k //= 2
        p *= 2
    return pairs
