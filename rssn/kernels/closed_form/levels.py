"""The coarse levels of the closed form: an algebraic multigrid in t = F - B, by pairwise aggregation.

`build_levels` makes them of a grid once; `rssn.kernels.closed_form.cycle` goes over them in each step of the solver.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import sqrt
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from rssn.kernels.closed_form.grid import Floats, Grid, Indices
from rssn.kernels.compiling import compiled, inlined
from rssn.kernels.threads import Each, alone

_COARSEST = 8
_STALLED = 0.9
_STRONG = 0.8  # weaker couplings than this share of the strongest join nobody
FEW_NODES = 4096
"""A level of fewer nodes is one strip: its sweeps are too short to be shared."""

_Bounds: TypeAlias = npt.NDArray[np.int64]
"""Where the nodes of each strip begin, and the end of the last."""


class Edges(NamedTuple):
    """The couplings of nodes."""

    first: npt.NDArray[np.int32]  # edges first[n] to split[n] - 1 lead to lower nodes of the strip,
    split: npt.NDArray[np.int32]  # split[n] to outer[n] - 1 to higher ones,
    outer: npt.NDArray[np.int32]  # outer[n] to first[n + 1] - 1 to other strips
    other: Indices  # node at the edge's end
    weight: Floats  # coupling, at least 0
    excess: npt.NDArray[np.float64]  # what the diagonal is more than the sum of a node's couplings
    inverse: Floats  # 1 / diagonal


class Levels(NamedTuple):
    """Coarse nodes of all levels, numbered through: by level, and by strip within a level."""

    bounds: _Bounds  # D x S + 1
    edges: Edges
    parent: Indices  # node of the next level
    finest: Indices  # parent of each node of the grid


def build_levels(grid: Grid, fixed: npt.NDArray[np.bool_], each: Each = alone) -> Levels:
    """Join the nodes of a grid to fewer and fewer coarse ones, in fours along the strongest couplings.

    What is joined lies in one strip. Fixed nodes take no part; the first coarse node of their strip stands for their
    parent.
    """
    strips = len(grid.strips) - 1
    bounds = grid.strips[:, 1] + grid.strips[:, 2]
    edges = _finest(grid, fixed, each)
    idle = np.concatenate([fixed[part] for strip in range(strips) for part in _parts(grid, strip)])
    levels, parents, ends = list[Edges](), list[Indices](), list[_Bounds]()
    while True:
        parent, coarse = _aggregate_all(edges, bounds, idle, each)
        if levels and (bounds[-1] <= _COARSEST or coarse[-1] > _STALLED * bounds[-1]):
            break
        edges = _coarsen_all(edges, bounds, parent, coarse, each)
        levels.append(edges)
        parents.append(parent)
        ends.append(np.pad(coarse, (0, strips + 1 - len(coarse)), "edge"))
        bounds = coarse if coarse[-1] >= FEW_NODES else coarse[[0, -1]]
        idle = np.zeros(bounds[-1], np.bool_)
    starts = np.cumsum([0, *(end[-1] for end in ends)])[:-1]
    above = [parent + np.uint32(start) for parent, start in zip(parents[1:], starts[1:], strict=True)]
    return Levels(
        np.stack(ends) + starts[:, None],
        _joined(levels, starts),
        np.concatenate([np.zeros(0, np.uint32), *above]),
        _by_node(grid, parents[0]),
    )


def _parts(grid: Grid, strip: int) -> tuple[slice, slice]:
    """The pixels and the squares of a strip among all nodes; in levels, the squares come after the strip's pixels."""
    (_, pixel, square), (_, last_pixel, last_square) = grid.strips[strip : strip + 2]
    pixels = len(grid.near)
    return slice(pixel, last_pixel), slice(pixels + square, pixels + last_square)


def _by_node(grid: Grid, values: Indices) -> Indices:
    """Values in the order of levels as the grid numbers its nodes."""
    sorted_values = np.empty_like(values)
    begin = 0
    for strip in range(len(grid.strips) - 1):
        for part in _parts(grid, strip):
            end = begin + part.stop - part.start
            sorted_values[part] = values[begin:end]
            begin = end
    return sorted_values


def _joined(parts: Sequence[Edges], starts: Iterable[int]) -> Edges:
    """Parts one behind the other, whose ends are counted from each one's start."""
    edges = np.cumsum([0, *(len(part.other) for part in parts)], dtype=np.int32)
    first, split, outer = (
        np.concatenate([part[which][: len(part.inverse)] + edge for part, edge in zip(parts, edges[:-1], strict=True)])
        for which in range(3)
    )
    return Edges(
        np.append(first, edges[-1]),
        split,
        outer,
        np.concatenate([part.other + np.uint32(start) for part, start in zip(parts, starts, strict=True)]),
        *(np.concatenate([part[which] for part in parts]) for which in range(4, 7)),
    )


