from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.executor.ray_runner import RayRunner
from pipelines.executor.runner import LocalRunner, Room
from pipelines.study.execute import StepTask, Workers, make_step, make_steps, took
from pipelines.study.forecast import forecast
from pipelines.study.steps import Plan, Result, Step
from rssn.errors import RssnError

MEETING = "tests.pipelines.study.meeting"


@pytest.fixture
def workers() -> Workers:
    return Workers(LocalRunner(), ("--workers", "0"))


def test_a_step_that_is_done_is_left_alone(workers: Workers, tmp_path: Path) -> None:
    step = Step("crops", "none", ("nowhere",))
    step.folder(tmp_path).mkdir(parents=True)
    step.mark(tmp_path).write_text(json.dumps({"key": step.key, "seconds": 2.0}))
    said: list[str] = []
    make_steps([step], tmp_path, workers, said.append)
    assert (said, took(step, tmp_path)) == ([], 2.0)
    step.mark(tmp_path).write_text(json.dumps({"key": "another", "seconds": 2.0}))
    assert took(step, tmp_path) is None


def test_a_step_that_fails_names_its_log_and_stops_the_study(workers: Workers, tmp_path: Path) -> None:
    step = Step("crops", "none", (str(tmp_path / "nowhere"),))
    said: list[str] = []
    with pytest.raises(RssnError, match=r"1 of 1 steps failed; the first: crops-none: exit code 1: .*log\.txt"):
        make_steps([step], tmp_path, workers, said.append)
    assert took(step, tmp_path) is None
    assert "nowhere" in (step.folder(tmp_path) / "log.txt").read_text()


def test_the_forecast_goes_by_the_like_of_a_step(tmp_path: Path) -> None:
    data = Step("crops", "set", ("curated",))
    trainings = [
        Step(
            "train",
            f"row-{n}",
            ("run", "--data", Result(data), "--backbone", "tiny", "--max-steps", str(steps), "--seed", str(n)),
        )
        for n, steps in enumerate((60_000, 60_000, 120_000))
    ]
    plan = Plan([data, *trainings], [])
    first = forecast(plan, tmp_path, lambda tasks: Room(2, min(2, tasks), 1))
    assert first[0] == "to do    0.1 min  crops-set  (by what it reads)"
    assert first[3].startswith("to do ")
    assert first[3].endswith("  train-row-2  (by what it reads)")
    trainings[0].folder(tmp_path).mkdir(parents=True)
    trainings[0].mark(tmp_path).write_text(json.dumps({"key": trainings[0].key, "seconds": 1200.0}))
    then = forecast(plan, tmp_path, lambda tasks: Room(2, min(2, tasks), 1))
    assert then[1:] == [
        "done    20.0 min  train-row-0",
        "to do   20.0 min  train-row-1  (by the 1 done here)",
        "to do   39.8 min  train-row-2  (by the 1 done here)",
        "1 of 4 steps done; about 39.9 min for the others, with 2 workers, 2 networks at a time",
    ]
    on_one_gpu = forecast(plan, tmp_path, lambda _: Room(16, 1, 1))
    assert on_one_gpu[-1] == "1 of 4 steps done; about 59.8 min for the others, with 16 workers, 1 network at a time"


def test_steps_that_are_as_many_as_the_slots_take_as_long_as_one(tmp_path: Path) -> None:
    words = ("run", "--data", "shards", "--backbone", "tiny", "--max-steps", "60000")
    plan = Plan([Step("train", f"row-{n}", (*words, "--seed", str(n))) for n in range(7)], [])
    for done in plan.steps[:1]:
        done.folder(tmp_path).mkdir(parents=True)
        done.mark(tmp_path).write_text(json.dumps({"key": done.key, "seconds": 3600.0}))
    lines = forecast(plan, tmp_path, lambda tasks: Room(64, min(64, tasks), 64 // tasks))
    assert lines[-2:] == [
        "a network on 10 threads is taken to be 5.6 times as fast as on one",
        "1 of 7 steps done; about 1.0 h for the others, with 64 workers, 6 networks at a time",
    ]
    lines = forecast(plan, tmp_path, lambda _: Room(64, 4, 16))
    assert lines[-1] == "1 of 7 steps done; about 2.0 h for the others, with 64 workers, 4 networks at a time"


def test_trainings_run_side_by_side_on_ray(
    ray_runner: RayRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_runner, "_gpu_each", True)
    names = ("train-a-tt-0", "train-a-tt-1")
    tasks = [
        StepTask(name, "train", tmp_path / f"{name}-0123", (MEETING, str(tmp_path), name, other), 3)
        for name, other in zip(names, reversed(names), strict=True)
    ]
    outcomes = list(ray_runner.run(make_step, tasks, lambda: None))
    assert [outcome.error for outcome in outcomes] == ["", ""]
    marks = [json.loads((task.folder / "step.json").read_text()) for task in tasks]
    assert [(mark["key"], mark["command"][2]) for mark in marks] == [("0123", name) for name in names]
    assert [(task.folder / "log.txt").read_text() for task in tasks] == ["3 3 3 3\n", "3 3 3 3\n"], "threads"
