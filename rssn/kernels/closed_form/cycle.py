"""A multigrid cycle of the closed form over its coarse levels, three channels of t = F - B at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from rssn.kernels.closed_form.levels import FEW_NODES
from rssn.kernels.closed_form.nodes import add, load4, scale, scale_add, store, subtract, zeros4
from rssn.kernels.closed_form.team import meet, own_strips
from rssn.kernels.compiling import compiled, inlined

_SWEEPS = 4  # more over the coarsest level
_SHRINK = 2.5  # a level is visited twice where the one above has more than so many times its nodes
_OVER = 1.3  # a coarse correction is enlarged so much


@inlined
def cycle(levels: Any, e: Any, r: Any, before: Any, kept: Any, team: Any) -> Any:
    """Solve A e = r approximately on the first coarse level; lower levels of `r`, `before` and `kept` are scratch.

    A W-cycle: a level is visited twice wherever it has clearly fewer nodes than the one above. It is written as a loop
    because numba cannot cache a function that calls itself. Within a strip a sweep is Gauss-Seidel, forwards on the way
    down and backwards on the way up; from other strips it takes values of before the sweep, which `before` holds.
    """
    last = len(levels.bounds) - 1
    again = np.zeros(last + 1, np.bool_)
    depth = 0
    while True:
        while depth < last:
            _descend(levels, depth, e, r, team)
            depth += 1
        _solve_coarsest(levels, e, r, team)
        while depth > 0:
            low, high = _own(levels, depth, depth, team)
            if _is_twice(levels.bounds, depth) and not again[depth]:
                again[depth] = True
                _subtract(levels.edges, low, high, e, r)
                for i in range(low, high):  # numba takes seconds to compile a slice that is assigned a slice
                    store(kept, i, load4(e, i))
                _meet_at(levels, depth, team)
                break
            if again[depth]:
                again[depth] = False
                for i in range(low, high):
                    store(e, i, add(load4(e, i), load4(kept, i)))
            depth -= 1
            _ascend(levels, depth, e, r, before, team)
        if depth == 0:
            return


@inlined
def _is_twice(bounds: Any, depth: int) -> Any:
    return _SHRINK * (bounds[depth, -1] - bounds[depth, 0]) < bounds[depth, 0] - bounds[depth - 1, 0]


@inlined
def _is_shared(levels: Any, depth: int) -> Any:
    """Whether each thread works on strips of its own; otherwise the first does all, and the others wait."""
    return depth + 1 < len(levels.bounds) and levels.bounds[depth, -1] - levels.bounds[depth, 0] >= FEW_NODES


@compiled
def _own(levels: Any, depth: int, level: int, team: Any) -> Any:
    """The nodes of a level that this thread works on while the cycle is at a depth."""
    begin, end = own_strips(team, levels.bounds.shape[1] - 1)
    if not _is_shared(levels, depth):
        begin, end = 0, 0 if team.me > 0 else levels.bounds.shape[1] - 1
    return levels.bounds[level, begin], levels.bounds[level, end]


@compiled
def _meet_at(levels: Any, depth: int, team: Any) -> None:
    if _is_shared(levels, depth):
        meet(team)


@inlined
def _descend(levels: Any, depth: Any, e: Any, r: Any, team: Any) -> Any:
    low, high = _own(levels, depth, depth + 1, team)
    for i in range(low, high):
        store(r, i, zeros4())
    low, high = _own(levels, depth, depth, team)
    _down(levels.edges, low, high, e, r)
    _meet_at(levels, depth, team)
    _restrict(levels, low, high, e, r)
    _meet_at(levels, depth, team)


@inlined
def _ascend(levels: Any, depth: Any, e: Any, r: Any, before: Any, team: Any) -> Any:
    _meet_at(levels, depth, team)
    low, high = _own(levels, depth, depth, team)
    for i in range(low, high):
        value = scale_add(_OVER, load4(e, levels.parent[i]), load4(e, i))
        store(e, i, value)
        if levels.edges.outer[i] < levels.edges.first[i + 1]:
            store(before, i, value)
    _meet_at(levels, depth, team)
    _up(levels.edges, low, high, e, before, r)
    _meet_at(levels, depth, team)


@inlined
def _solve_coarsest(levels: Any, e: Any, r: Any, team: Any) -> Any:
    low, high = _own(levels, len(levels.bounds) - 1, len(levels.bounds) - 1, team)
    for i in range(low, high):
        store(e, i, zeros4())
    for _ in range(1 + _SWEEPS):
        for i in range(low, high):
            _relax(levels.edges, i, e, r)
        for i in range(high - 1, low - 1, -1):
            _relax(levels.edges, i, e, r)


@inlined
def _relax(edges: Any, i: int, e: Any, r: Any) -> Any:
    total = _gather(edges, edges.first[i], edges.first[i + 1], e, load4(r, i))
    store(e, i, scale(edges.inverse[i], total))


@inlined
def _gather(edges: Any, begin: Any, end: Any, e: Any, total: Any) -> Any:
    """Add the neighbours along edges begin to end - 1, times their coupling."""
    weight, other = edges.weight, edges.other
    for k in range(begin, end):
        total = scale_add(weight[k], load4(e, other[k]), total)
    return total


@inlined
def _down(edges: Any, low: Any, high: Any, e: Any, r: Any) -> Any:
    """Gauss-Seidel forwards from zero."""
    first, split, inverse = edges.first, edges.split, edges.inverse
    for i in range(low, high):
        total = _gather(edges, first[i], split[i], e, load4(r, i))
        store(e, i, scale(inverse[i], total))


@inlined
def _restrict(levels: Any, low: Any, high: Any, e: Any, r: Any) -> Any:
    """Add what is left of the residual after `_down` to the parents: edges that it did not follow remain."""
    edges, parents = levels.edges, levels.parent
    first, split = edges.first, edges.split
    for i in range(low, high):
        parent = parents[i]
        store(r, parent, _gather(edges, split[i], first[i + 1], e, load4(r, parent)))


@inlined
def _up(edges: Any, low: Any, high: Any, e: Any, before: Any, r: Any) -> Any:
    """Gauss-Seidel backwards."""
    first, outer, inverse = edges.first, edges.outer, edges.inverse
    for i in range(high - 1, low - 1, -1):
        total = _gather(edges, first[i], outer[i], e, load4(r, i))
        total = _gather(edges, outer[i], first[i + 1], before, total)
        store(e, i, scale(inverse[i], total))


@inlined
def _subtract(edges: Any, low: Any, high: Any, e: Any, r: Any) -> Any:
    """Turn the right side r into the residual r - A e."""
    first, inverse = edges.first, edges.inverse
    for i in range(low, high):
        total = _gather(edges, first[i], first[i + 1], e, load4(r, i))
        store(r, i, subtract(total, scale(np.float32(1.0) / inverse[i], load4(e, i))))
