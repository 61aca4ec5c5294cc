"""Conjugate gradients for the closed form.

A step is preconditioned by a sweep over the nodes forwards, a multigrid cycle in t = F - B, and a sweep backwards. What
belongs to one pass over memory is done in one: bandwidth is what limits them. Each thread does the passes over strips
of its own. A sweep is Gauss-Seidel within a strip and takes from others what was there before it, and sums are added up
strip by strip, so that nothing depends on how many threads there are.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rssn.kernels.closed_form.cycle import cycle
from rssn.kernels.closed_form.grid import Floats, Grid
from rssn.kernels.closed_form.levels import Levels
from rssn.kernels.closed_form.nodes import (
    add,
    add_products,
    fold,
    halves,
    load4,
    load8,
    multiply,
    multiply_add,
    peak,
    scale,
    scale_add,
    store,
    subtract,
    swap,
    widen,
    zero_sums,
    zeros4,
    zeros8,
)
from rssn.kernels.closed_form.team import meet, own_strips
from rssn.kernels.compiling import compiled, inlined

_ONE = np.float32(1.0)
QUIET_STEPS, PATIENT_STEPS, FEW_UNKNOWNS = 4, 20, 60_000
_SLOWNESS = 4
"""Steps in a row that must be small: one alone may be small while a slow error waits for its turn. Few unknowns make
steps cheap, and more of them are taken; and a solve that needed long, as soft mattes do, must stand still for a quarter
of its steps."""


class Memory(NamedTuple):
    """What the threads of a solve share, N nodes with a halo of G, n coarse nodes and S strips."""

    inverse: Floats  # N x 4
    r: Floats  # N x 8, the residual
    p: Floats  # N x 8, the direction of search
    q: Floats  # N x 8, A p
    z: Floats  # N + G x 8, the preconditioned residual
    coarse: tuple[Floats, Floats, Floats, Floats]  # n x 4, see `cycle`
    rz: npt.NDArray[np.float64]  # S x 8, r z lane by lane
    pq: npt.NDArray[np.float64]  # S x 8, p q
    worst: Floats  # S x 8, the largest weighted changes


def make_memory(grid: Grid, levels: Levels) -> Memory:
    """Memory for a solve."""
    nodes, strips = len(grid.share), len(grid.halo)
    p, q, z = (np.zeros((nodes + more, 8), np.float32) for more in (0, 0, grid.halo.size))
    r = np.empty((nodes, 8), np.float32)
    e, right, before, kept = (np.zeros((levels.bounds[-1, -1], 4), np.float32) for _ in range(4))
    rz, pq = (np.zeros((strips, 8), np.float64) for _ in range(2))
    inverse, worst = np.empty((nodes, 4), np.float32), np.zeros((strips, 8), np.float32)
    return Memory(inverse, r, p, q, z, (e, right, before, kept), rz, pq, worst)


@inlined
def _nodes(grid: Any, strip: int) -> Any:
    """The strip's first pixel and the end of its pixels, the first square and the end, as nodes."""
    pixels = len(grid.near)
    return (
        grid.strips[strip, 1],
        grid.strips[strip + 1, 1],
        pixels + grid.strips[strip, 2],
        pixels + grid.strips[strip + 1, 2],
    )


@inlined
def _invert_blocks(grid: Any, strip: int, fixed: Any, inverse: Any) -> None:
    """Of each node the inverse of its 2 x 2 block (F, B): FF, FB, BB, and 1 / |(a, 1 - a)|; all 0 of fixed ones."""
    near_weight, far_weight, share = grid.near_weight, grid.far_weight, grid.share
    pixels = len(grid.near)
    first, last, square, last_square = _nodes(grid, strip)
    for begin, end in ((first, last), (square, last_square)):
        for i in range(begin, end):
            total = 0.0
            if i < pixels:
                for slot in range(4):
                    total += near_weight[i, slot]
            else:
                for slot in range(8):
                    total += far_weight[i - pixels, slot]
            a = float(share[i])
            b = 1.0 - a
            determinant = total * (total + a * a + b * b)
            inverse[i, 0] = (b * b + total) / determinant
            inverse[i, 1] = -a * b / determinant
            inverse[i, 2] = (a * a + total) / determinant
            inverse[i, 3] = 1.0 / np.sqrt(a * a + b * b)
            if fixed[i]:
                store(inverse, i, zeros4())


@compiled
def _see_others(grid: Any, strip: int, z: Any) -> None:
    """Copy what other strips have at the edges of this one into its halo."""
    begin = len(grid.share) + strip * grid.halo.shape[1]
    for k in range(grid.halo_size[strip]):
        store(z, begin + k, load8(z, grid.halo[strip, k]))


@inlined
def _apply_block(inverse: Any, i: Any, value: Any) -> Any:
    return multiply_add(halves(inverse[i, 0], inverse[i, 2]), value, scale(inverse[i, 1], swap(value)))


