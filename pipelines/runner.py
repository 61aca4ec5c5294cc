"""Runs tasks on this process or on Ray, through one interface; a task's result is its shard's mark and its times.

A task is a small frozen dataclass; pictures never travel between processes. A task that raises, or whose worker dies
more often than Ray retries it, becomes an outcome with an error, and the others go on.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import cv2

from rssn.errors import InputError, RssnError
from rssn.shards import Mark


class ShardTask(Protocol):
    """What every task tells of itself."""

    @property
    def name(self) -> str:
        """The shard that the task writes."""
        ...

    @property
    def size(self) -> int:
        """How many items the task handles: rows written plus rows refused."""
        ...

    @property
    def memory(self) -> int:
        """Bytes that a worker needs for it, for the scheduler."""
        ...


T = TypeVar("T", bound=ShardTask)

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
_RETRIES = 3
_TICK_SECONDS = 1.0
_OBJECT_STORE_BYTES = 100 << 20  # marks are all that passes through it


@dataclass(frozen=True)
class Done:
    """What a task brings back: the mark of its shard, and where its time went."""

    mark: Mark
    seconds: Mapping[str, float] = field(default_factory=dict)  # by stage


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What became of a task: done, or an error in words."""

    task: T
    done: Done | None
    error: str = ""
    reason: str = "error"  # the error's stable name, for its row in `rejects/`
    peak_bytes: int = 0  # of the worker, since it started


class Runner(Protocol):
    """Runs a function over tasks, in any order, and yields each outcome as it comes."""

    def run(
        self, function: Callable[[T], Done], tasks: Sequence[T], on_wait: Callable[[], None]
    ) -> Iterator[Outcome[T]]:
        """Run `function` once for every task; `on_wait` is called about every second while others work."""
        ...

    def close(self) -> None:
        """Stop what was started."""
        ...


class LocalRunner:
    """One task after the other in this process: for debugging and for tests."""

    def run(
        self, function: Callable[[T], Done], tasks: Sequence[T], on_wait: Callable[[], None]
    ) -> Iterator[Outcome[T]]:
        """Run the tasks in order; `on_wait` is called before each."""
        for task in tasks:
            on_wait()
            yield _attempt(function, task)

    def close(self) -> None:
        """Nothing was started."""


class RayRunner:
    """A local Ray with one single-threaded process per worker, started and stopped with the command."""

    def __init__(self, workers: int) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray  # noqa: PLC0415  (seconds; commands that need no workers do not pay for it)

        self._ray = ray
        self._workers = workers
        ray.init(
            address="local",
            num_cpus=workers,
            object_store_memory=_OBJECT_STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            runtime_env={"env_vars": _ONE_THREAD},
        )

    def run(
        self, function: Callable[[T], Done], tasks: Sequence[T], on_wait: Callable[[], None]
    ) -> Iterator[Outcome[T]]:
        """Keep two tasks per worker in flight until all are done."""
        remote = self._ray.remote(num_cpus=1, max_retries=_RETRIES)(_attempt)
        most = int(self._ray.cluster_resources().get("memory", 0))
        waiting = iter(tasks)
        flying: dict[Any, T] = {}
        while True:
            while len(flying) < 2 * self._workers and (task := next(waiting, None)) is not None:
                asked = remote.options(memory=min(task.memory, most))  # more than there is would wait for ever
                flying[asked.remote(function, task)] = task
            if not flying:
                return
            done, _ = self._ray.wait(list(flying), num_returns=1, timeout=_TICK_SECONDS)
            on_wait()
            for reference in done:
                yield self._collect(reference, flying.pop(reference))

    def close(self) -> None:
        """Stop the local Ray."""
        self._ray.shutdown()

    def _collect(self, reference: Any, task: T) -> Outcome[T]:
        try:
            outcome: Outcome[T] = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            words = f"the worker died at every attempt ({type(error).__name__}); if memory ran out, use fewer --workers"
            return Outcome(task, None, words, "worker_died")
        return outcome


def make_runner(workers: int) -> LocalRunner | RayRunner:
    """`workers` processes on Ray; 0 runs in this process without Ray."""
    if workers < 0:
        raise InputError(f"--workers is {workers}; give 0 to run in this process, or the number of processes")
    return RayRunner(workers) if workers else LocalRunner()


def shard_ranges(sizes: Sequence[float], limit: float) -> list[tuple[int, int]]:
    """Cut items into ranges: at least 16 where there are so many, none above `limit` unless one item alone is.

    The cut depends on the input alone, never on the number of workers: the same input gives the same shards.

    Args:
        sizes: What each item adds, in the unit of `limit` (bytes, rows, photographs).
        limit: What a range may hold.
    """
    most = max(1, -(-len(sizes) // 16))
    ranges: list[tuple[int, int]] = []
    start, held = 0, 0.0
    for index, size in enumerate(sizes):
        if index > start and (index - start >= most or held + size > limit):
            ranges.append((start, index))
            start, held = index, 0.0
        held += size
    return [*ranges, (start, len(sizes))] if sizes else []


def _attempt(function: Callable[[T], Done], task: T) -> Outcome[T]:
    cv2.setNumThreads(1)
    try:
        return Outcome(task, function(task), peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    except RssnError as error:
        return Outcome(task, None, str(error))
    except Exception as error:  # a bug or the machine: the other tasks go on, and the command fails at the end
        return Outcome(task, None, f"{type(error).__name__}: {error}")
