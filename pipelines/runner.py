"""Runs tasks on this process or on Ray, through one interface; a task's result is its shard's mark and its times.

A task is a small frozen dataclass; pictures never travel between processes. A task that raises becomes an outcome with
an error, and the others go on. So does one whose worker died three times; but if it died each time at the same item,
that item is poisoned: it is refused from now on, and the task is tried again without it.
"""

from __future__ import annotations

import os
import resource
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import cv2

from rssn.errors import InputError, RssnError
from rssn.shards import Mark


class ShardTask(Protocol):
    """What every task tells of itself; it is a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

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

    @property
    def note(self) -> Path:
        """The file in which its worker names the item at hand."""
        ...

    @property
    def poisoned(self) -> frozenset[str]:
        """Items that killed their workers: the task refuses them without looking."""
        ...


T = TypeVar("T", bound=ShardTask)

WORKER_DIED = "worker_died"

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
_ATTEMPTS = 3  # at one item
_DEATHS = 30  # of one task's workers, whatever they died at
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
        remote = self._ray.remote(num_cpus=1, max_retries=0)(_attempt)
        most = int(self._ray.cluster_resources().get("memory", 0))
        waiting, again, deaths = iter(tasks), deque[T](), _Deaths()
        flying: dict[Any, T] = {}
        while True:
            while len(flying) < 2 * self._workers:
                task = again.popleft() if again else next(waiting, None)
                if task is None:
                    break
                task = deaths.warned(task)
                asked = remote.options(memory=min(task.memory, most))  # more than there is would wait for ever
                flying[asked.remote(function, task)] = task
            if not flying:
                return
            done, _ = self._ray.wait(list(flying), num_returns=1, timeout=_TICK_SECONDS)
            on_wait()
            for reference in done:
                task = flying.pop(reference)
                outcome = self._collect(reference, task)
                if outcome.reason == WORKER_DIED and deaths.may_retry(task):
                    again.append(task)
                else:
                    yield outcome

    def close(self) -> None:
        """Stop the local Ray."""
        self._ray.shutdown()

    def _collect(self, reference: Any, task: T) -> Outcome[T]:
        try:
            outcome: Outcome[T] = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            words = f"the worker died at every attempt ({type(error).__name__}); if memory ran out, use fewer --workers"
            return Outcome(task, None, words, WORKER_DIED)
        return outcome


class _Deaths:
    """Where workers died: at which item of which task, and how often."""

    def __init__(self) -> None:
        self._at_item: Counter[tuple[str, str]] = Counter()
        self._of_task: Counter[str] = Counter()
        self._poisoned: frozenset[str] = frozenset()

    def warned(self, task: T) -> T:
        """The task, told of everything that is poisoned; the same picture may be wanted by another task."""
        return replace(task, poisoned=task.poisoned | self._poisoned) if self._poisoned else task

    def may_retry(self, task: T) -> bool:
        """Count a death; whether the task may be tried again."""
        item = _item_at_hand(task)
        self._of_task[task.name] += 1
        self._at_item[task.name, item] += 1
        if self._of_task[task.name] >= _DEATHS:
            return False
        if self._at_item[task.name, item] < _ATTEMPTS:
            return True
        self._poisoned |= {item} - {""}
        return item != ""


def _item_at_hand(task: ShardTask) -> str:
    try:
        return task.note.read_text(encoding="utf-8")
    except OSError:
        return ""


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