@inlined
def _advance(grid: Any, strip: int, gamma: Any, x: Any, memory: Any) -> None:
    """Step along p, update the residual, relax forwards from zero; note the largest step weighted by alpha."""
    near_weight, near, far_weight, far, share = grid.near_weight, grid.near, grid.far_weight, grid.far, grid.share
    inverse, r, p, q, z = memory.inverse, memory.r, memory.p, memory.q, memory.z
    pixels, halo = len(near), len(share) + strip * grid.halo.shape[1]
    first, last, square, last_square = _nodes(grid, strip)
    for i in range(square, last_square):
        store(z, i, zeros8())
    z[halo : halo + grid.halo_size[strip]] = 0.0
    g = load8(gamma, 0)
    worst = zeros8()
    for i in range(first, last):
        a = share[i]
        step = multiply(g, load8(p, i))
        store(x, i, add(load8(x, i), step))
        worst = peak(worst, multiply(halves(a, _ONE - a), step))
        s = subtract(load8(r, i), multiply(g, load8(q, i)))
        store(r, i, s)
        s = scale_add(near_weight[i, 0], load8(z, near[i, 0]), s)
        s = scale_add(near_weight[i, 1], load8(z, near[i, 1]), s)
        store(z, i, _apply_block(inverse, i, s))
    store(memory.worst, strip, worst)
    for i in range(square, last_square):
        store(x, i, multiply_add(g, load8(p, i), load8(x, i)))
        s = subtract(load8(r, i), multiply(g, load8(q, i)))
        store(r, i, s)
        for slot in range(8):
            j = far[i - pixels, slot]
            if j < i:
                s = scale_add(far_weight[i - pixels, slot], load8(z, j), s)
        store(z, i, _apply_block(inverse, i, s))


@inlined
def _turning(grid: Any, inverse: Any, i: Any) -> Any:
    """Unit vector (F, B) along which the blend stays as it is."""
    a = grid.share[i]
    n = inverse[i, 3]
    return halves((_ONE - a) * n, -a * n)


@inlined
def _restrict(grid: Any, strip: int, inverse: Any, finest: Any, z: Any, coarse: Any) -> None:
    """Residual after the forward sweep, in t, summed over each parent."""
    near_weight, near, far_weight, far = grid.near_weight, grid.near, grid.far_weight, grid.far
    pixels = len(near)
    first, last, square, last_square = _nodes(grid, strip)
    for i in range(first, last):
        s = scale(near_weight[i, 2], load8(z, near[i, 2]))
        s = scale_add(near_weight[i, 3], load8(z, near[i, 3]), s)
        for slot in range(2):
            j = near[i, slot]
            if j >= pixels:
                s = scale_add(near_weight[i, slot], load8(z, j), s)
        store(coarse, finest[i], add(load4(coarse, finest[i]), fold(multiply(_turning(grid, inverse, i), s))))
    for i in range(square, last_square):
        s = zeros8()
        for slot in range(8):
            j = far[i - pixels, slot]
            if j > i:
                s = scale_add(far_weight[i - pixels, slot], load8(z, j), s)
        store(coarse, finest[i], add(load4(coarse, finest[i]), fold(multiply(_turning(grid, inverse, i), s))))


@inlined
def _correct(grid: Any, strip: int, inverse: Any, finest: Any, e: Any, z: Any) -> None:
    """Add the coarse correction."""
    first, last, square, last_square = _nodes(grid, strip)
    for begin, end in ((first, last), (square, last_square)):
        for i in range(begin, end):
            store(z, i, multiply_add(_turning(grid, inverse, i), widen(load4(e, finest[i])), load8(z, i)))


@inlined
def _relax_back(grid: Any, strip: int, inverse: Any, r: Any, z: Any, out: Any) -> None:
    """Relax backwards, and note r z lane by lane."""
    near_weight, near, far_weight, far = grid.near_weight, grid.near, grid.far_weight, grid.far
    pixels = len(near)
    first, last, square, last_square = _nodes(grid, strip)
    sums = zero_sums()
    for i in range(last_square - 1, square - 1, -1):
        s = load8(r, i)
        for slot in range(8):
            s = scale_add(far_weight[i - pixels, slot], load8(z, far[i - pixels, slot]), s)
        s = _apply_block(inverse, i, s)
        store(z, i, s)
        sums = add_products(sums, s, load8(r, i))
    for i in range(last - 1, first - 1, -1):
        s = load8(r, i)
        for slot in range(4):
            s = scale_add(near_weight[i, slot], load8(z, near[i, slot]), s)
        s = _apply_block(inverse, i, s)
        store(z, i, s)
        sums = add_products(sums, s, load8(r, i))
    store(out, strip, sums)


@inlined
def _data(a: Any, value: Any) -> Any:
    weights = halves(a, _ONE - a)
    mixed = multiply(weights, value)
    return multiply(weights, add(mixed, swap(mixed)))


