from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pipelines.study.watch import Watch, bar

TRAINING = "starting\n\r  0%|          | 0/40 [00:00<?, ?step/s]\r 45%|####5     | 18/40 [00:09<00:11, 1.95step/s]"


def test_the_last_bar_of_a_log_counts(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text(TRAINING)
    assert bar(log) == (0.45, "18/40 [00:09<00:11, 1.95step/s]")
    log.write_text("no bar\n50% of something\n")
    assert bar(log) is None
    log.write_text("x" * 10_000 + "\r100%|#####| 9/9 [00:01<00:00]\nwritten\n")
    assert bar(log) == (1.0, "9/9 [00:01<00:00]")


def test_time_left_counts_what_is_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr("pipelines.study.watch.time.time", lambda: now)
    logs = {name: tmp_path / name for name in ("one", "two", "three", "old")}
    watch = Watch(logs, print)
    logs["two"].write_text("\r 50%|#####     | 5/10 [00:01<00:01]")
    logs["old"].write_text("\r 90%|######### | 9/10 [00:01<00:01]")  # of a run before this one
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
    assert said[0].startswith("  train-plain-tt-0 45% (18/40 [00:09<00:11, 1.95step/s]); 0.0 min, about ")
    assert len(said) == count
