"""From tasks to marks: skips what is proven, runs the rest, counts what was refused, stops at the error budget."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Any, Generic

from pipelines.executor.run_state import RunState, StateFile
from pipelines.executor.runner import WORKER_DIED, Done, Outcome, Runner, ShardTask, T
from rssn.dataset.schema import REJECTS, picture
from rssn.dataset.shards import DatasetFolder, Mark
from rssn.dataset.verify import Shards
from rssn.errors import InputError, Rejected
from rssn.progress import Progress
from rssn.stopping import received
from rssn.storage.documents import brief, counted
from rssn.storage.files import write_parquet
from rssn.storage.urls import scrub

_MOST_BYTES = 1 << 60
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True)
class ErrorBudget:
    """How much may be rejected before a run stops: a count, a share of the items, or any number (both None)."""

    count: int | None = None
    share: float | None = None

    def exceeded(self, rejected: int, missing: int, asked: int) -> bool:
        """Whether more was rejected than allowed.

        Args:
            rejected: Rows of the rejects, and items of the shards that failed; what a count limits.
            missing: Items that will be missing; a foreground that is refused is one row, and K composites.
            asked: Items that there would be if nothing was refused.
        """
        over_count = self.count is not None and rejected > self.count
        return over_count or (self.share is not None and missing > self.share * asked)


def parse_budget(text: str | None) -> ErrorBudget:
    """`--max-errors`: a count (`20`) or a share (`1%`); nothing means no limit."""
    if text is None:
        return ErrorBudget()
    count = re.fullmatch(r"\d{1,18}", text)
    share = re.fullmatch(r"(\d+(?:\.\d+)?)%", text)
    if (not count and not share) or (share and float(share[1]) > 100):
        raise InputError(f"--max-errors is {brief(text)}; give a count such as 20 or a share such as 1%")
    return ErrorBudget(count=int(text)) if count else ErrorBudget(share=float(text[:-1]) / 100.0)


def parse_bytes(option: str, text: str) -> int:
    """`256M`, `1.5GiB`, `1000000`: a number of bytes, in powers of 1024.

    Raises:
        InputError: Naming the option.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?", text.strip().upper())
    size = float(found[1]) * _UNITS[found[2]] if found else inf
    if size >= _MOST_BYTES:
        raise InputError(f"{option} is {brief(text)}; give a size such as 256M or 20G")
    return int(size)


@dataclass
class RunSummary:
    """What a run wrote, reused, rejected and could not make."""

    written: int = 0
    reused: int = 0
    bytes: int = 0  # of the data files, written and reused
    rejected: int = 0
    failed: list[str] = field(default_factory=list)  # shards, and why
    lost: int = 0  # items of the failed shards
    damaged: list[str] = field(default_factory=list)
    seconds: Counter[str] = field(default_factory=Counter)  # by stage, summed over workers
    statistics: Counter[str] = field(default_factory=Counter)  # whole numbers from the marks
    peak_bytes: int = 0  # the most that one worker took
    unusable: dict[str, Sequence[str]] = field(default_factory=dict)  # from the marks, see `Mark`
    unread: dict[str, Counter[str]] = field(default_factory=dict)  # files that are no pictures: by input, by suffix
    shards: list[str] = field(default_factory=list)  # names of those that are done and have rows
    notes: list[str] = field(default_factory=list)  # what is odd about rows that were written

    def counts(self, unit: str) -> str:
        """How many of a unit (in the plural) were written, reused and rejected, in words."""
        written = counted(self.written, unit.removesuffix("s"))
        return f"{written} written, {self.reused} reused, {self.rejected} rejected"

    @property
    def totals(self) -> dict[str, Any]:
        """What the manifest of a finished run says."""
        counts = {"rows": self.written + self.reused, "rejected": self.rejected}
        return {**counts, **self.statistics, "unread": self.unread}

    def add(self, name: str, mark: Mark, rejected: int) -> None:
        """Count a shard, of whose rejects so many count; of its mark nothing is kept, for there may be a million."""
        self.rejected += rejected
        self.bytes += mark.bytes
        self.statistics.update(mark.statistics)
        self.unusable.update(mark.unusable)
        if mark.rows:
            self.shards.append(name)


@dataclass(frozen=True)
class Work(Generic[T]):
    """A set of tasks that write shards of one data set."""

    folder: DatasetFolder
    tasks: Sequence[T]
    function: Callable[[T], Done]
    unit: str  # what the tasks handle, in the plural, for the progress bar
    budget: ErrorBudget
    refused: int  # inputs refused before any task ran
    each: int = 1  # items that every such input would have given
    redo: frozenset[str] = frozenset()  # shards to be made again although they are done
    shards: Shards | None = None  # those that there are; None looks. Nothing is left of them when tasks run
    rejected: Callable[[Mark], int] = lambda mark: mark.rejected  # how many rejects of a shard count


def run_tasks(work: Work[T], runner: Runner) -> RunSummary:
    """Run every task whose shard has no trusted mark.

    A shard that cannot be made is one row in `rejects/<name>-failed.parquet` until a later run has made it.

    Raises:
        InputError: If the error budget is exceeded; what was done stays done.
        KeyboardInterrupt: With what was done until then, in words.
    """
    work.folder.root.mkdir(exist_ok=True)
    work.folder.sweep()
    summary = RunSummary(rejected=work.refused)
    planned = sum(task.size for task in work.tasks)
    shards = work.shards or Shards.of(work.folder)
    failed = set(work.folder.failures(shards.found))
    with _Progress(work, planned, summary) as progress:
        reuse = partial(_reuse, work, shards, failed, summary, progress)
        todo = [task for task in work.tasks if task.name in work.redo or not reuse(task)]
        shards.let_go()
        progress.announce()
        _check_budget(work, summary, planned)
        try:
            with closing(runner.run(work.function, todo, progress.update)) as outcomes:
                for outcome in outcomes:
                    _count(work, failed, outcome, summary)
                    progress.finish(outcome.task.size)
                    _check_budget(work, summary, planned)
        except KeyboardInterrupt as stopped:
            stopped.args = (summary.counts(work.unit),)
            if received():  # or another run has the folder now
                work.folder.sweep()
            raise
    work.folder.sweep()  # a worker that was killed and replaced leaves its half-written file
    return summary


