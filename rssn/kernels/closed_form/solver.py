"""Conjugate gradients for the closed form.

A step is preconditioned by a sweep over the nodes forwards, a multigrid cycle in t = F - B, and a sweep backwards. What
belongs to one pass over memory is done in one: bandwidth is what limits them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rssn.kernels.closed_form.levels import cycle
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
    zeros8,
)
from rssn.kernels.compiling import compiled

_ONE = np.float32(1.0)
QUIET_STEPS, PATIENT_STEPS, FEW_UNKNOWNS = 4, 20, 60_000
_SLOWNESS = 4
"""Steps in a row that must be small: one alone may be small while a slow error waits for its turn. Few unknowns make
steps cheap, and more of them are taken; and a solve that needed long, as soft mattes do, must stand still for a quarter
of its steps."""


@compiled
def invert_blocks(grid: Any) -> Any:
    """Inverse of each node's 2 x 2 block over (F, B): N x 3, the elements FF, FB, BB."""
    pixels, nodes = len(grid.near), len(grid.share)
    inverse = np.empty((nodes, 4), np.float32)
    for i in range(nodes):
        total = 0.0
        if i < pixels:
            for slot in range(4):
                total += grid.near_weight[i, slot]
        else:
            for slot in range(8):
                total += grid.far_weight[i - pixels, slot]
        a = float(grid.share[i])
        b = 1.0 - a
        determinant = total * (total + a * a + b * b)
        inverse[i, 0] = (b * b + total) / determinant
        inverse[i, 1] = -a * b / determinant
        inverse[i, 2] = (a * a + total) / determinant
        inverse[i, 3] = 1.0 / np.sqrt(a * a + b * b)
    return inverse


@compiled
def _apply_block(inverse: Any, i: Any, value: Any) -> Any:
    return multiply_add(halves(inverse[i, 0], inverse[i, 2]), value, scale(inverse[i, 1], swap(value)))


@compiled
def _advance(grid: Any, inverse: Any, gamma: Any, x: Any, r: Any, p: Any, q: Any, z: Any, out: Any) -> Any:
    """Step along p, update the residual, relax forwards from zero; out = the largest step weighted by alpha."""
    pixels, nodes = len(grid.near), len(grid.share)
    z[pixels:] = 0.0
    g = load8(gamma, 0)
    worst = zeros8()
    for i in range(pixels):
        a = grid.share[i]
        step = multiply(g, load8(p, i))
        store(x, i, add(load8(x, i), step))
        worst = peak(worst, multiply(halves(a, _ONE - a), step))
        s = subtract(load8(r, i), multiply(g, load8(q, i)))
        store(r, i, s)
        s = scale_add(grid.near_weight[i, 0], load8(z, grid.near[i, 0]), s)
        s = scale_add(grid.near_weight[i, 1], load8(z, grid.near[i, 1]), s)
        store(z, i, _apply_block(inverse, i, s))
    store(out, 0, worst)
    for i in range(pixels, nodes):
        store(x, i, multiply_add(g, load8(p, i), load8(x, i)))
        s = subtract(load8(r, i), multiply(g, load8(q, i)))
        store(r, i, s)
        for slot in range(8):
            j = grid.far[i - pixels, slot]
            if j < i:
                s = scale_add(grid.far_weight[i - pixels, slot], load8(z, j), s)
        store(z, i, _apply_block(inverse, i, s))


@compiled
def _turning(grid: Any, inverse: Any, i: Any) -> Any:
    """Unit vector (F, B) along which the blend stays as it is."""
    a = grid.share[i]
    n = inverse[i, 3]
    return halves((_ONE - a) * n, -a * n)


@compiled
def _restrict(grid: Any, inverse: Any, finest: Any, z: Any, coarse: Any) -> Any:
    """Residual after the forward sweep, in t, summed over each parent."""
    pixels, nodes = len(grid.near), len(grid.share)
    for i in range(pixels):
        s = scale(grid.near_weight[i, 2], load8(z, grid.near[i, 2]))
        s = scale_add(grid.near_weight[i, 3], load8(z, grid.near[i, 3]), s)
        for slot in range(2):
            j = grid.near[i, slot]
            if j >= pixels:
                s = scale_add(grid.near_weight[i, slot], load8(z, j), s)
        store(coarse, finest[i], add(load4(coarse, finest[i]), fold(multiply(_turning(grid, inverse, i), s))))
    for i in range(pixels, nodes):
        s = zeros8()
        for slot in range(8):
            j = grid.far[i - pixels, slot]
            if j > i:
                s = scale_add(grid.far_weight[i - pixels, slot], load8(z, j), s)
        store(coarse, finest[i], add(load4(coarse, finest[i]), fold(multiply(_turning(grid, inverse, i), s))))


