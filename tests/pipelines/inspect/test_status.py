from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from click.testing import CliRunner

import pipelines.inspect.status as status_module
from pipelines.cli import main
from pipelines.compose.job import run_compose
from pipelines.curate.rows import candidates_folder
from pipelines.executor.run_state import RunState, StateFile, read_state
from pipelines.executor.runner import LocalRunner
from pipelines.inspect.status import status
from rssn.dataset.shards import DatasetFolder
from rssn.errors import InputError
from rssn.storage.lock import Lease
from tests.pipelines.composing import QUICK, job_of, rejects

STATE = RunState(
    unit="composites",
    shards=9,
    items=36,
    done_shards=5,
    done_items=20,
    reused_items=4,
    failed=1,
    rejected=2,
    started=1000.0,
    updated=1008.0,
    seconds={"denoise": 9.0, "compose": 1.0},
)


def test_a_finished_data_set(synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_compose(job_of(synthetic / "matting", bg20k, out, QUICK), LocalRunner())
    assert read_state(DatasetFolder(out)) is None
    assert status(out) == [f"{out}: composites, finished", "3 shards, 6 rows"]


def test_a_run_at_work(synthetic: Path, bg20k: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    run_compose(job_of(synthetic / "matting", bg20k, out, QUICK), LocalRunner())
    folder = DatasetFolder(out)
    StateFile(folder).write(STATE)
    folder.progress("composites-00005-of-00009").parent.mkdir(exist_ok=True)
    folder.progress("composites-00005-of-00009").write_text("4")
    monkeypatch.setattr(status_module, "read_lease", lambda _: Lease("here", os.getpid(), time.time(), 2.0))
    first, *lines = status(out)
    assert first.startswith(f"{out}: composites, running: process {os.getpid()} on here, since")
    assert lines == [
        "5 of 9 shards done, 1 at hand, 1 failed",
        "24 of 36 composites (67%), 2 rejected",
        "2 composites a second, about 6 s left",
        "slowest stage: denoise, 90% of the time in workers",
    ]


def test_a_run_that_fails_leaves_its_state_and_says_why(synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    folder = DatasetFolder(out)
    job = job_of(synthetic / "matting", bg20k, out, QUICK)
    blocked = folder.data("composites-00001-of-00003")
    run_compose(job, LocalRunner())
    blocked.unlink()
    folder.mark(blocked.stem).unlink()
    blocked.mkdir()
    assert len(run_compose(job, LocalRunner()).failed) == 1
    lines = status(out)
    assert lines[0] == f"{out}: composites, stopped; run the same command again to resume"
    assert lines[1] == "2 of 3 shards done, 0 at hand, 1 failed"
    assert lines[-2] == "rejects: 1 x error"
    assert lines[-1].startswith(f"failed: {blocked.stem}: error: IsADirectoryError")
    blocked.rmdir()
    run_compose(job, LocalRunner())
    assert status(out) == [f"{out}: composites, finished", "3 shards, 6 rows"]


@pytest.mark.slow
def test_a_killed_run_is_told_from_a_running_one(synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["--matting", synthetic / "matting", "--backgrounds", bg20k, "--out", out, "--denoiser", "nlmeans"]
    command = [sys.executable, "-m", "pipelines.cli", "compose", *map(str, arguments), "--cache-size", "0"]
    with subprocess.Popen([*command, "--workers", "0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as run:
        deadline = time.time() + 300
        while read_state(DatasetFolder(out)) is None and time.time() < deadline:
            time.sleep(0.02)
        assert f"running: process {run.pid} on" in status(out)[0]
        assert "0 of 3 shards done" in status(out)[1]
        run.kill()
        run.wait()
    assert status(out)[0].endswith("stopped; run the same command again to resume")
    subprocess.run([*command, "--workers", "0"], check=True, capture_output=True)
    assert status(out)[0].endswith("finished")


def test_rejects_by_reason(synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_compose(job_of(synthetic / "matting", bg20k, out, replace(QUICK, max_upscale=1.0)), LocalRunner())
    reasons = {row["reason"] for row in rejects(out)}
    for reason in reasons:
        assert f"x {reason}" in status(out)[-1]


def test_the_command(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no data set here"):
        status(tmp_path)
    refused = CliRunner().invoke(main, ["status", str(tmp_path)])
    assert refused.exit_code == 1
    assert "no data set here (manifest.json is missing)" in refused.output


def test_a_damaged_state_counts_as_none(tmp_path: Path) -> None:
    state = RunState("photos", 2, 8, 1, 4, 0, 0, 1, 1.0, 2.0, {"read": 1.0})
    (tmp_path / ".run.json").write_text(json.dumps(asdict(state)))
    assert read_state(DatasetFolder(tmp_path)) == state
    harms: list[dict[str, object]] = [
        {"items": "8"},
        {"items": 10**400},
        {"done_items": -1},
        {"failed": True},
        {"updated": math.nan},
        {"started": math.inf},
        {"updated": 1e300},
        {"seconds": []},
        {"seconds": {"read": "x"}},
        {"unit": 3},
    ]
    damaged = [json.dumps(asdict(state) | harm) for harm in harms]
    for text in ("", "{}", "[1]", '{"unit": 3}', "[" * 100_000, *damaged):
        (tmp_path / ".run.json").write_text(text)
        assert read_state(DatasetFolder(tmp_path)) is None


def test_rejects_of_a_curation_are_counted_once(bg20k: Path, tmp_path: Path) -> None:
    """They stand among the candidates and, once published, in the set."""
    out = tmp_path / "out"
    shutil.copytree(bg20k, out)
    folder = DatasetFolder(out)

    def counted() -> int:
        line = next(line for line in status(out) if line.startswith("rejects: "))
        return sum(int(number) for number in re.findall(r"(\d+) x", line))

    count = len(rejects(out))
    assert counted() == count > 1
    candidates = {mark.name: mark.rejected for mark in candidates_folder(folder).marks() if mark.rejected}
    number, again = next((name.removeprefix("candidates"), refused) for name, refused in candidates.items())
    published = folder.read_mark(f"train{number}")
    assert published
    for path in (folder.mark(published.name), folder.rejects_path(published.name)):
        path.unlink()
    assert counted() == count - published.rejected + again
