"""The passes of a solve over the nodes of a strip; what they share is in `solver.Memory`.

What belongs to one pass over memory is done in one: bandwidth is what limits them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any

from rssn.kernels.closed_form.grid import Part, halo_of, parts
from rssn.kernels.closed_form.nodes import (
    add_products,
    clear,
    fold,
    halves,
    load4,
    load8,
    load_sums,
    opacities,
    peak,
    place,
    scale,
    scale_add,
    store,
    swap,
    turning,
    widen,
    zero_sums,
    zeros,
)
from rssn.kernels.intrinsics import Float, vector_code
from rssn.kernels.simd import BYTE, DOUBLE, FLOAT, INT, Vectors

_Term = Callable[[Any, Any, Any], Any]
"""Makes of a total, an edge's weight and the node at its end the next total."""


def _around(v: Vectors, part: Part, i: Any, total: Any, term: _Term, slots: Iterable[int] = range(4)) -> Any:
    """Goes over the edges of a node; over those of a pixel to the left, above, to the right, below, or some of them."""
    row = v.builder.sub(i, part.top)

    def along(total: Any, edge: Any) -> Any:
        return term(total, v.load_scalar(part.weights, edge), v.load_index(part.others, edge))

    if part.slots == 4:
        for slot in slots:
            total = along(total, place(v, row, 4, slot))
        return total
    with v.loop(place(v, row, 8), place(v, row, 8, 8), total) as loop:
        loop.value = along(loop.value, loop.index)
    return loop.value


@vector_code
def see_others(v: Vectors, grid: Any, strip: Any, z: Any) -> None:
    """Copy what other strips have at the edges of this one into its halo."""
    with v.loop(*halo_of(v, grid, strip)) as loop:
        other = v.load_index(grid.halo, v.builder.sub(loop.index, grid.nodes))
        store(v, z, loop.index, load8(v, z, other))


@vector_code
def invert_blocks(v: Vectors, grid: Any, strip: Any, fixed: Any, inverse: Any) -> None:
    """Of each node the inverse of its 2 x 2 block (F, B): FF, FB, BB, and 1 / |(a, 1 - a)|; all 0 of fixed ones."""
    b = v.builder
    one = DOUBLE(1.0)
    for part in parts(v, grid, strip):
        with v.loop(part.begin, part.end) as loop:
            i = loop.index
            total = _around(v, part, i, DOUBLE(0.0), lambda total, weight, _: b.fadd(total, b.fpext(weight, DOUBLE)))
            share = v.load_scalar(grid.share, i)
            opaque = b.fpext(share, DOUBLE)
            hidden = b.fsub(one, opaque)
            squares = [b.fpext(b.fmul(share, share), DOUBLE), b.fmul(hidden, hidden)]
            determinant = b.fmul(total, b.fadd(b.fadd(total, squares[0]), squares[1]))
            inside = b.fmul(b.fneg(opaque), hidden)
            found = [
                b.fdiv(value, determinant) for value in (b.fadd(squares[1], total), inside, b.fadd(squares[0], total))
            ]
            length = b.call(b.module.declare_intrinsic("llvm.sqrt", [DOUBLE]), [b.fadd(*squares)])
            is_free = b.icmp_unsigned("==", v.load_scalar(fixed, i), BYTE(0))
            for column, value in enumerate((*found, b.fdiv(one, length))):
                kept = b.select(is_free, b.fptrunc(value, FLOAT), FLOAT(0.0))
                b.store(kept, v.at(inverse, place(v, i, 4, column)))


def _apply_block(v: Vectors, inverse: Any, i: Any, value: Any) -> Any:
    foreground, mixed, background = (v.load_scalar(inverse, place(v, i, 4, column)) for column in range(3))
    return v.add(v.multiply(halves(v, foreground, background), value), scale(v, mixed, swap(v, value)))


