from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.executor.ray_runner import RayRunner
from pipelines.executor.runner import LocalRunner
from pipelines.study.execute import StepTask, duration, make_step, make_steps
from pipelines.study.steps import Step
from rssn.errors import RssnError
from rssn.storage.location import BucketPath
from rssn.storage.remote import content

MEETING = "tests.pipelines.study.meeting"


def test_a_step_that_is_done_is_left_alone(tmp_path: Path) -> None:
    step = Step("crops", "none", {"curated": "nowhere"})
    step.folder(tmp_path).mkdir(parents=True)
    step.mark(tmp_path).write_text(json.dumps({"key": step.key, "seconds": 2.0}))
    said: list[str] = []
    make_steps([step], tmp_path, LocalRunner(), {}, said.append)
    assert (said, duration(step, tmp_path)) == ([], 2.0)
    step.mark(tmp_path).write_text(json.dumps({"key": "another", "seconds": 2.0}))
    assert duration(step, tmp_path) is None


def test_a_step_that_fails_names_its_log_and_stops_the_study(tmp_path: Path) -> None:
    step = Step("crops", "none", {"curated": str(tmp_path / "nowhere")})
    said: list[str] = []
    with pytest.raises(RssnError, match=r"1 of 1 steps failed; the first: crops-none: exit code 1: .*log\.txt"):
        make_steps([step], tmp_path, LocalRunner(), {}, said.append)
    assert duration(step, tmp_path) is None
    assert "nowhere" in (step.folder(tmp_path) / "log.txt").read_text()


def test_in_a_bucket_the_log_goes_on_from_one_machine_to_the_next(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Step("crops", "none", {"curated": str(tmp_path / "nowhere")})
    root = BucketPath(f"{bucket}/study")
    for machine in ("one", "other", "one"):
        (tmp_path / machine).mkdir(exist_ok=True)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / machine))
        with pytest.raises(RssnError, match=rf"exit code 1: .*nowhere.* \({step.folder(root)}/log\.txt\)"):
            make_steps([step], root, LocalRunner(), {}, lambda _: None)
    assert content(step.folder(root) / "log.txt").count(b"nowhere") == 3
    assert duration(step, root) is None
    assert json.loads(content(step.folder(root) / "job.json"))["options"]["out"] == str(step.out(root))


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
