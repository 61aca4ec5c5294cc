from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.runner import LocalRunner
from pipelines.study.forecast import forecast
from pipelines.study.schedule import Workers, make_steps, took
from pipelines.study.steps import Plan, Result, Step
from rssn.errors import RssnError


@pytest.fixture
def workers() -> Workers:
    return Workers(LocalRunner(), ("--workers", "0"), 1)


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
        Step("train", f"row-{n}", ("run", "--data", Result(data), "--backbone", "tiny", "--max-steps", str(steps)))
        for n, steps in enumerate((60_000, 60_000, 120_000))
    ]
    plan = Plan([data, *trainings], [])
    first = forecast(plan, tmp_path, 2)
    assert first[0] == "to do    0.1 min  crops-set  (by what it reads)"
    assert first[3].startswith("to do ")
    assert first[3].endswith("  train-row-2  (by what it reads)")
    trainings[0].folder(tmp_path).mkdir(parents=True)
    trainings[0].mark(tmp_path).write_text(json.dumps({"key": trainings[0].key, "seconds": 1200.0}))
    then = forecast(plan, tmp_path, 2)
    assert then[1:] == [
        "done    20.0 min  train-row-0",
        "to do   20.0 min  train-row-1  (by the 1 done here)",
        "to do   39.8 min  train-row-2  (by the 1 done here)",
        "1 of 4 steps done; about 30.0 min for the others, with 2 workers",
    ]