@vector_code
def advance(v: Vectors, grid: Any, strip: Any, thread: Any, x: Any, memory: Any) -> None:
    """Step along p, update the residual, relax forwards from zero; note the largest step weighted by alpha."""
    inverse, r, p, q, z = memory.inverse, memory.r, memory.p, memory.q, memory.z
    pixels, squares = parts(v, grid, strip)
    for begin, end in (squares[:2], halo_of(v, grid, strip)):
        with v.loop(begin, end) as loop:
            store(v, z, loop.index, zeros(v, 8))
    gamma = load8(v, memory.gamma, thread)

    def residual(i: Any) -> Any:
        left = v.subtract(load8(v, r, i), v.multiply(gamma, load8(v, q, i)))
        store(v, r, i, left)
        return left

    def relaxed(total: Any, weight: Any, j: Any) -> Any:
        return scale_add(v, weight, load8(v, z, j), total)

    with v.loop(pixels.begin, pixels.end, zeros(v, 8)) as loop:
        i = loop.index
        step = v.multiply(gamma, load8(v, p, i))
        store(v, x, i, v.add(load8(v, x, i), step))
        loop.value = peak(v, loop.value, v.multiply(opacities(v, v.load_scalar(grid.share, i)), step))
        s = _around(v, pixels, i, residual(i), relaxed, (0, 1))
        store(v, z, i, _apply_block(v, inverse, i, s))
    store(v, memory.worst, strip, loop.value)
    with v.loop(squares.begin, squares.end) as loop:
        i = loop.index
        store(v, x, i, v.add(v.multiply(gamma, load8(v, p, i)), load8(v, x, i)))
        s = _around(v, squares, i, residual(i), _if_node(v, "<", i, relaxed))
        store(v, z, i, _apply_block(v, inverse, i, s))


def _if_node(v: Vectors, comparison: str, node: Any, term: _Term) -> _Term:
    """The term of edges whose end compares so with a node; others add nothing."""
    return lambda total, weight, j: v.where(
        v.builder.icmp_signed(comparison, j, node), lambda: term(total, weight, j), total
    )


def _turning(v: Vectors, grid: Any, inverse: Any, i: Any) -> Any:
    """Unit vector (F, B) along which the blend stays as it is."""
    return turning(v, v.load_scalar(grid.share, i), v.load_scalar(inverse, place(v, i, 4, 3)))


@vector_code
def restrict(v: Vectors, grid: Any, strip: Any, inverse: Any, finest: Any, z: Any, coarse: Any) -> None:
    """Residual after the forward sweep, in t, summed over each parent."""
    pixels, squares = parts(v, grid, strip)

    def seen(total: Any, weight: Any, j: Any) -> Any:
        return scale_add(v, weight, load8(v, z, j), total)

    def add(i: Any, s: Any) -> None:
        parent = v.load_index(finest, i)
        turned = fold(v, v.multiply(_turning(v, grid, inverse, i), s))
        store(v, coarse, parent, v.add(load4(v, coarse, parent), turned))

    with v.loop(pixels.begin, pixels.end) as loop:
        s = _around(v, pixels, loop.index, zeros(v, 8), seen, (2, 3))
        add(loop.index, _around(v, pixels, loop.index, s, _if_node(v, ">=", grid.pixels, seen), (0, 1)))
    with v.loop(squares.begin, squares.end) as loop:
        add(loop.index, _around(v, squares, loop.index, zeros(v, 8), _if_node(v, ">", loop.index, seen)))


@vector_code
def correct(v: Vectors, grid: Any, strip: Any, inverse: Any, finest: Any, e: Any, z: Any) -> None:
    """Add the coarse correction."""
    for part in parts(v, grid, strip):
        with v.loop(part.begin, part.end) as loop:
            i = loop.index
            moved = widen(v, load4(v, e, v.load_index(finest, i)))
            store(v, z, i, v.add(v.multiply(_turning(v, grid, inverse, i), moved), load8(v, z, i)))


