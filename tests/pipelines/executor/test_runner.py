from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipelines.executor.ray_runner as ray_runner_module
from pipelines.executor.ray_runner import RayRunner, make_runner, shared_capacity, stepped
from pipelines.executor.runner import Capacity, Done, LocalRunner, Runner, shard_ranges
from pipelines.executor.work import begin_item
from rssn.dataset.shards import Mark
from rssn.errors import InputError, Rejected
from rssn.storage.machine import available_cpus


def idle() -> None:
    """Nothing to do while others work."""


@dataclass(frozen=True)
class Task:
    number: int
    folder: Path
    size: int = 1
    memory: int = 1 << 60  # more than any machine has: the runner asks for what there is
    quarantined: frozenset[str] = frozenset()

    @property
    def current_item(self) -> Path:
        return self.folder / f"{self.name}.item"

    @property
    def name(self) -> str:
        return f"shard-{self.number}"


def mark_of(task: Task) -> Done:
    if task.number == 2:
        raise InputError("number 2 is refused")
    if task.number == 3:
        raise ZeroDivisionError("nobody foresaw this")
    return Done(Mark(name=f"shard-{task.number}", rows=task.number, bytes=os.getpid(), sha256=""))


def die_twice(task: Task) -> Done:
    """Kill the worker on the first two attempts, as the kernel does when memory runs out."""
    attempts = len(list(task.folder.glob(f"{task.number}-*")))
    (task.folder / f"{task.number}-{attempts}").touch()
    if attempts < 2:
        os.kill(os.getpid(), 9)
    return Done(Mark(name="survived", rows=attempts, bytes=0, sha256=""))


def die(task: Task) -> Done:
    os.kill(os.getpid(), 9)
    raise AssertionError(task)


def die_of(task: Task) -> Done:
    """Go through three items; `deadly` ends the process each time, and whoever looks at it."""
    seen = []
    for item in ("first", "deadly", "last"):
        try:
            begin_item(task, item)
        except Rejected:
            continue
        (task.folder / f"{task.number}-{item}").open("a").write("x")
        if item == "deadly":
            os.kill(os.getpid(), 9)
        seen.append(item)
    return Done(Mark(name=" ".join(seen), rows=len(seen), bytes=0, sha256=""))


@pytest.fixture(params=["local", pytest.param("ray", marks=pytest.mark.slow)])
def runner(request: pytest.FixtureRequest) -> Runner:
    return LocalRunner() if request.param == "local" else request.getfixturevalue("ray_runner")


def test_every_task_has_one_outcome_and_errors_stop_no_other(runner: Runner, tmp_path: Path) -> None:
    outcomes = {o.task.number: o for o in runner.run(mark_of, [Task(n, tmp_path) for n in range(9)], idle)}
    assert sorted(outcomes) == list(range(9))
    assert outcomes[2].done is None
    assert outcomes[2].error == "number 2 is refused"
    assert outcomes[3].error == "ZeroDivisionError: nobody foresaw this"
    assert {n: o.done.mark.rows for n, o in outcomes.items() if o.done} == {n: n for n in (0, 1, 4, 5, 6, 7, 8)}


