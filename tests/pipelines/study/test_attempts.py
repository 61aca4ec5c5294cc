"""Steps that are attempted more than once: one command at a time, and the time of all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.study.execute import StepTask, make_step
from rssn.errors import RssnError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
OUTLIVING = "tests.pipelines.study.outliving"
DRIVER = """
import sys
from tests.pipelines.study.test_attempts import attempt
attempt(sys.argv[1])
"""


def attempt(folder: str) -> None:
    make_step(StepTask("train-a", "train", Path(folder), (OUTLIVING, folder), 1))


def start_and_kill(folder: Path) -> None:
    """Kill a study as the kernel does, while the command of its step is at work."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", DRIVER, str(folder)], env=environment, cwd=ROOT) as driver:
        deadline = time.monotonic() + 300
        while not (folder / "events").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        driver.kill()


def test_a_command_that_outlives_its_study_is_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "train-a-0123"
    start_and_kill(folder)
    assert (folder / "events").read_text() == "began\n", "it is at work still"
    attempt(str(folder))
    assert (folder / "events").read_text() == "began\nended\nbegan\nended\n"
    said = (folder / "log.txt").read_text()
    assert said == "waiting for the command of an earlier attempt, which is still at work\n"


def test_a_command_that_does_not_end_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "train-a-0123"
    start_and_kill(folder)
    monkeypatch.setattr("pipelines.study.execute._PATIENCE_SECONDS", 0.3)
    with pytest.raises(RssnError, match=r"train-a: the command of an earlier attempt is still at work; wait for .*log"):
        attempt(str(folder))


@pytest.mark.parametrize(("kind", "least", "most"), [("train", 1000.0, 1060.0), ("crops", 0.0, 60.0)])
def test_what_goes_on_is_marked_with_the_time_of_all_attempts(
    tmp_path: Path, kind: str, least: float, most: float
) -> None:
    folder = tmp_path / "step-0123"
    folder.mkdir()
    (folder / "spent.json").write_text('{"seconds": 1000.0}')
    with pytest.raises(RssnError, match="exit code"):
        make_step(StepTask("step", kind, folder, ("no.such.module",), 1))
    spent = json.loads((folder / "spent.json").read_text())["seconds"]
    assert least <= spent < most
    (folder / "events").touch()
    make_step(StepTask("step", kind, folder, (OUTLIVING, str(folder)), 1))
    seconds = json.loads((folder / "step.json").read_text())["seconds"]
    assert least < seconds < most
    if kind == "train":
        assert seconds > spent


def test_a_long_attempt_notes_its_time_before_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[float] = []
    monkeypatch.setattr("pipelines.study.execute._NOTED_SECONDS", 0.5)
    monkeypatch.setattr("pipelines.study.execute._note", lambda _, seconds: noted.append(seconds))
    attempt(str(tmp_path / "train-a-0123"))
    assert len(noted) >= 4
    assert noted == sorted(noted)


@pytest.mark.parametrize(("kind", "left"), [("eval", []), ("train", [".last.pt.tmp", ".other.json.1.tmp"])])
def test_what_killed_attempts_left_is_removed(tmp_path: Path, kind: str, left: list[str]) -> None:
    """A command that goes on removes what is its own; one that begins anew would not find it."""
    folder = tmp_path / "step-0123"
    (folder / "out").mkdir(parents=True)
    for name in (".spent.json.1.tmp", ".step.json.77.tmp", "out/.last.pt.tmp", "out/.other.json.1.tmp"):
        (folder / name).touch()
    with pytest.raises(RssnError, match="exit code"):
        make_step(StepTask("step", kind, folder, ("no.such.module",), 1))
    assert sorted(path.name for path in folder.rglob("*.tmp")) == left