@inlined
def _turn(grid: Any, strip: int, beta: Any, memory: Any) -> None:
    """P = z + beta p and q = A p = A z + beta q; note p q lane by lane."""
    near_weight, near, far_weight, far, share = grid.near_weight, grid.near, grid.far_weight, grid.far, grid.share
    p, q, z = memory.p, memory.q, memory.z
    pixels = len(near)
    first, last, square, last_square = _nodes(grid, strip)
    b = load8(beta, 0)
    sums = zero_sums()
    for begin, end in ((first, last), (square, last_square)):
        for i in range(begin, end):
            here = load8(z, i)
            s = multiply_add(b, load8(q, i), _data(share[i], here))
            if i < pixels:
                for slot in range(4):
                    s = scale_add(near_weight[i, slot], subtract(here, load8(z, near[i, slot])), s)
            else:
                for slot in range(8):
                    j = far[i - pixels, slot]
                    s = scale_add(far_weight[i - pixels, slot], subtract(here, load8(z, j)), s)
            store(q, i, s)
            along = multiply_add(b, load8(p, i), here)
            store(p, i, along)
            sums = add_products(sums, along, s)
    store(memory.pq, strip, sums)


@inlined
def _set_residual(grid: Any, strip: int, x: Any, r: Any) -> None:
    """B - A x where the layers blend to the photograph: only the smoothness is left."""
    near_weight, near, far_weight, far = grid.near_weight, grid.near, grid.far_weight, grid.far
    pixels = len(near)
    first, last, square, last_square = _nodes(grid, strip)
    for begin, end in ((first, last), (square, last_square)):
        for i in range(begin, end):
            s = zeros8()
            here = load8(x, i)
            if i < pixels:
                for slot in range(4):
                    s = scale_add(near_weight[i, slot], subtract(load8(x, near[i, slot]), here), s)
            else:
                for slot in range(8):
                    j = far[i - pixels, slot]
                    s = scale_add(far_weight[i - pixels, slot], subtract(load8(x, j), here), s)
            store(r, i, s)


@inlined
def _ratio(above: Any, below: Any, out: Any) -> None:
    """Of the sums over F and B of each channel; 0 where the lower one is 0."""
    for c in range(3):
        total = below[:, c].sum() + below[:, c + 4].sum()
        out[0, c] = out[0, c + 4] = (above[:, c].sum() + above[:, c + 4].sum()) / total if total > 0.0 else 0.0


@inlined
def _clear(values: Any, low: int, high: int) -> None:
    for i in range(low, high):
        store(values, i, zeros4())


@inlined
def _copy(values: Any, target: Any) -> None:
    for row in range(values.shape[0]):
        for lane in range(values.shape[1]):
            target[row, lane] = values[row, lane]


@inlined
def _largest(values: Any) -> Any:
    found = values[0, 0]
    for row in range(values.shape[0]):
        for lane in range(values.shape[1]):
            found = max(found, values[row, lane])
    return found


@compiled
def iterate(grid: Any, levels: Any, x: Any, fixed: Any, tolerance: float, most: int, memory: Any, team: Any) -> int:
    """Conjugate gradients from `x` until it stands still, see `native`; returns the steps, or -1 at the limit.

    In `x`, which has rows for the halo, the layers of each node blend to the photograph; `fixed` nodes keep their
    values. All threads of the team call this. They meet before a pass that reads what others have written in the one
    before, or writes what they have read.
    """
    inverse, r, z, rz = memory.inverse, memory.r, memory.z, memory.rz
    e, right, before, kept = memory.coarse
    begin, end = own_strips(team, len(grid.halo))
    for strip in range(begin, end):
        _invert_blocks(grid, strip, fixed, inverse)
        _see_others(grid, strip, x)
        _set_residual(grid, strip, x, r)
    meet(team)
    gamma, beta = np.zeros((1, 8), np.float32), np.zeros((1, 8), np.float32)
    old = np.zeros_like(rz)
    enough = PATIENT_STEPS if len(grid.share) < FEW_UNKNOWNS else QUIET_STEPS
    quiet = 0
    for step in range(most + 1):
        for strip in range(begin, end):
            _advance(grid, strip, gamma, x, memory)
        meet(team)
        quiet = quiet + 1 if step > 0 and _largest(memory.worst) <= tolerance else 0
        if quiet >= max(enough, step // _SLOWNESS):
            return step
        _clear(right, levels.bounds[0, begin], levels.bounds[0, end])
        for strip in range(begin, end):
            _see_others(grid, strip, z)
            _restrict(grid, strip, inverse, levels.finest, z, right)
        meet(team)
        cycle(levels, e, right, before, kept, team)
        meet(team)
        for strip in range(begin, end):
            _correct(grid, strip, inverse, levels.finest, e, z)
        meet(team)
        for strip in range(begin, end):
            _see_others(grid, strip, z)
        _copy(rz, old)
        meet(team)
        for strip in range(begin, end):
            _relax_back(grid, strip, inverse, r, z, rz)
        meet(team)
        _ratio(rz, old, beta)
        for strip in range(begin, end):
            _see_others(grid, strip, z)
            _turn(grid, strip, beta, memory)
        meet(team)
        _ratio(rz, memory.pq, gamma)
    return -1
