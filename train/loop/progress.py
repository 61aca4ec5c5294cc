"""What a training says of itself step by step: here and in the workers of Ray, on a terminal and in a log."""

from __future__ import annotations

from collections.abc import Callable

from rssn.progress import Progress
from train.config import TrainConfig
from train.loop.loop import StepReport

_SMOOTHED = 0.9  # of the shown times, what the steps before count


def step_listener(progress: Progress, config: TrainConfig) -> Callable[[StepReport], None]:
    """What `train.loop.loop.train` tells of each step, on its way to a progress of `config.max_steps` steps.

    Loss, samples a second, and the share of the time that was spent waiting for data, both of the last ten steps or so.
    A note of a validation is said once: every validation finds the same.
    """
    steps, seconds, waited = 0.0, 0.0, 0.0
    said: set[str] = set()

    def show(report: StepReport) -> None:
        nonlocal steps, seconds, waited
        for note in report.notes:
            if note not in said:
                said.add(note)
                progress.say(f"validation: {note}")
        if not steps:
            progress.begin(report.step - 1, report.seconds)
        steps = _SMOOTHED * steps + 1
        seconds = _SMOOTHED * seconds + report.seconds
        waited = _SMOOTHED * waited + report.waited
        speed = f"{config.step_size * steps / seconds:.1f} samples/s, {100 * waited / seconds:.0f} % waiting for data"
        progress.reach(report.step, f"loss {report.losses['total']:.4f}, {speed}")

    return show
