"""The coarse levels of the closed form: an algebraic multigrid in t = F - B, by pairwise aggregation.

`build_levels` makes them of a grid once; `rssn.kernels.closed_form.cycle` goes over them in each step of the solver.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from rssn.kernels.closed_form.couplings import Edges, couple_nodes
from rssn.kernels.closed_form.grid import Floats, Grid, Indices
from rssn.kernels.compiling import compiled, inlined
from rssn.kernels.threads import Each, alone

_COARSEST = 8
_STALLED = 0.9
_STRONG = 0.8  # weaker couplings than this share of the strongest join nobody
FEW_NODES = 4096
"""A level of fewer nodes is one strip: its sweeps are too short to be shared."""

Bounds: TypeAlias = npt.NDArray[np.int64]
"""Where the nodes of each strip begin, and the end of the last."""


class Levels(NamedTuple):
    """Coarse nodes of all levels, numbered through: by level, and by strip within a level."""

    bounds: Bounds  # D x S + 1
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
    edges = couple_nodes(grid, fixed, each)
    idle = np.concatenate([fixed[part] for strip in range(strips) for part in _parts(grid, strip)])
    levels, parents, ends = list[Edges](), list[Indices](), list[Bounds]()
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
    pixels = grid.pixels
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


def _aggregate_all(edges: Edges, bounds: Bounds, idle: npt.NDArray[np.bool_], each: Each) -> tuple[Indices, Bounds]:
    """The parent of each node, and where the parents of each strip begin."""
    parent = np.empty(bounds[-1], np.uint32)

    def join(strip: int) -> int:
        low, high = bounds[strip : strip + 2]
        return int(_aggregate(edges, low, idle, _make_pairs(high - low), parent[low:high]))

    coarse = np.cumsum([0, *each(join, range(len(bounds) - 1))])
    for strip, begin in enumerate(coarse[1:-1], 1):
        parent[bounds[strip] : bounds[strip + 1]] += np.uint32(begin)
    return parent, coarse


class _Pairs(NamedTuple):
    """Room for the pairs of N nodes, counted from the first node of a strip."""

    pair: npt.NDArray[np.int64]  # N, the pair of each node; N where it has none
    members: npt.NDArray[np.int64]  # N x 2, the nodes of each pair, twice the same where there is one
    done: npt.NDArray[np.uint8]  # N, whether a pair has a parent
    sums: Floats  # N, couplings of a pair with others; 0 before and after
    touched: npt.NDArray[np.int64]  # N, those others


def _make_pairs(nodes: int) -> _Pairs:
    return _Pairs(
        np.full(nodes, nodes, np.int64),
        np.empty((nodes, 2), np.int64),
        np.zeros(nodes, np.uint8),
        np.zeros(nodes, np.float32),
        np.empty(nodes, np.int64),
    )


@compiled
def _aggregate(edges: Any, low: int, idle: Any, room: Any, parent: Any) -> Any:
    """Parent of each node of a strip from `low` on, and how many: pairs join pairs, or a four that holds them."""
    members, done = room.members, room.done
    count = 0
    for p in range(_pair(edges, low, room.pair, members)):
        if done[p]:
            continue
        if idle[low + members[p, 0]]:
            parent[members[p, 0]] = 0
            continue
        found, outside = _couple(p, room, edges, low)
        best, hub = _strongest(p, room, found, outside)
        done[p] = done[best] = 1
        if best == p and hub != p:
            parent[members[p, 0]] = parent[members[p, 1]] = parent[members[hub, 0]]
            continue
        for q in (p, best):
            parent[members[q, 0]] = parent[members[q, 1]] = count
        count += 1
    return max(count, 1)  # one of which nothing is asked, if all are idle


@inlined
def _couple(p: int, room: Any, edges: Any, low: int) -> Any:
    """Add up the couplings of a pair to each other pair of its strip and, all in one, to other strips."""
    pair, members, sums = room.pair, room.members, room.sums
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
                room.touched[found] = q
                found += 1
            sums[q] += edges.weight[edge]
    return found, outside


@inlined
def _strongest(p: int, room: Any, found: int, outside: Any) -> Any:
    """The free pair to join, or p; and the strongest of all, or p where other strips are. Clears the sums."""
    sums = room.sums
    best, best_sum = p, np.float32(0.0)
    hub, strongest = p, outside
    for n in range(found):
        q = room.touched[n]
        if sums[q] > strongest:
            hub, strongest = q, sums[q]
        if not room.done[q] and sums[q] > best_sum:
            best, best_sum = q, sums[q]
        sums[q] = 0.0
    return (best if best_sum >= _STRONG * strongest else p), hub


@inlined
def _pair(edges: Any, low: int, pair: Any, members: Any) -> Any:
    """Join each node to the free neighbour that it is most strongly coupled with; returns how many pairs there are."""
    nodes = len(pair)
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
    return pairs


def _coarsen_all(edges: Edges, bounds: Bounds, parent: Indices, coarse: Bounds, each: Each) -> Edges:
    """The couplings of the next level."""
    strips = range(len(bounds) - 1)
    return _joined(each(lambda strip: _coarse_part(edges, bounds, parent, coarse, strip), strips), [0] * len(strips))


class _Room(NamedTuple):
    """The N nodes of a strip by their C parents, and room for the edges to M nodes of the next level.

    Nodes and parents are counted from the strip's first; member[begin[c] : begin[c + 1]] are the children of parent c.
    """

    begin: npt.NDArray[np.int64]  # C + 1
    member: npt.NDArray[np.int64]  # N
    place: npt.NDArray[np.int64]  # M, the last edge to each


def _coarse_part(edges: Edges, bounds: Bounds, parent: Indices, coarse: Bounds, strip: int) -> Edges:
    """Couplings between the parents of a strip and all others, and what is left on their diagonals."""
    low, high, count = bounds[strip], bounds[strip + 1], coarse[strip + 1] - coarse[strip]
    most = edges.first[high] - edges.first[low]
    made = Edges(
        np.empty(count + 1, np.int32),
        np.empty(count, np.int32),
        np.empty(count, np.int32),
        np.empty(most, np.uint32),
        np.empty(most, np.float32),
        np.zeros(count, np.float64),
        np.empty(count, np.float32),
    )
    own = parent[low:high] - np.uint32(coarse[strip])
    begin = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.bincount(own, minlength=count))])
    room = _Room(begin, np.argsort(own, kind="stable"), np.full(coarse[-1], -1, np.int64))
    used = _coarsen(edges, low, parent, coarse, strip, room, made)
    return made._replace(other=made.other[:used], weight=made.weight[:used])


@compiled
def _coarsen(edges: Any, low: int, parent: Any, coarse: Any, strip: int, room: Any, made: Any) -> Any:
    """Fill the couplings of a strip's parents; returns how many there are."""
    begin, count = coarse[strip], coarse[strip + 1] - coarse[strip]
    place, other, weight = room.place, made.other, made.weight
    few = coarse[-1] < FEW_NODES
    edge = 0
    for c in range(count):
        start, total, inside = edge, 0.0, True
        for child in range(room.begin[c], room.begin[c + 1]):
            i = low + room.member[child]
            made.excess[c] += edges.excess[i]
            for k in range(edges.first[i], edges.first[i + 1]):
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
        made.first[c] = start
        made.outer[c] = edge if inside or few else _to_front(begin, begin + count, start, edge, other, weight)
        made.split[c] = _to_front(0, begin + c, start, made.outer[c], other, weight)
        made.inverse[c] = 1.0 / max(total + made.excess[c], 1e-12)
    made.first[count] = edge
    return edge


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
