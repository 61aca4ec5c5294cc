"""Threads that solve one picture, each on strips of its own: they wait for each other between two passes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import cgutils

from rssn.kernels.compiling import compiled
from rssn.kernels.intrinsics import Int, vector_code
from rssn.kernels.simd import Vectors

_GONE = 1 << 62  # arrivals of a team that is no longer whole: nobody waits


class Team(NamedTuple):
    """What one of the threads knows of all."""

    size: int
    me: int
    arrivals: npt.NDArray[np.int64]  # one number: how often any of them has come to a meeting
    mine: npt.NDArray[np.int64]  # one number: how often this one has


def make_team(size: int) -> list[Team]:
    """A team as each of its threads sees it."""
    arrivals = np.zeros(1, np.int64)
    return [Team(size, me, arrivals, np.zeros(1, np.int64)) for me in range(size)]


@contextmanager
def released(team: Team) -> Iterator[None]:
    """Do one thread's work, or wait for all: if that fails, nobody is waited for, and what others find is of no use."""
    try:
        yield
    except BaseException:
        team.arrivals[0] |= _GONE
        raise


@vector_code
def _arrive(v: Vectors, arrivals: Any) -> None:
    v.builder.atomic_rmw("add", arrivals, v.index(1), "seq_cst")


@vector_code
def _arrived(v: Vectors, arrivals: Any) -> Int:
    return v.builder.load_atomic(arrivals, "seq_cst", 8)


@vector_code
def _let_others_run(v: Vectors) -> None:
    kind = ir.FunctionType(ir.IntType(32), [])
    v.builder.call(cgutils.get_or_insert_function(v.builder.module, kind, "sched_yield"), [])


@compiled
def meet(team: Any) -> None:
    """Wait until all threads of the team are here; each sees what the others have written before."""
    if team.size > 1:
        team.mine[0] += 1
        _arrive(team.arrivals)
        while _arrived(team.arrivals) < team.size * team.mine[0]:
            _let_others_run()


def own_strips(team: Team, strips: int) -> tuple[int, int]:
    """The first strip of this thread, and the one after its last."""
    return strips * team.me // team.size, strips * (team.me + 1) // team.size
