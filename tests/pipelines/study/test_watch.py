from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pipelines.study.watch import Watch, progress_in

TRAINING = "starting\n1 of 40 steps (2 %)\n18 of 40 steps (45 %), 1.95 steps/s, 00:11 left\n"


def test_the_last_progress_of_a_log_counts(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text(TRAINING)
    assert progress_in(log) == (0.45, "18 of 40 steps, 1.95 steps/s, 00:11 left")
    log.write_text("no bar\n50% of something\n")
    assert progress_in(log) is None
    log.write_text("x" * 10_000 + "\n9 of 9 rows (100 %), 00:01 in all\nwritten\n")
    assert progress_in(log) == (1.0, "9 of 9 rows, 00:01 in all")


def test_time_left_counts_what_is_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr("pipelines.study.watch.time.time", lambda: now)
    logs = {name: tmp_path / name for name in ("one", "two", "three", "old")}
    watch = Watch(logs, print)
    logs["two"].write_text("5 of 10 rows (50 %), 5 rows/s, 00:01 left\n")
    logs["old"].write_text("9 of 10 rows (90 %), 5 rows/s, 00:01 left\n")  # of a run before this one
    os.utime(logs["old"], (now - 60, now - 60))
    assert watch.words() == "0.0 min, about 0.0 left"
    watch.ended("one")
    monkeypatch.setattr("pipelines.study.watch.time.time", lambda: now + 180)
    assert watch.words() == "3.0 min, about 5.0 left"  # one and a half of four


def test_lines_come_from_time_to_time_while_steps_run(tmp_path: Path) -> None:
    log, said = tmp_path / "log.txt", list[str]()
    with Watch({"train-plain-tt-0": log}, said.append, every=0.01) as watch:
        log.write_text(TRAINING)
        os.utime(log, (time.time() + 60, time.time() + 60))
        deadline = time.monotonic() + 20
        while len(said) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        watch.ended("train-plain-tt-0")
    count = len(said)
    time.sleep(0.05)
    assert said[0].startswith("  train-plain-tt-0 45% (18 of 40 steps, 1.95 steps/s, 00:11 left); 0.0 min, about ")
    assert len(said) == count
