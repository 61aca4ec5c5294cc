"""Levin's closed form for F and B (Levin, Lischinski and Weiss 2007, section 5), solved by our own multigrid.

Minimises the energy that pymatting's `estimate_foreground_cf` minimises: over all pixels the square of
alpha F + (1 - alpha) B - I, plus, over all pairs of neighbours, (epsilon + |difference of alpha|) times the square of
the difference of F, and the same for B. Unknowns stand at full resolution only where alpha is fractional or steps;
elsewhere squares of a graded quadtree carry the far values. The solver is conjugate gradients in float32, three
channels at once, preconditioned by a symmetric sweep over the 2 x 2 blocks (F, B) of the nodes and by an algebraic
multigrid in F - B, which the sweep alone hardly moves.

It stops when four steps in a row, and the last quarter of all, moved no value of F or B, weighted by its layer's
opacity, by more than 0.3/255; that is what it takes for each of 7 photographs of AM-2k to end within 1/255 of the
converged solution (worst: F 0.55/255, B 0.52/255), and of 22 at half of their size (0.16/255). Where alpha is 1, F is
the photograph, and B where alpha is 0; the minimum of the energy smooths both across edges of alpha, and differs from
the photograph there. `tests.benchmarks.bench_levin` prints both. Smoke and veils that are soft everywhere take several
times the steps of a photograph.

All of it but the smallest levels is done strip by strip, by as many threads as are asked for; the strips follow from
alpha alone, and so does every byte.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from rssn.image.arrays import Alpha, Image
from rssn.kernels.closed_form.grid import MOST_STRIPS, Floats, Grid, build_grid
from rssn.kernels.closed_form.layers import average, fill_pixels, fill_squares
from rssn.kernels.closed_form.levels import build_levels
from rssn.kernels.closed_form.solver import Limits, iterate, make_memory, share_out
from rssn.kernels.closed_form.team import Team, make_team, released
from rssn.kernels.compiling import compiled
from rssn.kernels.threads import Each, alone, sharing

LIMITS = Limits(0.3 / 255, 100)


Edges: TypeAlias = tuple[bool, bool, bool, bool]
"""Left, top, right and bottom."""


class Solution(NamedTuple):
    """F and B of a photograph."""

    foreground: Image  # H x W x 3 in [0, 1]; the photograph where alpha is 1
    background: Image  # H x W x 3 in [0, 1]; the photograph where alpha is 0
    steps: int  # of the solver; -1 where it reached its limit


def solve(image: Image, alpha: Alpha, regularization: float, threads: int = 1) -> Solution:
    """Solve for F and B.

    Args:
        image: Photograph, H x W x 3 float32 in [0, 1].
        alpha: H x W float32 in [0, 1], not the same everywhere.
        regularization: Epsilon of the energy, above 0.
        threads: How many work on it, at most 4; the result does not depend on it.
    """
    threads = min(threads, MOST_STRIPS)
    with sharing(threads) as each:
        grid = build_grid(alpha, regularization, each)
        values = _node_means(image, image, grid, each)
        return _solution(image, alpha, grid, values, np.zeros(grid.nodes, np.bool_), threads, each)


def refine(image: Image, alpha: Alpha, regularization: float, guess: tuple[Image, Image], held: Edges) -> Solution:
    """Solve likewise for a part of a photograph, from a guess that is kept along its edges.

    Args:
        image: The part, H x W x 3 float32 in [0, 1].
        alpha: H x W float32 in [0, 1].
        regularization: Epsilon of the energy, above 0.
        guess: F and B, each H x W x 3 float32 in [0, 1].
        held: The edges at which the photograph goes on, one at least: there the guess is kept.
    """
    grid = build_grid(alpha, regularization)
    values = _node_means(*guess, grid)
    _blend_exactly(grid.share, _node_means(image, image, grid), values)
    fixed = np.zeros(grid.nodes, np.bool_)
    for nodes, kept in zip((grid.node[:, 0], grid.node[0], grid.node[:, -1], grid.node[-1]), held, strict=True):
        fixed[nodes] |= kept
    return _solution(image, alpha, grid, values, fixed)


def _solution(
    image: Image,
    alpha: Alpha,
    grid: Grid,
    values: Any,
    fixed: npt.NDArray[np.bool_],
    threads: int = 1,
    each: Each = alone,
) -> Solution:
    """Iterate from values of the nodes, N x 8, of which some are fixed, and fill the layers."""
    levels, strips = build_levels(grid, fixed, each), len(grid.halo)
    team = make_team(min(threads, strips))
    memory = make_memory(grid, levels, len(team))

    def work(me: Team) -> int:
        with released(me):
            return iterate(grid, levels, values, fixed, LIMITS, memory, share_out(levels, me), me)

    with released(team[0]):
        steps, *_ = each(work, team)
    foreground, background = (np.empty_like(image, order="C") for _ in range(2))
    each(lambda strip: _fill(grid, strip, values, image, alpha, foreground, background), range(strips))
    return Solution(foreground, background, steps)


def _node_means(first: Image, second: Image, grid: Grid, each: Each = alone) -> Floats:
    """Two pictures at each node, their means over a square: N x 8, the fourth and the last 0, and rows for the halo."""
    means = np.zeros((grid.nodes + grid.halo.size, 8), np.float32)
    each(lambda strip: _average(first, second, grid, strip, means), range(len(grid.halo)))
    return means


@compiled
def _average(first: Any, second: Any, grid: Any, strip: int, means: Any) -> None:
    average(first, second, grid, strip, means)


@compiled
def _blend_exactly(share: Any, seen: Any, values: Any) -> None:
    """Move F and B of each node the shortest way to where their blend is the photograph; `iterate` relies on it."""
    for i in range(len(share)):
        a = share[i]
        b = np.float32(1.0) - a
        for c in range(3):
            missing = (seen[i, c] - a * values[i, c] - b * values[i, c + 4]) / (a * a + b * b)
            values[i, c] += a * missing
            values[i, c + 4] += b * missing


@compiled
def _fill(grid: Any, strip: int, values: Any, image: Any, alpha: Any, foreground: Any, background: Any) -> None:
    fill_pixels(grid, strip, values, image, alpha, foreground, background)
    fill_squares(grid, strip, values, image, alpha, foreground, background)
