"""The coarse part of the closed form: an algebraic multigrid in t = F - B, by pairwise aggregation.

`build_levels` makes the coarse levels of a grid once; `cycle` goes over them in each step of the solver, three channels
of t at once.
"""

from __future__ import annotations

from math import sqrt
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rssn.kernels.closed_form.grid import Floats, Grid, Indices
from rssn.kernels.closed_form.nodes import add, load4, scale, scale_add, store, subtract
from rssn.kernels.compiling import compiled

_COARSEST = 8
_STALLED = 0.9
_STRONG = 0.8  # weaker couplings than this share of the strongest join nobody
_SWEEPS = 4  # over the coarsest level
_SHRINK = 2.5  # a level is visited twice where the one above has more than so many times its nodes
_OVER = 1.3  # a coarse correction is enlarged so much


class Levels(NamedTuple):
    """Coarse nodes of all levels, numbered through; level k holds nodes `start[k]` to `start[k + 1] - 1`."""

    start: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]  # edges first[n] to split[n] - 1 lead to lower nodes,
    split: npt.NDArray[np.int64]  # split[n] to first[n + 1] - 1 to higher ones
    other: Indices  # node at the edge's end
    weight: Floats  # coupling, at least 0
    inverse: Floats  # 1 / diagonal
    parent: Indices  # node of the next level
    finest: Indices  # parent of each node of the grid


def build_levels(grid: Grid, fixed: npt.NDArray[np.bool_]) -> Levels:
    """Join the nodes of a grid to fewer and fewer coarse ones, in fours along the strongest couplings.

    Fixed nodes take no part; the first coarse node stands for their parent.
    """
    first, other, weight, excess = _finest(grid, fixed)
    parts: list[Any] = []
    start = [0]
    parents: list[Indices] = []
    while True:
        nodes = len(first) - 1
        parent, count = _aggregate(first, other, weight, fixed[: 0 if parts else None])
        if parts and (nodes <= _COARSEST or count > _STALLED * nodes):
            break
        parents.append(parent)
        first, split, other, weight, excess, inverse = _coarsen(first, other, weight, excess, parent, count)
        parts.append((first, split, other, weight, inverse))
        start.append(start[-1] + count)
    edges = np.cumsum([0] + [len(part[2]) for part in parts])
    return Levels(
        np.array(start),
        np.concatenate([part[0][:-1] + edge for part, edge in zip(parts, edges[:-1], strict=True)] + [edges[-1:]]),
        np.concatenate([part[1] + edge for part, edge in zip(parts, edges[:-1], strict=True)]),
        np.concatenate([part[2] + np.uint32(begin) for part, begin in zip(parts, start[:-1], strict=True)]),
        np.concatenate([part[3] for part in parts]),
        np.concatenate([part[4] for part in parts]),
        np.concatenate(
            [parent + np.uint32(begin) for parent, begin in zip(parents[1:], start[1:-1], strict=True)]
            + [np.zeros(0, np.uint32)]
        ),
        parents[0],
    )


@compiled
def _finest(grid: Any, fixed: Any) -> Any:
    share = grid.share
    nodes, pixels = len(share), len(grid.near)
    first = np.empty(nodes + 1, np.int64)
    other = np.empty(4 * pixels + 8 * (nodes - pixels), np.uint32)
    weight = np.empty(len(other), np.float32)
    excess = np.zeros(nodes, np.float64)
    edge = 0
    for i in range(nodes):
        first[i] = edge
        if fixed[i]:
            continue
        a = float(share[i])
        for slot in range(4 if i < pixels else 8):
            j = grid.near[i, slot] if i < pixels else grid.far[i - pixels, slot]
            w = grid.near_weight[i, slot] if i < pixels else grid.far_weight[i - pixels, slot]
            b = float(share[j])
            lengths = sqrt((a * a + (1.0 - a) ** 2) * (b * b + (1.0 - b) ** 2))
            cosine = (a * b + (1.0 - a) * (1.0 - b)) / lengths
            excess[i] += w * ((a - b) / lengths) ** 2 / (1.0 + cosine)
            coupling = w * cosine
            if coupling > 0 and fixed[j]:
                excess[i] += coupling
            elif coupling > 0:
                other[edge] = j
                weight[edge] = coupling
                edge += 1
    first[nodes] = edge
    return first, other[:edge], weight[:edge], excess


@compiled
def _aggregate(first: Any, other: Any, weight: Any, fixed: Any) -> Any:
    """Parent of each node, and how many parents: pairs are joined to pairs, or to a finished four that holds them."""
    pair, members, pairs = _pair(first, other, weight)
    done = np.zeros(pairs, np.uint8)
    parent = np.empty(len(first) - 1, np.uint32)
    sums = np.zeros(pairs, np.float32)
    touched = np.empty(pairs, np.int64)
    count = 0
    for p in range(pairs):
        if done[p]:
            continue
        if len(fixed) and fixed[members[p, 0]]:
            parent[members[p, 0]] = 0
            continue
        found = _couple(p, pair, members, first, other, weight, sums, touched)
        best, hub = _strongest(p, done, sums, touched[:found])
        done[p] = done[best] = 1
        if best == p and hub != p:
            parent[members[p, 0]] = parent[members[p, 1]] = parent[members[hub, 0]]
            continue
        for q in (p, best):
            parent[members[q, 0]] = parent[members[q, 1]] = count
        count += 1
    return parent, count