def _check_budget(work: Work[T], summary: RunSummary, planned: int) -> None:
    rejected, unplanned = summary.rejected + summary.lost, work.refused * work.each
    if work.budget.exceeded(rejected, rejected - work.refused + unplanned, planned + unplanned):
        lost = f" and {summary.lost} lost with {len(summary.failed)} shards that failed" if summary.failed else ""
        words = f"{summary.rejected} refused{lost} of {planned} {work.unit}, more than --max-errors allows"
        raise InputError(f"stopped: {words}; {summary.counts(work.unit)}")


class _Progress:
    """Progress of the tasks that are done and of the items of those in progress, shown and in a file."""

    def __init__(self, work: Work[Any], total: int, summary: RunSummary) -> None:
        self._state_file = StateFile(work.folder)
        self._work = work
        self._total = total
        self._summary = summary
        self._started = 0.0
        self._tasks = self._finished = self._reused = 0
        self._shown = Progress(total, work.unit)

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._shown.close()
        state = self._state()
        if state.done_shards < state.shards:
            self._state_file.write(state, last=True)
        else:  # the marks say all
            self._state_file.remove()

    def announce(self) -> None:
        """Start: what was done before is known now."""
        self._started = time.time()
        self._shown.begin(self._finished)
        self._state_file.write(self._state())

    def finish(self, items: int, *, reused: bool = False) -> None:
        """Count a task that is done."""
        self._tasks += 1
        self._finished += items
        if reused:
            self._reused += items
        else:
            self._state_file.write(self._state())
        self.update()

    def update(self) -> None:
        """Show how far the tasks in progress are."""
        handled = self._finished + sum(self._work.folder.in_progress().values())
        self._shown.reach(handled, f"{self._summary.bytes / 1e6:.0f} MB, {self._summary.rejected} rejected")

    def _state(self) -> RunState:
        summary = self._summary
        return RunState(
            unit=self._work.unit,
            shards=len(self._work.tasks),
            items=self._total,
            done_shards=self._tasks - len(summary.failed),
            done_items=self._finished - summary.lost,
            reused_items=self._reused,
            failed=len(summary.failed),
            rejected=summary.rejected,
            started=self._started,
            updated=time.time(),
            seconds=dict(summary.seconds),
        )


def begin_item(task: ShardTask, item: str) -> None:
    """Note which item is in progress, so that the runner knows at which one a worker died.

    Raises:
        Rejected: If it is quarantined because it kills its worker; it must not be touched, not even for a thumbnail.
    """
    if item in task.quarantined:
        words = f"{item}: its worker died at every attempt (a crash in native code, or out of memory)"
        raise Rejected("run", WORKER_DIED, words)
    task.current_item.write_text(item, encoding="utf-8")


def refusal(error: Exception, item_id: str, source: str, thumbnail: bytes | None = None) -> dict[str, Any]:
    """The row in `rejects/` for one item: a verdict or an unexpected error, and its JPEG, if it has one."""
    known = error if isinstance(error, Rejected) else Rejected("run", "error", f"{type(error).__name__}: {error}")
    return {
        "item_id": item_id,
        "source": source,
        "stage": known.stage,
        "reason": known.reason,
        "message": scrub(known.message),
        "thumbnail": thumbnail and picture(thumbnail, "thumbnail.jpg"),
    }


def _reuse(
    work: Work[Any], shards: Shards, failed: set[str], summary: RunSummary, progress: _Progress, task: ShardTask
) -> bool:
    mark = shards.trusted(task.name)
    if mark is None:
        if f"marks/{task.name}.json" in shards.found:
            summary.damaged.append(task.name)
        return False
    _remove_failure(work.folder, failed, task.name)
    summary.add(task.name, mark, work.rejected(mark))
    summary.reused += mark.rows
    progress.finish(task.size, reused=True)
    return True


def _count(work: Work[T], failed: set[str], outcome: Outcome[T], summary: RunSummary) -> None:
    folder, name = work.folder, outcome.task.name
    if outcome.done is None:
        folder.refuse_removed()
        summary.failed.append(f"{name}: {outcome.error}")
        summary.lost += outcome.task.size
        row = refusal(Rejected("run", outcome.reason, outcome.error), name, f"data/{name}.parquet")
        with suppress(OSError):  # a full disk, for instance; the last lines of the run name the shard anyway
            write_parquet(folder.failure(name), REJECTS, [row])
    else:
        _remove_failure(folder, failed, name)
        summary.add(name, outcome.done.mark, work.rejected(outcome.done.mark))
        summary.written += outcome.done.mark.rows
        summary.seconds.update(outcome.done.seconds)
        summary.peak_bytes = max(summary.peak_bytes, outcome.peak_bytes)


def _remove_failure(folder: DatasetFolder, failed: set[str], name: str) -> None:
    """Remove the row of a shard that an earlier run could not make."""
    if name in failed:
        folder.failure(name).unlink(missing_ok=True)
