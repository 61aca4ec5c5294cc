"""`rssn study --dry-run`: each step, and about how long it takes."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipelines.executor.runner import Room
from pipelines.study.costs import Costs
from pipelines.study.execute import ALONE, took
from pipelines.study.steps import KINDS, Kind, Plan, Step


def forecast(plan: Plan, root: Path, room: Callable[[int], Room]) -> list[str]:
    """Lines: what is done and what it took, what is not and what it will take, by the like of it where there is one.

    Args:
        plan: The steps.
        root: The study's folder.
        room: What runs at once of so many trainings or evaluations; the other steps take all workers.

    Raises:
        InputError: If an input is missing, or no network has the name.
        DependencyError: If a package that the study needs is not installed.
    """
    past = {step: seconds for step in plan.steps if (seconds := took(step, root)) is not None}
    rooms = _rooms(plan.steps, past, room)
    costs = Costs(gpus=any(each.gpus for each in rooms.values()))
    expected = {step: costs.seconds(step, rooms[step.kind].threads) for step in plan.steps}
    expected |= {step: seconds / rooms[step.kind].workers for step, seconds in expected.items() if step.kind in ALONE}
    shares = {kind: _share(kind, expected, past) for kind in rooms}
    lines, left = [], {kind: list[float]() for kind in rooms}
    for step in plan.steps:
        if step in past:
            lines.append(f"done   {_time(past[step]):>9}  {step.label}")
            continue
        share, why = shares[step.kind]
        left[step.kind].append(share * expected[step])
        lines.append(f"to do  {_time(share * expected[step]):>9}  {step.label}  ({why})")
    total = sum(_until(left[kind], 1 if kind in ALONE else rooms[kind].networks) for kind in rooms)
    return [
        *lines,
        *_assumed(costs, rooms),
        f"{_done(plan, past)}; about {_time(total)} for the others, {_with(rooms)}",
    ]


def _rooms(steps: Sequence[Step], past: Mapping[Step, float], room: Callable[[int], Room]) -> dict[Kind, Room]:
    """What runs at once of each kind: of what is to do, or of all where nothing is."""
    rooms: dict[Kind, Room] = {}
    for kind in KINDS:
        of_kind = [step for step in steps if step.kind == kind]
        if of_kind:
            rooms[kind] = room(len([step for step in of_kind if step not in past]) or len(of_kind))
    return rooms


def _share(kind: Kind, expected: Mapping[Step, float], past: Mapping[Step, float]) -> tuple[float, str]:
    """How long steps of a kind took here, as a share of what was expected; and why."""
    alike = [step for step in past if step.kind == kind]
    if not alike:
        return 1.0, "by what it reads"
    return sum(past[step] for step in alike) / sum(expected[step] for step in alike), f"by the {len(alike)} done here"


def _until(seconds: Sequence[float], slots: int) -> float:
    """When the last of these ends that begin in this order, each as soon as one of the slots is free."""
    ends = [0.0] * slots
    for each in seconds:
        heapq.heapreplace(ends, ends[0] + each)
    return max(ends)


def _assumed(costs: Costs, rooms: Mapping[Kind, Room]) -> list[str]:
    threads = sorted({room.threads for kind, room in rooms.items() if kind not in ALONE and room.threads > 1})
    if costs.gpus:
        return []
    return [f"a network on {n} threads is taken to be {costs.faster(n):.1f} times as fast as on one" for n in threads]


def _done(plan: Plan, past: Mapping[Step, float]) -> str:
    return f"{len(past)} of {len(plan.steps)} steps done"


def _with(rooms: Mapping[Kind, Room]) -> str:
    workers = max((room.workers for room in rooms.values()), default=1)
    networks = max((room.networks for kind, room in rooms.items() if kind not in ALONE), default=1)
    return f"with {_count(workers, 'worker')}, {_count(networks, 'network')} at a time"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number > 1)}"


def _time(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"