def _finest(grid: Grid, fixed: npt.NDArray[np.bool_], each: Each) -> Edges:
    """The couplings of the grid's own nodes, strip by strip; unused edges lead to the node itself and weigh 0."""
    pixels, nodes = len(grid.near), len(grid.share)
    count = 4 * pixels + 8 * (nodes - pixels)
    none = np.zeros(0, np.int32)
    edges = Edges(
        np.empty(nodes + 1, np.int32),
        none,
        none,
        np.empty(count, np.uint32),
        np.empty(count, np.float32),
        np.zeros(nodes, np.float64),
        np.zeros(0, np.float32),
    )
    edges.first[-1] = count
    each(lambda strip: _couple_nodes(grid, fixed, strip, edges), range(len(grid.strips) - 1))
    return edges


@compiled
def _couple_nodes(grid: Any, fixed: Any, strip: int, edges: Any) -> None:
    nodes, pixels = len(grid.share), len(grid.near)
    _, pixel, square = grid.strips[strip]
    own_pixels = grid.strips[strip + 1, 1] - pixel
    edge = 4 * pixel + 8 * square
    for n in range(own_pixels + grid.strips[strip + 1, 2] - square):
        i = pixel + n if n < own_pixels else pixels + square + n - own_pixels
        here = pixel + square + n
        edges.first[here] = edge
        a = float(grid.share[i])
        excess = 0.0
        for slot in range(4 if i < pixels else 8):
            j = grid.near[i, slot] if i < pixels else grid.far[i - pixels, slot]
            w = grid.near_weight[i, slot] if i < pixels else grid.far_weight[i - pixels, slot]
            there = strip
            if j >= nodes:
                j = grid.halo[strip, j - nodes - grid.halo.shape[1] * strip]
                there += -1 if j < pixel or pixels <= j < pixels + square else 1
            b = float(grid.share[j])
            lengths = sqrt((a * a + (1.0 - a) ** 2) * (b * b + (1.0 - b) ** 2))
            cosine = (a * b + (1.0 - a) * (1.0 - b)) / lengths
            excess += w * ((a - b) / lengths) ** 2 / (1.0 + cosine)
            coupling = w * cosine
            if fixed[j]:
                excess += coupling
            is_edge = coupling > 0.0 and not fixed[i] and not fixed[j]
            other = j + grid.strips[there, 2] if j < pixels else j - pixels + grid.strips[there + 1, 1]
            edges.other[edge] = other if is_edge else here
            edges.weight[edge] = coupling if is_edge else 0.0
            edge += 1
        edges.excess[here] = 0.0 if fixed[i] else excess


def _aggregate_all(edges: Edges, bounds: _Bounds, idle: npt.NDArray[np.bool_], each: Each) -> tuple[Indices, _Bounds]:
    """The parent of each node, and where the parents of each strip begin."""
    strips = range(len(bounds) - 1)
    found = each(lambda strip: _aggregate(edges, bounds[strip], bounds[strip + 1], idle), strips)
    coarse = np.cumsum([0, *(count for _, count in found)])
    return np.concatenate([own + np.uint32(begin) for (own, _), begin in zip(found, coarse[:-1], strict=True)]), coarse


@compiled
def _aggregate(edges: Any, low: Any, high: Any, idle: Any) -> Any:
    """Parent of each node from low to high, and how many: pairs are joined to pairs, or to a four that holds them."""
    pair, members, pairs = _pair(edges, low, high)
    done = np.zeros(pairs, np.uint8)
    parent = np.empty(high - low, np.uint32)
    sums = np.zeros(pairs, np.float32)
    touched = np.empty(pairs, np.int64)
    count = 0
    for p in range(pairs):
        if done[p]:
            continue
        if idle[low + members[p, 0]]:
            parent[members[p, 0]] = 0
            continue
        found, outside = _couple(p, pair, members, edges, low, sums, touched)
        best, hub = _strongest(p, done, sums, touched[:found], outside)
        done[p] = done[best] = 1
        if best == p and hub != p:
            parent[members[p, 0]] = parent[members[p, 1]] = parent[members[hub, 0]]
            continue
        for q in (p, best):
            parent[members[q, 0]] = parent[members[q, 1]] = count
        count += 1
    return parent, max(count, 1)  # one of which nothing is asked, if all are idle


@inlined
def _couple(p: int, pair: Any, members: Any, edges: Any, low: int, sums: Any, touched: Any) -> Any:
    """Add up the couplings of a pair to each other pair of its strip and, all in one, to other strips."""
    found, outside = 0, np.float32(0.0)
    for side in range(1 if members[p, 0] == members[p, 1] else 2):
        i = low + members[p, side]
        for edge in range(edges.first[i], edges.first[i + 1]):
            j = edges.other[edge] - low
            if not 0 <= j < len(pair):
                outside += edges.weight[edge]
                continue
            q = pair[j]
            if q == p:
                continue
            if sums[q] == 0.0:
                touched[found] = q
                found += 1
            sums[q] += edges.weight[edge]
    return found, outside