@compiled
def _correct(grid: Any, inverse: Any, finest: Any, e: Any, r: Any, z: Any, out: Any) -> Any:
    """Add the coarse correction, relax backwards; out = r z lane by lane."""
    pixels, nodes = len(grid.near), len(grid.share)
    for i in range(nodes):
        store(z, i, multiply_add(_turning(grid, inverse, i), widen(load4(e, finest[i])), load8(z, i)))
    sums = zero_sums()
    for i in range(nodes - 1, pixels - 1, -1):
        s = load8(r, i)
        for slot in range(8):
            s = scale_add(grid.far_weight[i - pixels, slot], load8(z, grid.far[i - pixels, slot]), s)
        s = _apply_block(inverse, i, s)
        store(z, i, s)
        sums = add_products(sums, s, load8(r, i))
    for i in range(pixels - 1, -1, -1):
        s = load8(r, i)
        for slot in range(4):
            s = scale_add(grid.near_weight[i, slot], load8(z, grid.near[i, slot]), s)
        s = _apply_block(inverse, i, s)
        store(z, i, s)
        sums = add_products(sums, s, load8(r, i))
    store(out, 0, sums)


@compiled
def _data(a: Any, value: Any) -> Any:
    weights = halves(a, _ONE - a)
    mixed = multiply(weights, value)
    return multiply(weights, add(mixed, swap(mixed)))


@compiled
def _turn(grid: Any, beta: Any, z: Any, p: Any, q: Any, out: Any) -> Any:
    """P = z + beta p and q = A p = A z + beta q; out = p q lane by lane."""
    pixels, nodes = len(grid.near), len(grid.share)
    b = load8(beta, 0)
    sums = zero_sums()
    for i in range(nodes):
        here = load8(z, i)
        s = multiply_add(b, load8(q, i), _data(grid.share[i], here))
        if i < pixels:
            for slot in range(4):
                s = scale_add(grid.near_weight[i, slot], subtract(here, load8(z, grid.near[i, slot])), s)
        else:
            for slot in range(8):
                s = scale_add(
                    grid.far_weight[i - pixels, slot], subtract(here, load8(z, grid.far[i - pixels, slot])), s
                )
        store(q, i, s)
        along = multiply_add(b, load8(p, i), here)
        store(p, i, along)
        sums = add_products(sums, along, s)
    store(out, 0, sums)


@compiled
def _residual(grid: Any, x: Any) -> Any:
    """B - A x where the layers blend to the photograph: only the smoothness is left."""
    pixels, nodes = len(grid.near), len(grid.share)
    r = np.empty_like(x)
    for i in range(nodes):
        s = zeros8()
        here = load8(x, i)
        if i < pixels:
            for slot in range(4):
                s = scale_add(grid.near_weight[i, slot], subtract(load8(x, grid.near[i, slot]), here), s)
        else:
            for slot in range(8):
                s = scale_add(
                    grid.far_weight[i - pixels, slot], subtract(load8(x, grid.far[i - pixels, slot]), here), s
                )
        store(r, i, s)
    return r


@compiled
def _ratio(above: Any, below: Any, out: Any) -> Any:
    for c in range(3):
        total = below[0, c] + below[0, c + 4]
        out[0, c] = out[0, c + 4] = (above[0, c] + above[0, c + 4]) / total if total > 0.0 else 0.0


@compiled
def iterate(grid: Any, levels: Any, x: Any, fixed: Any, tolerance: float, most: int) -> int:
    """Conjugate gradients from `x` until it stands still, see `native`; returns the steps, or -1 at the limit.

    In `x` the layers of each node blend to the photograph; `fixed` nodes keep their values.
    """
    inverse = invert_blocks(grid)
    for i in range(len(fixed)):
        if fixed[i]:
            inverse[i] = 0.0
    r = _residual(grid, x)
    p, q, z = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    e = np.zeros((levels.start[-1], 4), np.float32)
    right, kept = np.zeros_like(e), np.zeros_like(e)
    gamma, beta, worst = np.zeros((1, 8), np.float32), np.zeros((1, 8), np.float32), np.zeros((1, 8), np.float32)
    rz, old, pq = np.zeros((1, 8)), np.zeros((1, 8)), np.zeros((1, 8))
    enough = PATIENT_STEPS if len(grid.share) < FEW_UNKNOWNS else QUIET_STEPS
    quiet = 0
    for step in range(most + 1):
        _advance(grid, inverse, gamma, x, r, p, q, z, worst)
        quiet = quiet + 1 if step > 0 and worst.max() <= tolerance else 0
        if quiet >= max(enough, step // _SLOWNESS):
            return step
        right[: levels.start[1]] = 0.0
        _restrict(grid, inverse, levels.finest, z, right)
        cycle(levels, e, right, kept)
        for lane in range(8):
            old[0, lane] = rz[0, lane]
        _correct(grid, inverse, levels.finest, e, r, z, rz)
        _ratio(rz, old, beta)
        _turn(grid, beta, z, p, q, pq)
        _ratio(rz, pq, gamma)
    return -1