@compiled
def _couple(p: int, pair: Any, members: Any, first: Any, other: Any, weight: Any, sums: Any, touched: Any) -> int:
    """Add up the couplings of a pair to each other pair; returns how many there are."""
    found = 0
    for side in range(1 if members[p, 0] == members[p, 1] else 2):
        i = members[p, side]
        for edge in range(first[i], first[i + 1]):
            q = pair[other[edge]]
            if q == p:
                continue
            if sums[q] == 0.0:
                touched[found] = q
                found += 1
            sums[q] += weight[edge]
    return found


@compiled
def _strongest(p: int, done: Any, sums: Any, touched: Any) -> Any:
    """The free pair to join, or p itself; and the strongest of all. Clears the sums."""
    best, best_sum = p, np.float32(0.0)
    hub, strongest = p, np.float32(0.0)
    for q in touched:
        if sums[q] > strongest:
            hub, strongest = q, sums[q]
        if not done[q] and sums[q] > best_sum:
            best, best_sum = q, sums[q]
        sums[q] = 0.0
    return (best if best_sum >= _STRONG * strongest else p), hub


@compiled
def _pair(first: Any, other: Any, weight: Any) -> Any:
    nodes = len(first) - 1
    pair = np.full(nodes, nodes, np.int64)
    members = np.empty((nodes, 2), np.int64)
    pairs = 0
    for i in range(nodes):
        if pair[i] < nodes:
            continue
        best, best_weight = i, np.float32(0.0)
        strongest = np.float32(0.0)
        for edge in range(first[i], first[i + 1]):
            j = other[edge]
            strongest = max(strongest, weight[edge])
            if pair[j] == nodes and weight[edge] > best_weight:
                best, best_weight = j, weight[edge]
        if best_weight < _STRONG * strongest:
            best = i
        pair[i] = pair[best] = pairs
        members[pairs, 0], members[pairs, 1] = i, best
        pairs += 1
    return pair, members, pairs


@compiled
def _coarsen(first: Any, other: Any, weight: Any, excess: Any, parent: Any, count: Any) -> Any:
    """The next level: couplings between parents, lower numbers first, and what is left on their diagonals."""
    begin, member = _members(parent, count)
    coarse_first, split = np.empty(count + 1, np.int64), np.empty(count, np.int64)
    coarse_other, coarse_weight = np.empty(len(other), np.uint32), np.empty(len(other), np.float32)
    coarse_excess, inverse = np.zeros(count, np.float64), np.empty(count, np.float32)
    slot = np.full(count, -1, np.int64)
    edges = 0
    for c in range(count):
        start, total = edges, 0.0
        for i in member[begin[c] : begin[c + 1]]:
            coarse_excess[c] += excess[i]
            for edge in range(first[i], first[i + 1]):
                d = parent[other[edge]]
                if d == c:
                    continue
                total += weight[edge]
                if slot[d] < start:
                    slot[d] = edges
                    coarse_other[edges], coarse_weight[edges] = d, weight[edge]
                    edges += 1
                else:
                    coarse_weight[slot[d]] += weight[edge]
        coarse_first[c] = start
        split[c] = _lower_first(c, start, edges, coarse_other, coarse_weight)
        inverse[c] = 1.0 / max(total + coarse_excess[c], 1e-12)
    coarse_first[count] = edges
    return coarse_first, split, coarse_other[:edges].copy(), coarse_weight[:edges].copy(), coarse_excess, inverse


@compiled
def _members(parent: Any, count: int) -> Any:
    """Children of each parent: `member[begin[c] : begin[c + 1]]`."""
    begin = np.zeros(count + 1, np.int64)
    for c in parent:
        begin[c + 1] += 1
    begin = np.cumsum(begin)
    place = begin[:-1].copy()
    member = np.empty(len(parent), np.int64)
    for i in range(len(parent)):
        member[place[parent[i]]] = i
        place[parent[i]] += 1
    return begin, member


@compiled
def _lower_first(c: int, start: int, end: int, other: Any, weight: Any) -> int:
    """Sort the edges of a node: those to lower nodes first; returns where the others begin."""
    k = start
    for e in range(start, end):
        if other[e] < c:
            other[e], other[k] = other[k], other[e]
            weight[e], weight[k] = weight[k], weight[e]
            k += 1
    return k


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
                for i in range(low, high):  # numba takes seconds to compile a slice that is assigned a slice
                    store(kept, i, load4(e, i))
                break
            if again[depth]:
                again[depth] = False
                for i in range(low, high):
                    store(e, i, add(load4(e, i), load4(kept, i)))
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