def test_a_runner_knows_its_room(runner: Runner) -> None:
    cores = available_cpus()
    capacity = Capacity(1, 1, cores) if isinstance(runner, LocalRunner) else Capacity(2, 2, max(1, cores // 2))
    assert runner.capacity(9) == capacity


def test_a_command_starts_as_many_workers_as_it_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_runner_module, "RayRunner", lambda workers, *_, **__: workers)
    monkeypatch.setattr(ray_runner_module, "available_cpus", lambda: 3)
    assert [make_runner(None), make_runner(5), make_runner(None, "host:1"), make_runner(5, "host:1")] == [3, 5, None, 5]


def test_one_network_has_all_cores_of_this_machine(ray_runner: RayRunner) -> None:
    assert ray_runner.capacity(1) == Capacity(2, 1, available_cpus())


def test_tasks_ask_for_memory_in_few_different_amounts() -> None:
    """Ray never forgets one."""
    step = 64 << 20
    assert [stepped(memory) for memory in (0, 1, step, step + 1)] == [0, step, step, 2 * step]
    assert len({stepped(1_500_000_000 + n) for n in range(0, 1_000_000_000, 1_000_003)}) == 16


CORES = {"CPU": 16.0, "memory": 64e9}
GPUS = CORES | {"GPU": 4.0}


@pytest.mark.parametrize(
    ("nodes", "slots", "tasks", "capacity"),
    [
        ([CORES] * 4, 2, 9, Capacity(2, 2, 16)),  # a node each
        ([CORES] * 4, 64, 9, Capacity(64, 9, 5)),  # three on one of them
        ([{"CPU": 64.0}], 64, 6, Capacity(64, 6, 10)),
        ([CORES, GPUS, GPUS], 48, 6, Capacity(48, 6, 5, 8)),  # those of the node without a GPU do not count
        ([CORES, GPUS, GPUS], 48, 99, Capacity(48, 8, 4, 8)),
        ([{"CPU": 64.0}, {"CPU": 4.0}], 68, 2, Capacity(68, 2, 32)),  # both on the large one
        ([{"GPU": 1.0}, CORES], 16, 2, Capacity(16, 2, 8)),  # a GPU without a core is of no use
        ([{"CPU": 4.0, "GPU": 0.5}] * 2, 8, 2, Capacity(8, 2, 4)),
        ([], 1, 2, Capacity(1, 1, 1)),
    ],
)
def test_networks_share_the_cores_of_the_nodes_that_can_run_them(
    nodes: list[dict[str, float]], slots: int, tasks: int, capacity: Capacity
) -> None:
    assert shared_capacity(nodes, slots, tasks, gpu_each=True) == capacity


def test_ray_sets_the_threads_of_a_network_aside_on_its_node(
    ray_runner: RayRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [CORES, GPUS | {"CPU": 8.0, "memory": 32e9}]
    monkeypatch.setattr(ray_runner, "_nodes", lambda: nodes)
    monkeypatch.setattr(ray_runner, "_own", False)
    assert ray_runner._share(9, 16) == (4, 1, 0, 64_000_000_000), "other tasks have a core each"
    monkeypatch.setattr(ray_runner, "_gpu_each", True)
    assert ray_runner._share(9, 4) == (2, 4, 1, 32_000_000_000)
    assert ray_runner._share(9, 16) == (2, 8, 1, 32_000_000_000), "more than a node has would wait for ever"
    monkeypatch.setattr(ray_runner, "_own", True)
    assert ray_runner._share(9, 16)[1] == 1, "a Ray of our own knows the workers alone"


def test_ray_works_in_other_processes(ray_runner: RayRunner, tmp_path: Path) -> None:
    (outcome,) = ray_runner.run(mark_of, [Task(1, tmp_path)], idle)
    assert outcome.done is not None
    assert outcome.done.mark.bytes != os.getpid()


def test_a_killed_worker_is_tried_again(ray_runner: RayRunner, tmp_path: Path) -> None:
    (outcome,) = ray_runner.run(die_twice, [Task(7, tmp_path)], idle)
    assert outcome.done is not None
    assert outcome.done.mark.rows == 2


def test_a_task_that_always_kills_its_worker_fails_alone(ray_runner: RayRunner, tmp_path: Path) -> None:
    (outcome,) = ray_runner.run(die, [Task(1, tmp_path)], idle)
    assert outcome.done is None
    assert outcome.reason == "worker_died"
    assert outcome.error.startswith("worker died at every attempt (")
    (after,) = ray_runner.run(mark_of, [Task(1, tmp_path)], idle)
    assert after.done is not None


def test_an_item_that_always_kills_its_worker_is_refused_and_the_rest_is_made(
    ray_runner: RayRunner, tmp_path: Path
) -> None:
    outcomes = list(ray_runner.run(die_of, [Task(n, tmp_path) for n in range(6)], idle))
    assert sorted(outcome.task.number for outcome in outcomes) == list(range(6))
    assert all(outcome.done and outcome.done.mark.name == "first last" for outcome in outcomes)
    deaths = [len(path.read_text()) for path in tmp_path.glob("*-deadly")]
    assert max(deaths) == 3
    assert len(deaths) < 6, "tasks that start later know of it already"


def slow(task: Task) -> Done:
    time.sleep(2.5)
    return Done(Mark(name="slow", rows=task.number, bytes=0, sha256=""))


def test_the_driver_hears_something_while_others_work(ray_runner: RayRunner, tmp_path: Path) -> None:
    heard: list[None] = []
    list(ray_runner.run(slow, [Task(1, tmp_path)], lambda: heard.append(None)))
    assert len(heard) >= 3


def test_zero_workers_start_no_ray() -> None:
    code = "import sys; from pipelines.executor import ray_runner as r; r.make_runner(0); print('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_negative_number_of_workers_is_refused() -> None:
    with pytest.raises(InputError, match="--workers is -1"):
        make_runner(-1)


@given(sizes=st.lists(st.integers(1, 50), max_size=400), limit=st.integers(1, 200))
def test_shard_ranges_cover_everything_once(sizes: list[int], limit: int) -> None:
    ranges = shard_ranges(sizes, limit)
    assert [number for start, stop in ranges for number in range(start, stop)] == list(range(len(sizes)))
    assert all(sum(sizes[start:stop]) <= limit or stop - start == 1 for start, stop in ranges)
    assert len(ranges) >= min(len(sizes), 9)
