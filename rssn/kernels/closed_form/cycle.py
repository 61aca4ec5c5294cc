"""A multigrid cycle of the closed form over its coarse levels, three channels of t = F - B at once.

A W-cycle: a level is visited twice wherever it has clearly fewer nodes than the one above. Which passes that takes over
which nodes is planned once for each thread. Within a strip a sweep is Gauss-Seidel, forwards on the way down and
backwards on the way up; from other strips it takes values of before the sweep.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from rssn.kernels.closed_form.levels import FEW_NODES, Bounds
from rssn.kernels.closed_form.nodes import clear, load4, scale, scale_add, store
from rssn.kernels.closed_form.team import Team, meet, own_strips
from rssn.kernels.compiling import inlined
from rssn.kernels.intrinsics import vector_code
from rssn.kernels.simd import FLOAT, Vectors

Plan = npt.NDArray[np.int64]
"""Passes in their order, K x 6: which, 1 where all threads meet in it and after it, the first node that this thread
works on and the one after its last, the same of the level below."""

_DOWN, _SOLVE, _KEEP, _ADD, _UP = range(5)
_SWEEPS = 5  # over the coarsest level
_SHRINK = 2.5  # a level is visited twice where the one above has more than so many times its nodes
_OVER = 1.3  # a coarse correction is enlarged so much


def plan_cycle(bounds: Bounds, team: Team) -> Plan:
    """What a thread does in a cycle over levels whose strips begin there."""
    return np.array([_pass(bounds, which, depth, team) for which, depth in _visit(bounds, 0)], np.int64)


def _visit(bounds: Bounds, depth: int) -> Iterator[tuple[int, int]]:
    """Passes and the depths of their levels, from one level down."""
    if depth == len(bounds) - 1:
        yield _SOLVE, depth
        return
    yield _DOWN, depth
    yield from _visit(bounds, depth + 1)
    if _SHRINK * (bounds[depth + 1, -1] - bounds[depth + 1, 0]) < bounds[depth + 1, 0] - bounds[depth, 0]:
        yield _KEEP, depth + 1
        yield from _visit(bounds, depth + 1)
        yield _ADD, depth + 1
    yield _UP, depth


def _pass(bounds: Bounds, which: int, depth: int, team: Team) -> tuple[int, ...]:
    """Where a level has too few nodes to be shared, the first thread does all, and the others wait.

    An `_UP` follows each `_ADD`, and begins with a meeting.
    """
    is_shared = depth + 1 < len(bounds) and bounds[depth, -1] - bounds[depth, 0] >= FEW_NODES
    strips = bounds.shape[1] - 1
    begin, end = own_strips(team, strips) if is_shared else (0, 0 if team.me > 0 else strips)
    below = bounds[min(depth + 1, len(bounds) - 1)]
    return which, is_shared and which != _ADD, bounds[depth, begin], bounds[depth, end], below[begin], below[end]


@inlined
def _meet_if(is_shared: Any, team: Any) -> Any:
    if is_shared:
        meet(team)


@inlined
def cycle(plan: Any, levels: Any, e: Any, r: Any, before: Any, kept: Any, team: Any) -> Any:
    """Solve A e = r approximately on the first coarse level; lower levels of `r`, `before` and `kept` are scratch."""
    for step in range(len(plan)):
        which, is_shared, low, high = plan[step, 0], plan[step, 1], plan[step, 2], plan[step, 3]
        if which == _DOWN:
            _down(levels, low, high, plan[step, 4], plan[step, 5], e, r)
            _meet_if(is_shared, team)
            _restrict(levels, low, high, e, r)
        elif which == _SOLVE:
            _solve(levels.edges, low, high, e, r)
        elif which == _KEEP:
            _subtract(levels.edges, low, high, e, r, kept)
        elif which == _ADD:
            _add(low, high, e, kept)
        else:
            _meet_if(is_shared, team)
            _correct(levels, low, high, e, before)
            _meet_if(is_shared, team)
            _up(levels.edges, low, high, e, before, r)
        _meet_if(is_shared, team)


@vector_code
def _add(v: Vectors, low: Any, high: Any, e: Any, kept: Any) -> None:
    with v.loop(low, high) as loop:
        store(v, e, loop.index, v.add(load4(v, e, loop.index), load4(v, kept, loop.index)))


def _start(v: Vectors, starts: Any, i: Any, after: int = 0) -> Any:
    """The first of some edges of a node, or of one after it."""
    return v.load_index(starts, v.offset(i, after))


def _gather(v: Vectors, edges: Any, begin: Any, end: Any, e: Any, total: Any) -> Any:
    """Add the neighbours along edges begin to end - 1, times their coupling."""
    with v.loop(begin, end, total) as loop:
        other = v.load_index(edges.other, loop.index)
        loop.value = scale_add(v, v.load_scalar(edges.weight, loop.index), load4(v, e, other), loop.value)
    return loop.value


def _relax(v: Vectors, edges: Any, i: Any, e: Any, total: Any) -> None:
    store(v, e, i, scale(v, v.load_scalar(edges.inverse, i), total))


@vector_code
def _solve(v: Vectors, edges: Any, low: Any, high: Any, e: Any, r: Any) -> None:
    """Gauss-Seidel forwards and backwards, several times from zero."""
    clear(v, low, high, e)
    with v.loop(v.index(0), v.index(_SWEEPS)):
        for backwards in (False, True):
            with v.loop(low, high, backwards=backwards) as loop:
                i = loop.index
                begin, end = (_start(v, edges.first, i, after) for after in (0, 1))
                _relax(v, edges, i, e, _gather(v, edges, begin, end, e, load4(v, r, i)))


@vector_code
def _down(v: Vectors, levels: Any, low: Any, high: Any, below: Any, end_below: Any, e: Any, r: Any) -> None:
    """Gauss-Seidel forwards from zero; clears what `_restrict` adds to."""
    clear(v, below, end_below, r)
    edges = levels.edges
    with v.loop(low, high) as loop:
        i = loop.index
        begin, end = (_start(v, starts, i) for starts in (edges.first, edges.split))
        _relax(v, edges, i, e, _gather(v, edges, begin, end, e, load4(v, r, i)))


@vector_code
def _restrict(v: Vectors, levels: Any, low: Any, high: Any, e: Any, r: Any) -> None:
    """Add what is left of the residual after `_down` to the parents: edges that it did not follow remain."""
    edges = levels.edges
    with v.loop(low, high) as loop:
        i = loop.index
        parent = v.load_index(levels.parent, i)
        begin, end = _start(v, edges.split, i), _start(v, edges.first, i, 1)
        store(v, r, parent, _gather(v, edges, begin, end, e, load4(v, r, parent)))


@vector_code
def _correct(v: Vectors, levels: Any, low: Any, high: Any, e: Any, before: Any) -> None:
    """Add the correction of the level below; keep what other strips are going to read."""
    edges = levels.edges
    with v.loop(low, high) as loop:
        i = loop.index
        value = scale_add(v, FLOAT(_OVER), load4(v, e, v.load_index(levels.parent, i)), load4(v, e, i))
        store(v, e, i, value)
        outer, end = _start(v, edges.outer, i), _start(v, edges.first, i, 1)
        with v.builder.if_then(v.builder.icmp_signed("<", outer, end)):
            store(v, before, i, value)


@vector_code
def _up(v: Vectors, edges: Any, low: Any, high: Any, e: Any, before: Any, r: Any) -> None:
    """Gauss-Seidel backwards."""
    with v.loop(low, high, backwards=True) as loop:
        i = loop.index
        begin, outer, end = (_start(v, *place) for place in ((edges.first, i), (edges.outer, i), (edges.first, i, 1)))
        total = _gather(v, edges, begin, outer, e, load4(v, r, i))
        _relax(v, edges, i, e, _gather(v, edges, outer, end, before, total))


@vector_code
def _subtract(v: Vectors, edges: Any, low: Any, high: Any, e: Any, r: Any, kept: Any) -> None:
    """Turn the right side r into the residual r - A e, and keep e."""
    with v.loop(low, high) as loop:
        i = loop.index
        begin, end = (_start(v, edges.first, i, after) for after in (0, 1))
        total = _gather(v, edges, begin, end, e, load4(v, r, i))
        here = load4(v, e, i)
        diagonal = v.divide(FLOAT(1.0), v.load_scalar(edges.inverse, i))
        store(v, r, i, v.subtract(total, scale(v, diagonal, here)))
        store(v, kept, i, here)
