"""Two workers against one: composites a second and a CPU-second, and what the runner adds to a task.

`python -m tests.benchmarks.bench_workers [--side 720] [--shards 8]`

Pictures are the project's own; each run has an empty cache, and kernels that are compiled already. CPU-seconds are
those of the workers while they make shards. Where two CPUs are threads of one core, or others use the machine, two
workers cannot do twice the work of one: then the composites a CPU-second fall, and `lscpu` says why.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pipelines.compose.job as compose_module
from pipelines.compose.job import ComposeJob, Output, run_compose
from pipelines.compose.layer_cache import LayerCache
from pipelines.compose.shard import ComposeTask, compose_shard
from pipelines.executor.ray_runner import RayRunner
from pipelines.executor.runner import Done
from pipelines.executor.warm_up import warm_up
from pipelines.executor.work import ErrorBudget
from rssn.route.recipe import load_recipe
from rssn.synthetic import SyntheticPlan, write_synthetic
from tests.benchmarks.bench_scaling import COMPOSITE_BYTES, SHARD_BYTES, Nothing, nothing


@dataclass(frozen=True)
class Run:
    """What a composition came to."""

    workers: int
    composites: int
    seconds: float
    cpu_seconds: float

    @property
    def line(self) -> str:
        """In words."""
        rate, cpu = self.composites / self.seconds, self.composites / self.cpu_seconds
        return f"{self.workers} workers: {rate:.3f} composites a second, {cpu:.3f} a CPU-second of the workers"


def timed(task: ComposeTask) -> Done:
    """Make a shard, and say how much CPU it took."""
    started = time.process_time()
    done = compose_shard(task)
    return replace(done, seconds={"cpu": time.process_time() - started})


def compose(inputs: Path, out: Path, workers: int, shard_rows: int) -> Run:
    """Compose everything with so many workers."""
    recipe = load_recipe("comp-rssn")
    runner = RayRunner(workers)
    try:
        list(runner.run(_warm, [Nothing(n) for n in range(2 * workers)], lambda: None))
        job = ComposeJob(
            inputs / "matting",
            inputs / "photos",
            out / f"out-{workers}",
            recipe,
            0,
            ErrorBudget(),
            LayerCache(out / f"cache-{workers}", 1 << 30),
            Output(shard_rows=shard_rows),
        )
        started = time.perf_counter()
        summary = run_compose(job, runner)
        return Run(workers, summary.written, time.perf_counter() - started, summary.seconds["cpu"])
    finally:
        runner.close()


def added_seconds(count: int = 300) -> float:
    """What the runner adds to a task of one worker: from handing it out to having its mark."""
    runner = RayRunner(1)
    try:
        list(runner.run(nothing, [Nothing(0)], lambda: None))
        started = time.perf_counter()
        list(runner.run(nothing, [Nothing(n) for n in range(count)], lambda: None))
        return (time.perf_counter() - started) / count
    finally:
        runner.close()


def _warm(task: Nothing) -> Done:
    warm_up(load_recipe("comp-rssn"))
    return nothing(task)


def processor() -> str:
    """What `lscpu` says of cores and threads."""
    said = subprocess.run(["lscpu"], capture_output=True, text=True, check=False).stdout.splitlines()  # noqa: S607
    wanted = ("Model name", "CPU(s):", "Thread(s) per core", "Core(s) per socket", "Hypervisor vendor")
    return "; ".join(" ".join(line.split()) for line in said if line.startswith(wanted))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--side", type=int, default=720, help="shorter side of the photographs, px")
    parser.add_argument("--shards", type=int, default=8)
    options = parser.parse_args()
    compose_module.compose_shard = timed
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        size = (options.side * 3 // 2, options.side)
        pictures = SyntheticPlan(options.shards, 0, 10, 0, 0, shot_size=size, photo_side=options.side, seed=1)
        write_synthetic(folder, pictures)
        runs = [compose(folder, folder, workers, shard_rows=5) for workers in (1, 2)]
    one, two = runs
    times = (two.composites / two.seconds) / (one.composites / one.seconds)
    per_cpu = (two.composites / two.cpu_seconds) / (one.composites / one.cpu_seconds)
    work = SHARD_BYTES / COMPOSITE_BYTES * 1.6
    added = added_seconds()
    lines = [
        f"{processor()}; load before: {before:.1f}",
        *(run.line for run in runs),
        f"two workers give {times:.2f} times the composites a second, at {per_cpu:.2f} times those a CPU-second",
        f"the runner adds {1e3 * added:.1f} ms to a task, {added / work:.4%} of a default shard's {work:.0f} s of CPU",
    ]
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    main()
