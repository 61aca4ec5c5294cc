"""How composition scales: the runner's own cost here, and a model of 10, 100 and 1,000 nodes.

`python -m tests.benchmarks.bench_scaling [--shards 10000] [--cores 16] [--store 5]`

The model is of discrete events (simpy): a driver that hands out and collects one task after the other, workers that
compute, and a store of limited bandwidth that all of them read from and write to. The driver's seconds per task are
measured here on tasks that do nothing, for the number of tasks in flight; a worker's seconds are a default shard of
256 MiB at the seconds per composite that the caller gives (`make bench`), with the spread of real shards.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simpy

from pipelines.compose.plan import PlannedForeground
from pipelines.executor.ray_runner import RayRunner
from pipelines.executor.runner import Done
from rssn.dataset.shards import Mark
from rssn.sources.matting import Pair
from rssn.sources.picture_ref import PictureRef

SHARD_BYTES = 256 << 20
COMPOSITE_BYTES = 1.75e6  # on disk, of 1.75 MP; its sources are about as much again
SPREAD = 0.3  # of a shard's time, as a share of its mean


@dataclass(frozen=True)
class Nothing:
    """A task without work."""

    number: int
    memory: int = 0
    size: int = 1
    quarantined: frozenset[str] = frozenset()
    current_item: Path = Path(os.devnull)

    @property
    def name(self) -> str:
        """Of its shard."""
        return f"nothing-{self.number}"


@dataclass(frozen=True)
class Cluster:
    """What is modelled."""

    nodes: int
    cores: int  # of a node; one worker each
    store: float  # bytes a second
    shard_seconds: float
    driver_seconds: float  # a task


@dataclass(frozen=True)
class Outcome:
    """What the model gives."""

    hours: float
    busy: float  # share of the workers' time that is computing
    driver: float  # share of the time that the driver works
    store: float  # share of its bandwidth


def nothing(task: Nothing) -> Done:
    """Do nothing, and say so."""
    return Done(Mark(name=task.name, rows=1, bytes=0, sha256=""))


def driver_seconds(workers: int, count: int) -> float:
    """CPU-seconds of the driver for each task, with `workers` tasks running and as many waiting."""
    runner = RayRunner(workers)
    try:
        list(runner.run(nothing, [Nothing(n) for n in range(2 * workers)], lambda: None))
        started = time.process_time()
        list(runner.run(nothing, [Nothing(n) for n in range(count)], lambda: None))
        return (time.process_time() - started) / count
    finally:
        runner.close()


def simulate(cluster: Cluster, shards: int) -> Outcome:
    """Run a composition of so many shards in the model."""
    world = simpy.Environment()
    driver, workers = simpy.Resource(world), simpy.Resource(world, cluster.nodes * cluster.cores)
    streams = simpy.Resource(world, max(1, round(cluster.store / 100e6)))  # a worker moves 100 MB a second at most
    moved = 2 * SHARD_BYTES / min(100e6, cluster.store)
    dice = np.random.default_rng(0)
    computing = driving = moving = 0.0

    def shard(seconds: float) -> Iterator[simpy.Event]:
        nonlocal computing, driving, moving
        with workers.request() as worker:
            yield worker
            with driver.request() as turn:
                yield turn
                yield world.timeout(cluster.driver_seconds)
                driving += cluster.driver_seconds
            yield world.timeout(seconds)
            computing += seconds
            with streams.request() as stream:
                yield stream
                yield world.timeout(moved)
                moving += moved

    spread = float(np.sqrt(np.log(1 + SPREAD**2)))
    for seconds in cluster.shard_seconds * dice.lognormal(-(spread**2) / 2, spread, shards):
        world.process(shard(float(seconds)))
    world.run()
    total = world.now
    return Outcome(
        total / 3600, computing / total / workers.capacity, driving / total, moving / total / streams.capacity
    )


def planned_bytes(count: int = 20_000) -> float:
    """Memory of the driver for each foreground of a plan."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    held = [
        PlannedForeground(
            f"{n:020x}",
            Pair(
                f"photograph-{n}",
                PictureRef(f"/data/o/{n}.jpg"),
                PictureRef(f"/data/m/{n}.png"),
                None,
                f"o/{n}.jpg",
                "",
            ),
            1620,
            1080,
        )
        for n in range(count)
    ]
    return 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / len(held)


def main() -> None:
    """Measure, model and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--shards", type=int, default=10_000)
    parser.add_argument("--cores", type=int, default=16, help="of a node")
    parser.add_argument("--store", type=float, default=5.0, help="GB a second that the storage gives to all together")
    parser.add_argument("--composite", type=float, default=1.6, help="CPU-seconds of one, see make bench")
    options = parser.parse_args()
    shard_seconds = SHARD_BYTES / COMPOSITE_BYTES * options.composite
    per_foreground = planned_bytes()
    cost = driver_seconds(2, 300)
    composites = options.shards * SHARD_BYTES / COMPOSITE_BYTES
    lines = [
        f"a shard of 256 MiB: {SHARD_BYTES / COMPOSITE_BYTES:.0f} composites, {shard_seconds:.0f} CPU-seconds",
        f"driver: {1e3 * cost:.1f} ms a task, {cost / shard_seconds:.4%} of its work; "
        f"{per_foreground:.0f} bytes a planned foreground",
        f"{composites:.0f} composites, K = 5: {composites / 5 * per_foreground / 1e6:.0f} MB of the driver's memory",
        f"{options.shards} shards, {options.cores} cores a node, a store of {options.store:g} GB a second:",
    ]
    for nodes in (10, 100, 1000):
        cluster = Cluster(nodes, options.cores, options.store * 1e9, shard_seconds, cost)
        found = simulate(cluster, options.shards)
        lines.append(
            f"  {nodes:>4} nodes: {found.hours:.2f} h, workers compute {found.busy:.0%} of the time, "
            f"driver busy {found.driver:.1%}, store busy {found.store:.0%}"
        )
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    main()
