"""What a task is, what becomes of it, and the runner that works in this process; `ray_runner` has the other one.

A task is a small frozen dataclass; its result is its shard's mark and its times, and pictures never travel between
processes. A task that raises becomes an outcome with an error, and the others continue.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import cv2

from rssn.dataset.shards import Mark
from rssn.errors import RssnError
from rssn.storage.machine import available_cpus


class ShardTask(Protocol):
    """What every task has; it is a dataclass."""

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
    def current_item(self) -> Path:
        """The file in which its worker names the item in progress."""
        ...

    @property
    def quarantined(self) -> frozenset[str]:
        """Items that killed their workers: the task refuses them without opening them."""
        ...


T = TypeVar("T", bound=ShardTask)

WORKER_DIED = "worker_died"

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Variables that say to libraries how many threads a process has; PyTorch goes by the smallest."""


@dataclass(frozen=True)
class Done:
    """The result of a task: the mark of its shard, and where its time went."""

    mark: Mark
    seconds: Mapping[str, float] = field(default_factory=dict)  # by stage


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """The outcome of a task: done, or an error message."""

    task: T
    done: Done | None
    error: str = ""
    reason: str = "error"  # the error's stable name, for its row in `rejects/`
    peak_bytes: int = 0  # of the worker, since it started


@dataclass(frozen=True)
class Capacity:
    """How much runs at once.

    Attributes:
        workers: Single-threaded tasks.
        networks: Tasks that run a network: one for each GPU where there are some.
        threads: For each of those.
        gpus: That networks can have; 0 where they run on CPUs.
    """

    workers: int
    networks: int
    threads: int
    gpus: int = 0


class Runner(Protocol):
    """Runs a function over tasks, in any order, and yields each outcome as it comes."""

    def run(
        self, function: Callable[[T], Done], tasks: Sequence[T], on_wait: Callable[[], None]
    ) -> Generator[Outcome[T], None, None]:
        """Run `function` once for every task; `on_wait` is called about every second while others work.

        Closing the generator cancels the tasks that are running.
        """
        ...

    def capacity(self, tasks: int) -> Capacity:
        """How many of so many tasks run at once, with the resources there are now."""
        ...

    def close(self) -> None:
        """Stop the workers, if any were started."""
        ...


class LocalRunner:
    """One task after the other in this process: for debugging and for tests."""

    def run(
        self, function: Callable[[T], Done], tasks: Sequence[T], on_wait: Callable[[], None]
    ) -> Generator[Outcome[T], None, None]:
        """Run the tasks in order; `on_wait` is called before each."""
        for task in tasks:
            on_wait()
            yield attempt(function, task)

    def capacity(self, tasks: int) -> Capacity:
        """One task, on all of this machine's cores and its GPUs."""
        return Capacity(1, 1, available_cpus(), _gpus_here())

    def close(self) -> None:
        """Nothing was started."""


def _gpus_here() -> int:
    try:
        import torch  # noqa: PLC0415  (seconds; only who trains asks)
    except ImportError:
        return 0
    return torch.cuda.device_count()


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


def attempt(function: Callable[[T], Done], task: T) -> Outcome[T]:
    """Run a task on one thread; whatever it raises becomes its outcome."""
    cv2.setNumThreads(1)
    try:
        return Outcome(task, function(task), peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    except RssnError as error:
        return Outcome(task, None, str(error))
    except (
        Exception
    ) as error:  # a bug or a fault of the machine: the other tasks continue, and the command fails at the end
        return Outcome(task, None, f"{type(error).__name__}: {error}")
