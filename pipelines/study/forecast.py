"""`rssn study --dry-run`: each step, and about how long it takes."""

from __future__ import annotations

from pathlib import Path

from pipelines.runner import Room
from pipelines.study.costs import Costs
from pipelines.study.schedule import ALONE, took
from pipelines.study.steps import Kind, Plan


def forecast(plan: Plan, root: Path, room: Room) -> list[str]:
    """Lines: what is done and what it took, what is not and what it will take, by the like of it where there is one.

    Args:
        plan: The steps.
        root: The study's folder.
        room: Trainings and evaluations run beside each other; the other steps take all workers.

    Raises:
        InputError: If an input is missing, or no network has the name.
        DependencyError: If a package that the study needs is not installed.
    """
    costs = Costs()
    expected = {step: costs.seconds(step) / (room.workers if step.kind in ALONE else 1) for step in plan.steps}
    past = {step: seconds for step in plan.steps if (seconds := took(step, root)) is not None}
    counts: dict[Kind, tuple[float, str]] = {}
    for kind in {step.kind for step in plan.steps}:
        alike = [step for step in past if step.kind == kind]
        share = sum(past[step] for step in alike) / sum(expected[step] for step in alike) if alike else 1.0
        counts[kind] = share, f"by the {len(alike)} done here" if alike else "by what it reads"
    lines, left = [], 0.0
    for step in plan.steps:
        if step in past:
            lines.append(f"done   {_time(past[step]):>9}  {step.label}")
            continue
        share, why = counts[step.kind]
        left += share * expected[step] / (1 if step.kind in ALONE else room.networks)
        lines.append(f"to do  {_time(share * expected[step]):>9}  {step.label}  ({why})")
    done = f"{len(past)} of {len(plan.steps)} steps done"
    at_once = f"{_count(room.workers, 'worker')}, {_count(room.networks, 'network')} at a time"
    return [*lines, f"{done}; about {_time(left)} for the others, with {at_once}"]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number > 1)}"


def _time(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"
