"""Pictures that end the process that looks at them, as a crash in native code does."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import pipelines.compose.job as compose_module
import pipelines.compose.layers as layers_module
from pipelines.compose.job import run_compose
from pipelines.compose.plan import PlannedForeground, load_plan
from pipelines.compose.shard import ComposeTask, compose_shard
from pipelines.executor.ray_runner import RayRunner
from pipelines.executor.runner import Done
from rssn.sources.backgrounds import Background
from rssn.sources.matting import MattingSample
from tests.pipelines.composing import PLAIN, job_of, rejects, rows


def deadly(task: ComposeTask) -> Done:
    """Make a shard in a worker that dies of the pictures named in `poison`, beside the output."""
    poison = (task.folder.root.parent / "poison").read_text().split()
    background_bytes, load_pair = layers_module.background_bytes, PlannedForeground.load

    def load(background: Background) -> bytes:
        if background.background_id in poison:
            os.kill(os.getpid(), signal.SIGKILL)
        return background_bytes(background)

    def pair(planned: PlannedForeground) -> MattingSample:
        if planned.foreground_id in poison:
            os.kill(os.getpid(), signal.SIGKILL)
        return load_pair(planned)

    layers_module.background_bytes, PlannedForeground.load = load, pair  # type: ignore[method-assign]
    try:
        return compose_shard(task)
    finally:
        layers_module.background_bytes, PlannedForeground.load = background_bytes, load_pair  # type: ignore[method-assign]


def test_poisoned_pictures_are_refused_and_everything_else_is_made(
    synthetic: Path, bg20k: Path, tmp_path: Path, ray_runner: RayRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole"
    run_compose(job_of(synthetic / "matting", bg20k, whole, PLAIN), ray_runner)
    before = {row["sample_id"]: row for row in rows(whole)}
    foreground, background = next(
        (foreground.foreground_id, row["background_id"])
        for foreground in load_plan(whole).foregrounds
        for row in before.values()
        if row["foreground_id"] != foreground.foreground_id
    )
    (tmp_path / "poison").write_text(f"{foreground} {background}")
    monkeypatch.setattr(compose_module, "compose_shard", deadly)
    job = job_of(synthetic / "matting", bg20k, tmp_path / "out", PLAIN)
    summary = run_compose(job, ray_runner)
    after = {row["sample_id"]: row for row in rows(tmp_path / "out")}
    lost = {
        key for key, row in before.items() if foreground == row["foreground_id"] or background == row["background_id"]
    }
    assert len(lost) >= 3
    assert after == {key: row for key, row in before.items() if key not in lost}
    assert (summary.failed, summary.rejected) == ([], len(lost))
    assert {row["item_id"] for row in rejects(tmp_path / "out")} == lost
    for row in rejects(tmp_path / "out"):
        assert (row["stage"], row["reason"]) == ("run", "worker_died")
        poison = foreground if row["item_id"].startswith(foreground) else background
        assert row["message"].startswith(f"{poison}: its worker died at every attempt")
    assert run_compose(job, ray_runner).reused == len(after)
    (tmp_path / "poison").write_text("")
    retry = job_of(synthetic / "matting", bg20k, tmp_path / "out", PLAIN, retry_rejects=True)
    assert run_compose(retry, ray_runner).rejected == 0
    assert {row["sample_id"]: row for row in rows(tmp_path / "out")} == before