@vector_code
def relax_back(v: Vectors, grid: Any, strip: Any, memory: Any) -> None:
    """Relax backwards, and note r z lane by lane."""
    inverse, r, z = memory.inverse, memory.r, memory.z
    sums = zero_sums(v)
    for part in reversed(parts(v, grid, strip)):
        with v.loop(part.begin, part.end, sums, backwards=True) as loop:
            i = loop.index
            right = load8(v, r, i)
            s = _around(v, part, i, right, lambda total, weight, j: scale_add(v, weight, load8(v, z, j), total))
            s = _apply_block(v, inverse, i, s)
            store(v, z, i, s)
            loop.value = add_products(v, loop.value, s, right)
        sums = loop.value
    store(v, memory.rz, strip, sums)


def _data(v: Vectors, a: Any, value: Any) -> Any:
    weights = opacities(v, a)
    mixed = v.multiply(weights, value)
    return v.multiply(weights, v.add(mixed, swap(v, mixed)))


@vector_code
def turn(v: Vectors, grid: Any, strip: Any, thread: Any, memory: Any) -> None:
    """P = z + beta p and q = A p = A z + beta q; note p q lane by lane."""
    p, q, z = memory.p, memory.q, memory.z
    beta = load8(v, memory.beta, thread)
    sums = zero_sums(v)
    for part in parts(v, grid, strip):
        with v.loop(part.begin, part.end, sums) as loop:
            i = loop.index
            here = load8(v, z, i)
            s = v.add(v.multiply(beta, load8(v, q, i)), _data(v, v.load_scalar(grid.share, i), here))
            s = _around(v, part, i, s, _difference(v, z, here, 1))
            store(v, q, i, s)
            along = v.add(v.multiply(beta, load8(v, p, i)), here)
            store(v, p, i, along)
            loop.value = add_products(v, loop.value, along, s)
        sums = loop.value
    store(v, memory.pq, strip, sums)


def _difference(v: Vectors, values: Any, here: Any, sign: int) -> _Term:
    """Adds what a node has more than its neighbour, or less."""

    def term(total: Any, weight: Any, j: Any) -> Any:
        there = load8(v, values, j)
        return scale_add(v, weight, v.subtract(*(here, there)[::sign]), total)

    return term


@vector_code
def set_residual(v: Vectors, grid: Any, strip: Any, x: Any, r: Any) -> None:
    """B - A x where the layers blend to the photograph: only the smoothness is left."""
    for part in parts(v, grid, strip):
        with v.loop(part.begin, part.end) as loop:
            term = _difference(v, x, load8(v, x, loop.index), -1)
            store(v, r, loop.index, _around(v, part, loop.index, zeros(v, 8), term))


@vector_code
def ratio(v: Vectors, above: Any, below: Any, strips: Any, out: Any, thread: Any) -> None:
    """Of the sums over F and B of each channel; 0 where the lower one is 0."""
    totals = []
    for rows in (above, below):
        with v.loop(v.index(0), strips, zero_sums(v)) as loop:
            loop.value = v.add(loop.value, load_sums(v, rows, loop.index))
        totals.append(fold(v, loop.value))
    nothing = totals[0].type(None)
    b = v.builder
    share = b.select(b.fcmp_ordered(">", totals[1], nothing), v.divide(*totals), nothing)
    store(v, out, thread, widen(v, b.fptrunc(share, zeros(v, 4).type)))


@vector_code
def clear_parents(v: Vectors, starts: Any, begin: Any, end: Any, values: Any) -> None:
    """Zero the coarse nodes of some strips."""
    clear(v, v.load_index(starts, begin), v.load_index(starts, end), values)


@vector_code
def keep_sums(v: Vectors, values: Any, target: Any, row: Any) -> None:
    """Keep the sums of a strip."""
    store(v, target, row, load_sums(v, values, row))


@vector_code
def largest(v: Vectors, values: Any, rows: Any) -> Float:
    """The largest absolute value of all."""
    with v.loop(v.index(0), rows, zeros(v, 8)) as loop:
        loop.value = peak(v, loop.value, load8(v, values, loop.index))
    lanes = [v.builder.extract_element(loop.value, INT(n)) for n in range(8)]
    return reduce(lambda a, b: v.builder.select(v.builder.fcmp_ordered("<", a, b), b, a), lanes)
