"""Runs tasks on Ray: a local one that starts and stops with the command, or a running cluster.

A task whose worker dies is tried again. If a worker died three times at the same item, that item is quarantined: this
task and all later ones refuse it, and the task is tried again without it.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.executor.runner import THREADS, WORKER_DIED, Capacity, Done, LocalRunner, Outcome, T, attempt
from rssn.errors import InputError, RssnError, first_line
from rssn.stopping import kept
from rssn.storage.machine import available_cpus, home_takes

_ATTEMPTS = 3  # at one item
_CRASHES = 30  # of one task's workers, whatever they died at
_TICK_SECONDS = 1.0
_SHARE = 16  # of the tasks in flight: so many of them are waited for together
_ANSWER_SECONDS = 20.0
_MEMORY_STEP = 64 << 20
_PACKAGES = ("rssn", "bg20k", "train", "pipelines")
_OBJECT_STORE_BYTES = 100 << 20  # marks are all that passes through it


def make_runner(workers: int | None, address: str | None = None, *, gpu_each: bool = False) -> LocalRunner | RayRunner:
    """`workers` processes on Ray, here or on the cluster at an address; 0 runs in this process without Ray.

    Args:
        workers: None takes as many as there are CPUs.
        address: `auto`, `<host>:<port>` or `ray://<host>:<port>`; None starts a Ray of its own.
        gpu_each: Whether a task wants a GPU to itself, where there are any.
    """
    if workers is not None and workers < 0:
        raise InputError(f"--workers is {workers}; give 0 to run in this process, or the number of processes")
    if workers == 0 and address:
        raise InputError(f"--workers 0 works in this process, --address {address} on a cluster; give one of them")
    if workers == 0:
        return LocalRunner()
    return RayRunner(workers if address else workers or available_cpus(), address, gpu_each=gpu_each)


class RayRunner:
    """Single-threaded processes of Ray: of one that starts and stops with the command, or of a running cluster.

    A cluster's nodes get this package's code with the tasks; what it needs must be installed there. Without a number of
    workers the tasks take what CPUs the cluster has, also those that come later.
    """

    def __init__(self, workers: int | None, address: str | None = None, *, gpu_each: bool = False) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_OVERRIDE_JOB_RUNTIME_ENV", "1")  # a job's own variables, but our number of threads
        if address is None and not home_takes(".ray"):
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # Ray would write one there
        import ray  # noqa: PLC0415  (seconds; commands that need no workers do not pay for it)

        self._ray = ray
        self._workers = workers
        self._own = address is None
        self._gpu_each = gpu_each
        own = {"num_cpus": workers, "object_store_memory": _OBJECT_STORE_BYTES, "include_dashboard": False}
        environment: dict[str, Any] = {"env_vars": dict.fromkeys(THREADS, "1")}
        if address:
            _refuse_silence(address)
            environment["py_modules"] = [str(Path(__file__).parents[2] / name) for name in _PACKAGES]
        try:
            with kept():
                ray.init(
                    address=address or "local",
                    log_to_driver=False,
                    logging_level="ERROR",
                    runtime_env=environment,
                    **({} if address else own),
                )
        except Exception as error:
            raise InputError(_refusal(address, error)) from error

    def run(
        self, function: Callable[[T], Done], tasks: Sequence[T], on_wait: Callable[[], None]
    ) -> Generator[Outcome[T], None, None]:
        """Keep two tasks per worker in flight until all are done; of those that run a network, what runs at once."""
        remote = self._ray.remote(max_retries=0)(attempt)
        waiting, again, crashes = iter(tasks), deque[T](), CrashTracker()
        flying: dict[Any, T] = {}
        threads = self.capacity(len(tasks)).threads
        try:
            while True:
                share = self._share(len(tasks), threads)
                while len(flying) < share.flying:
                    task = again.popleft() if again else next(waiting, None)
                    if task is None:
                        break
                    task = crashes.with_quarantine(task)
                    memory = min(stepped(task.memory), share.memory)  # more than any node has would wait for ever
                    asked = remote.options(num_cpus=share.cpus, num_gpus=share.gpus, memory=memory)
                    flying[asked.remote(function, task)] = task
                if not flying:
                    return
                some = max(1, len(flying) // _SHARE)  # asking after each of thousands takes the driver's time
                done, _ = self._ray.wait(list(flying), num_returns=some, timeout=_TICK_SECONDS)
                on_wait()
                for reference in done:
                    task = flying.pop(reference)
                    outcome = self._collect(reference, task)
                    if outcome.reason == WORKER_DIED and crashes.may_retry(task, self._item_at_hand(task)):
                        again.append(task)
                    else:
                        yield outcome
        finally:
            self._cancel(list(flying))

    def capacity(self, tasks: int) -> Capacity:
        """All workers; networks share the cores of the nodes that they run on."""
        nodes = self._nodes()
        capacity = shared_capacity(nodes, self._slots(nodes), tasks, gpu_each=self._gpu_each)
        if not self._own:
            return capacity
        return replace(capacity, threads=max(1, available_cpus() // capacity.networks))  # Ray knows the workers only

    def close(self) -> None:
        """Stop the local Ray, or leave the cluster."""
        self._ray.shutdown()

    def _nodes(self) -> list[Mapping[str, float]]:
        """The resources of each node that is alive."""
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def _slots(self, nodes: Sequence[Mapping[str, float]]) -> int:
        cores = int(sum(node.get("CPU", 0) for node in nodes))
        return max(1, cores if self._workers is None else self._workers)

    def _share(self, tasks: int, threads: int) -> _Share:
        """What each of so many tasks gets now; networks were promised so many threads."""
        nodes = self._nodes()
        if not self._gpu_each:
            return _Share(2 * self._slots(nodes), 1, 0, _most(nodes, "memory"))
        capacity = self.capacity(tasks)
        able = _able(nodes, gpu_each=True)
        cpus = 1 if self._own else max(1, min(threads, _most(able, "CPU")))  # a large node may be lost meanwhile
        memory = _most([node for node in able if node["CPU"] >= cpus], "memory")
        return _Share(capacity.networks, cpus, int(capacity.gpus > 0), memory)

    def _cancel(self, flying: list[Any]) -> None:
        """Cancel tasks that are no longer needed: first as Ctrl-C does, so that they clean up, then by force.

        A task whose result has just come must not be cancelled: Ray 2.60 then ends this process with a failed check.
        """
        for force in (False, True):
            with suppress(self._ray.exceptions.RayError):  # Ray itself has ended
                flying = self._unfinished(flying, 0)
                for reference in flying:
                    self._ray.cancel(reference, force=force)
                flying = self._unfinished(flying, _ANSWER_SECONDS)

    def _unfinished(self, flying: list[Any], seconds: float) -> list[Any]:
        """Those that are still running after this time."""
        if not flying:
            return []
        _, left = self._ray.wait(flying, num_returns=len(flying), timeout=seconds)
        return list(left)

    def _collect(self, reference: Any, task: T) -> Outcome[T]:
        try:
            outcome: Outcome[T] = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            if self._own and isinstance(error, self._ray.exceptions.LocalRayletDiedError):
                raise RssnError("Ray itself stopped; run the same command again to resume") from error
            words = (
                f"worker died at every attempt ({type(error).__name__}); if it ran out of memory, use fewer --workers"
            )
            return Outcome(task, None, words, WORKER_DIED)
        return outcome

    def _item_at_hand(self, task: T) -> str:
        """The item that a dead worker was at; on a cluster every node is asked, since each may have its own disk."""
        if self._own:
            return _read_current_item(task.current_item)[1]
        nodes = [node["NodeID"] for node in self._ray.nodes() if node["Alive"]]
        there = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        ask = self._ray.remote(num_cpus=0, max_retries=0)(_read_current_item)
        asked = [ask.options(scheduling_strategy=there(node, soft=False)).remote(task.current_item) for node in nodes]
        answered, _ = self._ray.wait(asked, num_returns=len(asked), timeout=_ANSWER_SECONDS)
        notes = [(0.0, "")]
        for reference in answered:
            with suppress(self._ray.exceptions.RayError):  # a node that is lost
                notes.append(self._ray.get(reference))
        return max(notes)[1]


def stepped(memory: int) -> int:
    """Bytes to reserve for a task, in steps: of each amount that was ever asked for Ray keeps a kilobyte, for good."""
    return -(-memory // _MEMORY_STEP) * _MEMORY_STEP


def shared_capacity(nodes: Sequence[Mapping[str, float]], slots: int, tasks: int, *, gpu_each: bool) -> Capacity:
    """How many networks run at once on nodes, and the threads that each of them can have on its node.

    Args:
        nodes: What each has, by Ray's names.
        slots: Workers.
        tasks: That are to be run.
        gpu_each: Whether a network wants a GPU to itself, where there are any.
    """
    able = _able(nodes, gpu_each=gpu_each)
    gpus = int(sum(node.get("GPU", 0) // 1 for node in able)) if gpu_each else 0

    def fitting(threads: int) -> int:
        on_each = ((node["CPU"] // threads, node["GPU"] // 1 if gpus else inf) for node in able)
        return int(sum(min(cores, cards) for cores, cards in on_each))

    networks = max(1, min(slots, tasks, fitting(1)))
    most = next((threads for threads in range(_most(able, "CPU"), 1, -1) if fitting(threads) >= networks), 1)
    return Capacity(slots, networks, most, gpus)


class _Share(NamedTuple):
    """What tasks get: how many are in flight, and what Ray reserves for each."""

    flying: int
    cpus: int
    gpus: int
    memory: int  # bytes; at most


class CrashTracker:
    """Counts how often workers died, by task and by the item in progress."""

    def __init__(self) -> None:
        self._at_item: Counter[tuple[str, str]] = Counter()
        self._of_task: Counter[str] = Counter()
        self._quarantined: frozenset[str] = frozenset()

    def with_quarantine(self, task: T) -> T:
        """The task, with every item that is quarantined so far: another task may use the same picture."""
        return replace(task, quarantined=task.quarantined | self._quarantined) if self._quarantined else task

    def may_retry(self, task: T, item: str) -> bool:
        """Count a crash at an item; returns whether the task may be tried again."""
        self._of_task[task.name] += 1
        self._at_item[task.name, item] += 1
        if self._of_task[task.name] >= _CRASHES:
            return False
        if self._at_item[task.name, item] < _ATTEMPTS:
            return True
        self._quarantined |= {item} - {""}
        return item != ""


def _able(nodes: Sequence[Mapping[str, float]], *, gpu_each: bool) -> Sequence[Mapping[str, float]]:
    """The nodes that run tasks: those with a GPU, where tasks want one and there are any."""
    working = [node for node in nodes if node.get("CPU", 0) >= 1]
    return [node for node in working if gpu_each and node.get("GPU", 0) >= 1] or working


def _most(nodes: Sequence[Mapping[str, float]], resource: str) -> int:
    return int(max((node.get(resource, 0) for node in nodes), default=0))


def _refusal(address: str | None, error: Exception) -> str:
    """Why there is no Ray to work with, and what helps."""
    if address:
        words = f"--address {address}: no Ray cluster answers at this address: {first_line(error)}"
        return f"{words}; one that wants a token needs RAY_AUTH_MODE=token here too"
    remedy = "--workers 0 works without it"
    if isinstance(error, OSError) and error.filename:
        remedy = f"set RAY_TMPDIR to a folder that can be written, or give --workers 0 ({error.filename})"
    return f"Ray cannot be started here: {first_line(error)}; {remedy}"


def _refuse_silence(address: str) -> None:
    """Whether anything answers at this address: Ray itself tries for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        return  # auto
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS).close()
    except OSError as error:
        words = f"--address {address}: no Ray cluster answers at this address: {error.strerror or error}"
        raise InputError(f"{words}; give auto, HOST:PORT or ray://HOST:PORT, as ray start printed it") from error


def _read_current_item(path: Path) -> tuple[float, str]:
    """When the current item was noted, in seconds since 1970, and the item; 0 and empty if there is none."""
    try:
        return path.stat().st_mtime, path.read_text(encoding="utf-8")
    except OSError:
        return 0.0, ""
