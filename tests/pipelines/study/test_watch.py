from __future__ import annotations

import time
from pathlib import Path

import pytest

from pipelines.curate.rows import candidates_folder
from pipelines.executor.run_state import RunState, StateFile
from pipelines.study.watch import Watch
from rssn.dataset.shards import DatasetFolder


def write(folder: DatasetFolder, done: int, updated: float, items: int = 10) -> None:
    folder.root.mkdir(parents=True, exist_ok=True)
    StateFile(folder).write(RunState("rows", 1, items, 0, done, 0, 0, 0, updated - 2, updated))


def test_time_left_counts_what_is_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr("pipelines.study.watch.time.time", lambda: now)
    folders = {name: tmp_path / name for name in ("one", "two", "three", "old")}
    watch = Watch(folders, print)
    write(DatasetFolder(folders["two"]), 5, now)
    write(DatasetFolder(folders["old"]), 9, now - 60)  # of a run before this one
    assert watch.summary() == "0.0 min, about 0.0 left"
    watch.ended("one")
    monkeypatch.setattr("pipelines.study.watch.time.time", lambda: now + 180)
    assert watch.summary() == "3.0 min, about 5.0 left"  # one and a half of four


def test_lines_come_from_time_to_time_while_steps_run(tmp_path: Path) -> None:
    folders, logged = {"curate-bg": tmp_path / "curate", "train-a": tmp_path / "train"}, list[str]()
    write(DatasetFolder(folders["train-a"]), 18, time.time() + 60, items=40)
    write(candidates_folder(DatasetFolder(folders["curate-bg"])), 0, time.time() + 60)
    with Watch(folders, logged.append, every=0.01) as watch:
        deadline = time.monotonic() + 120
        while not logged and time.monotonic() < deadline:
            time.sleep(0.01)
        for label in folders:
            watch.ended(label)
        last = logged[-1]
    count = len(logged)
    time.sleep(0.05)
    assert len(logged) == count
    assert last.startswith("  curate-bg: 0 of 10 rows (0%); train-a: 18 of 40 rows (45%), 9 rows/s; 0.0 min, about ")
