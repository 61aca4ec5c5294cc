"""One multigrid cycle on the coarse levels of the closed form: three channels of t = F - B at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from rssn.kernels.closed_form.nodes import load4, scale, scale_add, store, subtract
from rssn.kernels.simd import compiled

_SWEEPS = 4
_SHRINK = 2.5
_OVER = 1.3


@compiled
def cycle(levels: Any, e: Any, r: Any, kept: Any) -> Any:
    """Solve A e = r approximately on the first coarse level; lower levels of `r` and `kept` are scratch.

    A W-cycle: a level is visited twice wherever it has clearly fewer nodes than the one above. It is written as a loop
    because numba cannot cache a function that calls itself.
    """
    start = levels.start
    again = np.zeros(len(start), np.bool_)
    depth = 0
    while True:
        while depth + 2 < len(start):
            _descend(levels, depth, e, r)
            depth += 1
        _solve_coarsest(levels, start[depth], start[depth + 1], e, r)
        while depth > 0:
            low, high = start[depth], start[depth + 1]
            if _SHRINK * (high - low) < low - start[depth - 1] and not again[depth]:
                again[depth] = True
                _subtract(levels, low, high, e, r)
                kept[low:high] = e[low:high]
                break
            if again[depth]:
                again[depth] = False
                e[low:high] += kept[low:high]
            depth -= 1
            _ascend(levels, depth, e, r)
        if depth == 0:
            return


@compiled
def _descend(levels: Any, depth: Any, e: Any, r: Any) -> Any:
    low, high = levels.start[depth], levels.start[depth + 1]
    r[high : levels.start[depth + 2]] = 0.0
    _down(levels, low, high, e, r)
    _restrict(levels, low, high, e, r)


@compiled
def _ascend(levels: Any, depth: Any, e: Any, r: Any) -> Any:
    low, high = levels.start[depth], levels.start[depth + 1]
    for i in range(low, high):
        store(e, i, scale_add(_OVER, load4(e, levels.parent[i]), load4(e, i)))
    _up(levels, low, high, e, r)


@compiled
def _solve_coarsest(levels: Any, low: Any, high: Any, e: Any, r: Any) -> Any:
    _down(levels, low, high, e, r)
    _up(levels, low, high, e, r)
    for _ in range(_SWEEPS):
        _relax(levels, low, high, e, r)
        _up(levels, low, high, e, r)


@compiled
def _gather(levels: Any, begin: Any, end: Any, e: Any, total: Any) -> Any:
    """Add the neighbours along edges begin to end - 1, times their coupling."""
    for k in range(begin, end):
        total = scale_add(levels.weight[k], load4(e, levels.other[k]), total)
    return total


@compiled
def _down(levels: Any, low: Any, high: Any, e: Any, r: Any) -> Any:
    """Gauss-Seidel forwards from zero."""
    for i in range(low, high):
        total = _gather(levels, levels.first[i], levels.split[i], e, load4(r, i))
        store(e, i, scale(levels.inverse[i], total))


@compiled
def _restrict(levels: Any, low: Any, high: Any, e: Any, r: Any) -> Any:
    """Add what is left of the residual after `_down` to the parents: only edges to higher nodes remain."""
    for i in range(low, high):
        parent = levels.parent[i]
        store(r, parent, _gather(levels, levels.split[i], levels.first[i + 1], e, load4(r, parent)))


@compiled
def _up(levels: Any, low: Any, high: Any, e: Any, r: Any) -> Any:
    """Gauss-Seidel backwards."""
    for i in range(high - 1, low - 1, -1):
        total = _gather(levels, levels.first[i], levels.first[i + 1], e, load4(r, i))
        store(e, i, scale(levels.inverse[i], total))


@compiled
def _relax(levels: Any, low: Any, high: Any, e: Any, r: Any) -> Any:
    """Gauss-Seidel forwards."""
    for i in range(low, high):
        total = _gather(levels, levels.first[i], levels.first[i + 1], e, load4(r, i))
        store(e, i, scale(levels.inverse[i], total))


@compiled
def _subtract(levels: Any, low: Any, high: Any, e: Any, r: Any) -> Any:
    """Turn the right side r into the residual r - A e."""
    for i in range(low, high):
        total = _gather(levels, levels.first[i], levels.first[i + 1], e, load4(r, i))
        store(r, i, subtract(total, scale(np.float32(1.0) / levels.inverse[i], load4(e, i))))
