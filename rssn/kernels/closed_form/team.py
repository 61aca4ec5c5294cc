"""Threads that work on one picture, each on strips of its own, and wait for each other between two passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import cgutils

from rssn.errors import InputError, first_line
from rssn.kernels.compiling import compiled
from rssn.kernels.simd import Int, Vectors, vector_code

Each: TypeAlias = Callable[[Callable[[Any], Any], Iterable[Any]], list[Any]]
"""What a function makes of each item, in their order."""


def alone(work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """One item after the other."""
    return [work(item) for item in items]


@contextmanager
def sharing(threads: int) -> Iterator[Each]:
    """Items are dealt out among so many threads; if there are as many, all are worked on at once.

    Raises:
        InputError: If so many threads cannot be started.
    """
    if threads == 1:
        yield alone
        return
    with ThreadPoolExecutor(threads) as pool:
        _start(pool, threads)

        def each(work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
            dealt = list(items)
            found = dealt.copy()
            hands = [dealt[first::threads] for first in range(threads)]
            for first, made in enumerate(pool.map(lambda hand: alone(work, hand), hands)):
                found[first::threads] = made
            return found

        yield each


def _start(pool: ThreadPoolExecutor, threads: int) -> None:
    """Start all threads of a pool: a team would wait for ever for one that the system does not grant later."""
    meeting = Barrier(threads)
    try:
        for _ in range(threads):
            pool.submit(meeting.wait)
    except RuntimeError as error:
        meeting.abort()
        raise InputError(f"{threads} threads cannot be started; give a smaller number ({first_line(error)})") from error


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


@compiled
def own_strips(team: Any, strips: int) -> Any:
    """The first strip of this thread, and the one after its last."""
    return strips * team.me // team.size, strips * (team.me + 1) // team.size
