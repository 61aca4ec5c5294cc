"""What a driver keeps of each shard: its memory over a run of very many tasks, which do nothing.

python -m tests.benchmarks.bench_week --shards 200000               # in this process
python -m tests.benchmarks.bench_week --shards 20000 --workers 2    # through Ray
python -m tests.benchmarks.bench_week --shards 50000 --marked       # a run that finds all of them made

A hundred workers that make a shard a minute make a million in a week. Tasks and marks are those of `rssn compose`; no
data file is written, so that the driver is all there is.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.compose.layer_cache import LayerCache
from pipelines.compose.shard import ComposeTask
from pipelines.executor.ray_runner import make_runner
from pipelines.executor.runner import Done, Outcome, Runner, T
from pipelines.executor.work import ErrorBudget, Work, run_tasks
from rssn.dataset.shards import DatasetFolder, Mark, shard_name
from rssn.route.recipe import load_recipe
from rssn.storage.files import write_json
from tests.benchmarks.table import resident

_PLAN = "b" * 64
_LINES = 10
_WARM = 0.2  # of the run: what comes later is growth


@dataclass(frozen=True)
class Seen:
    """The driver's memory after so many shards."""

    shards: int
    bytes: int


def make_tasks(root: Path, count: int) -> list[ComposeTask]:
    """Tasks as those of a composition, of 30 foregrounds each."""
    folder, recipe, cache = DatasetFolder(root, _PLAN), load_recipe("comp-rssn"), LayerCache(root / "cache", 0)
    return [
        ComposeTask(
            folder=folder,
            recipe=recipe,
            seed=0,
            codec="jpeg",
            cache=cache,
            name=shard_name("composites", number, count),
            batch=0,
            batches=1,
            plan_stamp=_PLAN,
            start=30 * number,
            stop=30 * (number + 1),
            size=150,
            memory=1_500_000_000 + number,
        )
        for number in range(count)
    ]


def mark_of(name: str, rows: int = 150) -> Mark:
    """What a task hands back."""
    digest = f"{name:->64}"
    return Mark(name, rows, 260_000_000 if rows else 0, digest if rows else "", _PLAN, 0, "", {"ineligible_pairs": 12})


def nothing(task: ComposeTask) -> Done:
    """Make no shard."""
    return Done(mark_of(task.name), {"compose": 1.0, "encode": 2.0})


class Watched:
    """A runner, and the driver's memory as its outcomes go by."""

    def __init__(self, runner: Runner) -> None:
        self.seen: list[Seen] = []
        self.capacity, self.close, self._runner = runner.capacity, runner.close, runner

    def run(
        self, function: Callable[[T], Done], tasks: Sequence[T], on_wait: Callable[[], None]
    ) -> Generator[Outcome[T], None, None]:
        """Those of the runner."""
        every = max(1, len(tasks) // _LINES)
        for number, outcome in enumerate(self._runner.run(function, tasks, on_wait)):
            if number % every == 0:
                self.seen.append(Seen(number, settled()))
            yield outcome
        self.seen.append(Seen(len(tasks), settled()))


def settled() -> int:
    """Bytes that this process holds, without what it could give back."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    return resident("VmRSS") or 0


def growth(seen: Sequence[Seen]) -> float:
    """Bytes by which each shard makes the driver larger, once it is warm."""
    first = next(one for one in seen if one.shards >= _WARM * seen[-1].shards)
    return (seen[-1].bytes - first.bytes) / (seen[-1].shards - first.shards)


def lines(root: Path, shards: int, workers: int, *, marked: bool) -> Iterator[str]:
    """The driver's memory, line by line as it was."""
    if marked:
        for number in range(shards):
            name = shard_name("composites", number, shards)
            write_json(DatasetFolder(root, _PLAN).mark(name), asdict(mark_of(name, rows=0)))
    before = settled()
    tasks = make_tasks(root, shards)
    yield f"{(settled() - before) / shards:.0f} bytes for each of {shards:,} tasks before the run"
    runner = Watched(make_runner(workers))
    try:
        before = settled()
        summary = run_tasks(Work(DatasetFolder(root, _PLAN), tasks, nothing, "composites", ErrorBudget(), 0), runner)
    finally:
        runner.close()
    if marked:
        peak = resident("VmHWM") or 0
        yield f"{(settled() - before) / shards:.0f} bytes kept of each shard that was there"
        yield f"{(peak - before) / shards:.0f} bytes of each at the most"
        return
    yield from (f"{one.shards:>10,} shards: {one.bytes / 1e6:8.1f} MB" for one in runner.seen)
    yield f"{growth(runner.seen):.0f} bytes for each further shard; {summary.written:,} rows"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=200_000)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--marked", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for line in lines(Path(folder), options.shards, options.workers, marked=options.marked):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
