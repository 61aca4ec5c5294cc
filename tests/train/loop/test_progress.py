from __future__ import annotations

from dataclasses import replace

import pytest

from rssn.progress import Progress
from train.config import TrainConfig
from train.loop.loop import StepReport
from train.loop.progress import step_listener


def test_a_line_says_step_loss_speed_wait_and_time_left(
    config: TrainConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(config, max_steps=100)
    with Progress(config.max_steps, "steps") as progress:
        show = step_listener(progress, config)
        for step in (10, 11):
            show(StepReport(step, {"total": 1.5}, seconds=2.0, waited=0.5, notes=("one failed",)))
    words = "loss 1.5000, 2.0 samples/s, 25 % waiting for data"
    first, second, last = capsys.readouterr().err.splitlines()
    assert first == "validation: one failed"  # once, though every validation says it
    assert second == f"10 of 100 steps (10 %), 2 s each, {words}, 03:00 left"
    assert last.startswith("11 of 100 steps (11 %), ")
    assert words in last
