"""`rssn study --dry-run`: each step, and about how long it takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipelines.study.schedule import took
from pipelines.study.steps import Kind, Plan, Step

_ASSUMED: dict[Kind, float] = {"curate": 300.0, "crops": 10.0, "compose": 600.0, "pack": 120.0, "eval": 60.0}
"""Seconds of a step of which this folder knows nothing yet."""

_ASSUMED_TRAINING = 0.3  # seconds a step and sample of the batch, on one core
_DEFAULT_STEPS, _DEFAULT_BATCH = 10_000, 4


def forecast(plan: Plan, root: Path) -> list[str]:
    """Lines: what is done and what it took, what is not and what it will take, by the like of it where there is one."""
    lines, total = [], 0.0
    for step in plan.steps:
        seconds = took(step, root)
        if seconds is not None:
            lines.append(f"done   {_time(seconds):>9}  {step.label}")
            continue
        expected, why = _expected(step, plan.steps, root)
        total += expected
        lines.append(f"to do  {_time(expected):>9}  {step.label}  ({why})")
    done = sum(took(step, root) is not None for step in plan.steps)
    lines.append(f"{done} of {len(plan.steps)} steps done; about {_time(total)} for the others, one after the other")
    return lines


def _expected(step: Step, steps: Sequence[Step], root: Path) -> tuple[float, str]:
    alike = [seconds for each in steps if each.kind == step.kind and (seconds := took(each, root)) is not None]
    if alike:
        return sum(alike) / len(alike), f"as the {len(alike)} done here"
    if step.kind == "train":
        count, batch = _number(step, "--max-steps", _DEFAULT_STEPS), _number(step, "--batch-size", _DEFAULT_BATCH)
        return count * batch * _ASSUMED_TRAINING, f"assumed: {_ASSUMED_TRAINING:g} s a sample"
    return _ASSUMED[step.kind], "assumed"


def _number(step: Step, option: str, default: int) -> int:
    words = step.arguments
    return int(str(words[words.index(option) + 1])) if option in words else default


def _time(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"
