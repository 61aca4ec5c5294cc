"""Conjugate gradients for the closed form.

A step is preconditioned by a sweep over the nodes forwards, a multigrid cycle in t = F - B, and a sweep backwards. Each
thread does the passes over strips of its own. A sweep is Gauss-Seidel within a strip and takes from others what was
there before it, and sums are added up strip by strip, so that nothing depends on how many threads there are.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rssn.kernels.closed_form.cycle import Plan, cycle, plan_cycle
from rssn.kernels.closed_form.grid import Floats, Grid
from rssn.kernels.closed_form.levels import Levels
from rssn.kernels.closed_form.passes import (
    advance,
    clear_parents,
    correct,
    invert_blocks,
    keep_sums,
    largest,
    ratio,
    relax_back,
    restrict,
    see_others,
    set_residual,
    turn,
)
from rssn.kernels.closed_form.team import Team, meet, own_strips
from rssn.kernels.compiling import compiled

QUIET_STEPS, PATIENT_STEPS, FEW_UNKNOWNS = 4, 20, 60_000
_SLOWNESS = 4
"""Steps in a row that must be small: one alone may be small while a slow error waits for its turn. Few unknowns make
steps cheap, and more of them are taken; and a solve that needed long, as soft mattes do, must stand still for a quarter
of its steps."""


class Memory(NamedTuple):
    """What the threads of a solve share, N nodes with a halo of G, n coarse nodes, S strips and T threads."""

    inverse: Floats  # N x 4
    r: Floats  # N x 8, the residual
    p: Floats  # N x 8, the direction of search
    q: Floats  # N x 8, A p
    z: Floats  # N + G x 8, the preconditioned residual
    coarse: tuple[Floats, Floats, Floats, Floats]  # n x 4, see `cycle`
    rz: npt.NDArray[np.float64]  # S x 8, r z lane by lane
    old: npt.NDArray[np.float64]  # S x 8, r z of the step before
    pq: npt.NDArray[np.float64]  # S x 8, p q
    worst: Floats  # S x 8, the largest weighted changes
    gamma: Floats  # T x 8, how far to go along p
    beta: Floats  # T x 8, how much of p stays in the next one


def make_memory(grid: Grid, levels: Levels, threads: int) -> Memory:
    """Memory for a solve."""
    strips = len(grid.halo)
    p, q, z = (np.zeros((grid.nodes + more, 8), np.float32) for more in (0, 0, grid.halo.size))
    r, inverse = (np.empty((grid.nodes, lanes), np.float32) for lanes in (8, 4))
    e, right, before, kept = (np.zeros((levels.bounds[-1, -1], 4), np.float32) for _ in range(4))
    rz, old, pq = (np.zeros((strips, 8), np.float64) for _ in range(3))
    worst, gamma, beta = (np.zeros((rows, 8), np.float32) for rows in (strips, threads, threads))
    return Memory(inverse, r, p, q, z, (e, right, before, kept), rz, old, pq, worst, gamma, beta)


class Limits(NamedTuple):
    """When a solve ends."""

    change: float  # the largest weighted change of a value in each of the last steps
    steps: int  # at most


class Share(NamedTuple):
    """What one of the threads does: strips begin to end - 1, and its part of each cycle."""

    begin: int
    end: int
    plan: Plan


def share_out(levels: Levels, team: Team) -> Share:
    """The share of a thread."""
    return Share(*own_strips(team, levels.bounds.shape[1] - 1), plan_cycle(levels.bounds, team))


@compiled
def iterate(grid: Any, levels: Any, x: Any, fixed: Any, limits: Any, memory: Any, share: Any, team: Any) -> int:
    """Conjugate gradients from `x` until it stands still, see `native`; returns the steps, or -1 at the limit.

    In `x`, which has rows for the halo, the layers of each node blend to the photograph; `fixed` nodes keep their
    values. All threads of the team call this. They meet before a pass that reads what others have written in the one
    before, or writes what they have read.
    """
    inverse, r, z, rz, old = memory.inverse, memory.r, memory.z, memory.rz, memory.old
    e, right, before, kept = memory.coarse
    strips, thread, begin, end = len(grid.halo), team.me, share.begin, share.end
    for strip in range(begin, end):
        invert_blocks(grid, strip, fixed, inverse)
        see_others(grid, strip, x)
        set_residual(grid, strip, x, r)
    meet(team)
    enough = PATIENT_STEPS if grid.nodes < FEW_UNKNOWNS else QUIET_STEPS
    quiet = 0
    for step in range(limits.steps + 1):
        for strip in range(begin, end):
            advance(grid, strip, thread, x, memory)
        meet(team)
        quiet = quiet + 1 if step > 0 and largest(memory.worst, strips) <= limits.change else 0
        if quiet >= max(enough, step // _SLOWNESS):
            return step
        clear_parents(levels.bounds, begin, end, right)
        for strip in range(begin, end):
            see_others(grid, strip, z)
            restrict(grid, strip, inverse, levels.finest, z, right)
        meet(team)
        cycle(share.plan, levels, e, right, before, kept, team)
        meet(team)
        for strip in range(begin, end):
            correct(grid, strip, inverse, levels.finest, e, z)
        meet(team)
        for strip in range(begin, end):
            see_others(grid, strip, z)
            keep_sums(rz, old, strip)
        meet(team)
        for strip in range(begin, end):
            relax_back(grid, strip, memory)
        meet(team)
        ratio(rz, old, strips, memory.beta, thread)
        for strip in range(begin, end):
            see_others(grid, strip, z)
            turn(grid, strip, thread, memory)
        meet(team)
        ratio(rz, memory.pq, strips, memory.gamma, thread)
    return -1
