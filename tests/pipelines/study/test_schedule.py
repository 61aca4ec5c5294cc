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
    steps = [
        Step("train", f"row-{n}", ("run", "--data", Result(data), "--max-steps", "60", "--batch-size", "2"))
        for n in (0, 1)
    ]
    first = forecast(Plan([data, *steps], []), tmp_path)
    assert first[1] == "to do    0.6 min  train-row-0  (assumed: 0.3 s a sample)"
    steps[0].folder(tmp_path).mkdir(parents=True)
    steps[0].mark(tmp_path).write_text(json.dumps({"key": steps[0].key, "seconds": 120.0}))
    then = forecast(Plan([data, *steps], []), tmp_path)
    assert then[1:] == [
        "done     2.0 min  train-row-0",
        "to do    2.0 min  train-row-1  (as the 1 done here)",
        "1 of 3 steps done; about 2.2 min for the others, one after the other",
    ]
