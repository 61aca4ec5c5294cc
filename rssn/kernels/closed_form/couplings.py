"""How strongly nodes of the closed form are coupled in t = F - B."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rssn.kernels.closed_form.grid import Floats, Grid, Indices, parts, strip_range
from rssn.kernels.closed_form.nodes import place
from rssn.kernels.compiling import compiled
from rssn.kernels.intrinsics import vector_code
from rssn.kernels.simd import BYTE, DOUBLE, FLOAT, Vectors
from rssn.kernels.threads import Each


class Edges(NamedTuple):
    """The couplings of nodes."""

    first: npt.NDArray[np.int32]  # edges first[n] to split[n] - 1 lead to lower nodes of the strip,
    split: npt.NDArray[np.int32]  # split[n] to outer[n] - 1 to higher ones,
    outer: npt.NDArray[np.int32]  # outer[n] to first[n + 1] - 1 to other strips
    other: Indices  # node at the edge's end
    weight: Floats  # coupling, at least 0
    excess: npt.NDArray[np.float64]  # what the diagonal is more than the sum of a node's couplings
    inverse: Floats  # 1 / diagonal


def couple_nodes(grid: Grid, fixed: npt.NDArray[np.bool_], each: Each) -> Edges:
    """The couplings of the grid's own nodes, strip by strip; unused edges lead to the node itself and weigh 0."""
    pixels, nodes = grid.pixels, grid.nodes
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
    each(lambda strip: _couple_strip(grid, fixed, strip, edges), range(len(grid.strips) - 1))
    return edges


@compiled
def _couple_strip(grid: Any, fixed: Any, strip: int, edges: Any) -> None:
    _couple(grid, fixed, strip, edges)


@vector_code
def _couple(v: Vectors, grid: Any, fixed: Any, strip: Any, edges: Any) -> None:
    """In levels, the squares of a strip come after its pixels."""
    b = v.builder
    pixels, squares = parts(v, grid, strip)
    square, _ = strip_range(v, grid, strip, 2)
    shifts = (square, place(v, square, 8)), (b.sub(pixels.end, grid.pixels), place(v, pixels.end, 4))
    for part, (node_shift, edge_shift) in zip((pixels, squares), shifts, strict=True):
        with v.loop(part.begin, part.end) as loop:
            here, first = b.add(loop.index, node_shift), place(v, b.sub(loop.index, part.top), part.slots)
            v.store_index(b.add(first, edge_shift), edges.first, here)
            node = _node(v, grid, fixed, loop.index)
            with v.loop(first, v.offset(first, part.slots), DOUBLE(0.0)) as edge:
                end, name = _end(v, grid, fixed, strip, v.load_index(part.others, edge.index))
                weight = b.fpext(v.load_scalar(part.weights, edge.index), DOUBLE)
                edge.value, coupling, is_edge = _coupling(v, node, end, weight, edge.value)
                target = b.add(edge.index, edge_shift)
                v.store_index(b.select(is_edge, name, here), edges.other, target)
                b.store(b.fptrunc(b.select(is_edge, coupling, DOUBLE(0.0)), FLOAT), v.at(edges.weight, target))
            b.store(b.select(node.is_fixed, DOUBLE(0.0), edge.value), v.at(edges.excess, here))


class _Node(NamedTuple):
    """A node at one end of an edge."""

    share: Any  # alpha a, in single precision
    clear: Any  # 1 - a
    square: Any  # a^2 + (1 - a)^2
    is_fixed: Any


def _node(v: Vectors, grid: Grid, fixed: Any, i: Any) -> _Node:
    b, share = v.builder, v.load_scalar(grid.share, i)
    clear = b.fsub(DOUBLE(1.0), b.fpext(share, DOUBLE))
    square = b.fadd(b.fpext(b.fmul(share, share), DOUBLE), b.fmul(clear, clear))
    return _Node(share, clear, square, b.icmp_unsigned("!=", v.load_scalar(fixed, i), BYTE(0)))


def _end(v: Vectors, grid: Grid, fixed: Any, strip: Any, named: Any) -> tuple[_Node, Any]:
    """The node at the end of an edge, which may be in the strip above or below, and its number in levels."""
    b = v.builder
    seat = b.sub(named, grid.nodes)
    is_other = b.icmp_signed(">=", seat, v.index(0))
    j = v.where(is_other, lambda: v.load_index(grid.halo, seat), named)
    is_above = b.icmp_signed("<", b.urem(seat, b.shl(grid.width, v.index(1))), grid.width)
    there = b.add(strip, b.select(is_other, b.select(is_above, v.index(-1), v.index(1)), v.index(0)))
    square, _ = strip_range(v, grid, there, 2)
    _, last_pixel = strip_range(v, grid, there, 1)
    is_pixel = b.icmp_signed("<", j, grid.pixels)
    return _node(v, grid, fixed, j), b.select(is_pixel, b.add(j, square), b.add(b.sub(j, grid.pixels), last_pixel))


def _coupling(v: Vectors, node: _Node, end: _Node, weight: Any, excess: Any) -> tuple[Any, Any, Any]:
    """The excess with that of an edge, how strongly the edge couples, and whether it does."""
    b = v.builder
    root = b.module.declare_intrinsic("llvm.sqrt", [DOUBLE])
    lengths = b.call(root, [b.fmul(node.square, end.square)])
    product = b.fadd(b.fpext(b.fmul(node.share, end.share), DOUBLE), b.fmul(node.clear, end.clear))
    cosine = b.fdiv(product, lengths)
    turned = b.fdiv(b.fpext(b.fsub(node.share, end.share), DOUBLE), lengths)
    excess = b.fadd(excess, b.fdiv(b.fmul(weight, b.fmul(turned, turned)), b.fadd(DOUBLE(1.0), cosine)))
    coupling = b.fmul(weight, cosine)
    excess = b.select(end.is_fixed, b.fadd(excess, coupling), excess)
    is_strong = b.fcmp_ordered(">", coupling, DOUBLE(0.0))
    return excess, coupling, b.and_(is_strong, b.not_(b.or_(node.is_fixed, end.is_fixed)))
