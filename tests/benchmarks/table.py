"""What the benchmarks share: a measurement in a process of its own, and the table that they print.

Seconds are CPU seconds of one thread, medians where a measurement is repeated; never wall time, because machines are
shared. Memory is the peak of the resident set above what the inputs take.
"""

from __future__ import annotations

import ctypes
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import cv2

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM", "MKL_NUM_THREADS"), "1"
)
_PRELOADED = {"PYTHONWARNINGS": "ignore::RuntimeWarning:runpy"}
"""The command's own module is loaded before `multiprocessing` runs it as `__mp_main__`; that is meant."""


class Job(NamedTuple):
    """Work whose inputs are loaded and whose code is compiled, and what to keep of its result."""

    work: Callable[[], Any]
    keep: Callable[[Any], Any] = lambda _: None


Prepare: TypeAlias = Callable[..., Job]
"""A function of a module; called in the process that measures."""


@dataclass(frozen=True)
class Cost:
    """What a job took."""

    seconds: float  # CPU
    peak: int | None = None  # bytes above its inputs; of a command: of the whole process; None where nothing tells
    kept: Any = None


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        work: What is done, on what.
        reference: The reference, if there is one.
        ours: Ours.
        ratio: Of their seconds to ours; None takes that of the two costs.
        quality: In words.
        share: Part of a mean composite that ours takes, if it is a step of one.
    """

    work: str
    reference: Cost | None
    ours: Cost
    ratio: float | None = None
    quality: str = ""
    share: float | None = None

    def cells(self) -> tuple[str, ...]:
        """The columns of `print_table`."""
        theirs = self.reference
        ratio = self.ratio or (theirs.seconds / self.ours.seconds if theirs else None)
        return (
            self.work,
            _seconds(theirs.seconds) if theirs else "",
            _seconds(self.ours.seconds),
            f"{ratio:.{0 if ratio >= 10 else 1}f}" if ratio else "",
            self.quality,
            " / ".join(f"{cost.peak / 1e6:,.0f} MB" for cost in (theirs, self.ours) if cost and cost.peak is not None),
            f"{100 * self.share:.1f} %" if self.share is not None else "",
        )

    def without_results(self) -> Row:
        """The same without what its jobs kept."""
        costs = {
            name: replace(cost, kept=None)
            for name, cost in (("reference", self.reference), ("ours", self.ours))
            if cost
        }
        return replace(self, **costs)


HEAD = ("work", "reference", "ours", "ratio", "quality", "peak memory", "of a composite")


def table_lines(rows: Iterable[Row]) -> Iterator[str]:
    """The table in Markdown, columns aligned."""
    cells = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEAD))]
    cells.insert(1, tuple("-" * width for width in widths))
    for line in cells:
        yield table_line(cell.ljust(width) for cell, width in zip(line, widths, strict=True))


def table_line(cells: Iterable[str]) -> str:
    """A line in Markdown."""
    return f"| {' | '.join(cells)} |"


def measured(prepare: Prepare, *arguments: Any, repeats: int = 1) -> Cost:
    """The cost of a job, in a fresh process with one thread; a copy of one that has imported all and done nothing."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.benchmarks.run"])
    with _environment({**ONE_THREAD, **_PRELOADED}), ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_measure, prepare, arguments, repeats).result()


def command_cost(command: list[str], environment: Mapping[str, str] | None = None) -> Cost:
    """CPU seconds and peak memory of a command that starts no processes of its own.

    Raises:
        RuntimeError: With what it said, if it failed.
    """
    child = subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, **ONE_THREAD, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{' '.join(command)}: {said}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def _measure(prepare: Prepare, arguments: tuple[Any, ...], repeats: int) -> Cost:
    cv2.setNumThreads(1)
    job = prepare(*arguments)
    before = _reset_peak()
    seconds = []
    result = None
    for _ in range(repeats):
        result = None  # or two results would count as one's memory
        start = time.process_time()
        result = job.work()
        seconds.append(time.process_time() - start)
    peak = None if before is None else max(0, (resident("VmHWM") or 0) - before)
    return Cost(statistics.median(seconds), peak, job.keep(result))


def _reset_peak() -> int | None:
    """Start to watch the peak anew; returns the bytes in use, None where the system is not Linux."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)  # what was freed and kept counts neither as inputs nor as spare room
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return None
    return resident("VmRSS")


def resident(field: str) -> int | None:
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(found[1]) * 1024 if found else None


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _seconds(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f} s"
    return f"{value:.3g} s" if value >= 1 else f"{1000 * value:.3g} ms"