@inlined
def _strongest(p: int, done: Any, sums: Any, touched: Any, outside: Any) -> Any:
    """The free pair to join, or p; and the strongest of all, or p where other strips are. Clears the sums."""
    best, best_sum = p, np.float32(0.0)
    hub, strongest = p, outside
    for q in touched:
        if sums[q] > strongest:
            hub, strongest = q, sums[q]
        if not done[q] and sums[q] > best_sum:
            best, best_sum = q, sums[q]
        sums[q] = 0.0
    return (best if best_sum >= _STRONG * strongest else p), hub


@inlined
def _pair(edges: Any, low: int, high: int) -> Any:
    nodes = high - low
    pair = np.full(nodes, nodes, np.int64)
    members = np.empty((nodes, 2), np.int64)
    pairs = 0
    for i in range(nodes):
        if pair[i] < nodes:
            continue
        best, best_weight = i, np.float32(0.0)
        strongest = np.float32(0.0)
        for edge in range(edges.first[low + i], edges.first[low + i + 1]):
            weight = edges.weight[edge]
            strongest = max(strongest, weight)
            j = edges.other[edge] - low
            if 0 <= j < nodes and pair[j] == nodes and weight > best_weight:
                best, best_weight = j, weight
        if best_weight < _STRONG * strongest:
            best = i
        pair[i] = pair[best] = pairs
        members[pairs, 0], members[pairs, 1] = i, best
        pairs += 1
    return pair, members, pairs


def _coarsen_all(edges: Edges, bounds: _Bounds, parent: Indices, coarse: _Bounds, each: Each) -> Edges:
    """The couplings of the next level."""
    strips = range(len(bounds) - 1)
    parts = [Edges(*part) for part in each(lambda strip: _coarsen(edges, bounds, parent, coarse, strip), strips)]
    return _joined(parts, [0] * len(parts))


@compiled
def _coarsen(edges: Any, bounds: Any, parent: Any, coarse: Any, strip: int) -> Any:
    """Couplings between the parents of a strip and all others, and what is left on their diagonals."""
    low, high, begin, count = bounds[strip], bounds[strip + 1], coarse[strip], coarse[strip + 1] - coarse[strip]
    children, member = _members(parent[low:high], begin, count)
    most = edges.first[high] - edges.first[low]
    first, split, outer = np.empty(count + 1, np.int32), np.empty(count, np.int32), np.empty(count, np.int32)
    other, weight = np.empty(most, np.uint32), np.empty(most, np.float32)
    excess, inverse = np.zeros(count, np.float64), np.empty(count, np.float32)
    place = np.full(coarse[-1], -1, np.int64)
    few = coarse[-1] < FEW_NODES
    edge = 0
    for c in range(count):
        start, total, inside = edge, 0.0, True
        for i in member[children[c] : children[c + 1]]:
            excess[c] += edges.excess[low + i]
            for k in range(edges.first[low + i], edges.first[low + i + 1]):
                d = parent[edges.other[k]]
                if d == begin + c:
                    continue
                total += edges.weight[k]
                if place[d] < start:
                    place[d] = edge
                    other[edge], weight[edge] = d, edges.weight[k]
                    inside = inside and begin <= d < begin + count
                    edge += 1
                else:
                    weight[place[d]] += edges.weight[k]
        first[c] = start
        outer[c] = edge if inside or few else _to_front(begin, begin + count, start, edge, other, weight)
        split[c] = _to_front(0, begin + c, start, outer[c], other, weight)
        inverse[c] = 1.0 / max(total + excess[c], 1e-12)
    first[count] = edge
    return first, split, outer, other[:edge].copy(), weight[:edge].copy(), excess, inverse


@inlined
def _members(parent: Any, start: int, count: int) -> Any:
    """Children of each parent: `member[begin[c] : begin[c + 1]]`."""
    begin = np.zeros(count + 1, np.int64)
    for c in parent:
        begin[c - start + 1] += 1
    for c in range(count):
        begin[c + 1] += begin[c]
    place = begin[:-1].copy()
    member = np.empty(len(parent), np.int64)
    for i in range(len(parent)):
        member[place[parent[i] - start]] = i
        place[parent[i] - start] += 1
    return begin, member


@inlined
def _to_front(low: int, high: int, start: int, end: int, other: Any, weight: Any) -> int:
    """Move the edges that lead to nodes from low to high before the others; returns where the others begin."""
    k = start
    for e in range(start, end):
        if low <= other[e] < high:
            other[e], other[k] = other[k], other[e]
            weight[e], weight[k] = weight[k], weight[e]
            k += 1
    return k
