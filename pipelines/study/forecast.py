"""`rssn study --dry-run`: each step, and about how long it takes, as far as that is known.

A composition says itself what it costs, once its inputs are there; other steps take as long as the like of them took.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence

from pipelines.commands.composition import ComposeOptions
from pipelines.compose.dry_run import cost
from pipelines.executor.runner import Capacity
from pipelines.study.execute import duration
from pipelines.study.jobs import KINDS
from pipelines.study.steps import Plan, Step
from rssn.storage.location import Location
from train.commands.run_options import RunOptions


def forecast(plan: Plan, root: Location, capacity: Callable[[int], Capacity]) -> list[str]:
    """Lines: what is done and what it took, what is not and what it will take, where that can be told.

    Args:
        plan: The steps.
        root: The study's folder.
        capacity: What runs at once of so many trainings or evaluations; the other steps take all workers.

    Raises:
        InputError: If an input cannot be used.
    """
    past = {step: seconds for step in plan.steps if (seconds := duration(step, root)) is not None}
    capacities = {kind: capacity(count) for kind, count in _counts(plan.steps, past).items()}
    lines, left, unknown = [], {kind: list[float]() for kind in capacities}, 0
    for step in plan.steps:
        if step in past:
            lines.append(f"done   {_time(past[step]):>9}  {step.label}")
            continue
        expected, why = _expected(step, root, past, capacities[step.kind].workers)
        unknown += expected is None
        left[step.kind] += [] if expected is None else [expected]
        lines.append(f"to do  {'?' if expected is None else _time(expected):>9}  {step.label}  ({why})")
    total = sum(_until(left[kind], capacities[kind].networks if KINDS[kind].side_by_side else 1) for kind in capacities)
    doubt = f" and what {unknown} take of which nothing is known yet" if unknown else ""
    return [
        *lines,
        f"{len(past)} of {len(plan.steps)} steps done; about {_time(total)} for the others{doubt}, {_with(capacities)}",
    ]


def _counts(steps: Sequence[Step], past: Mapping[Step, float]) -> dict[str, int]:
    """How many of each kind are to do, or there are where nothing is."""
    by_kind = {kind: [step for step in steps if step.kind == kind] for kind in KINDS}
    return {kind: sum(step not in past for step in some) or len(some) for kind, some in by_kind.items() if some}


def _expected(step: Step, root: Location, past: Mapping[Step, float], workers: int) -> tuple[float | None, str]:
    """The seconds that a step will take, and how one knows."""
    given = step.settings(root)
    if isinstance(given, ComposeOptions) and all(need in past for need in step.needs):
        seconds = cost(given.job())
        return seconds / workers, f"{seconds / 60:.1f} CPU-minutes by its own dry run"
    alike = [(other.settings(root), seconds) for other, seconds in past.items() if other.kind == step.kind]
    alike = [(other, seconds) for other, seconds in alike if _network(other) == _network(given)]
    if alike:
        work = sum(_work(other) for other, _ in alike)
        return _work(given) * sum(seconds for _, seconds in alike) / work, f"by the {len(alike)} done here"
    return None, "nothing like it is done yet"


def _network(given: object) -> tuple[str, ...]:
    return (given.config.network, given.config.backbone) if isinstance(given, RunOptions) else ()


def _work(given: object) -> float:
    """What a training's time goes by: the samples that it sees, and their pixels."""
    if not isinstance(given, RunOptions):
        return 1.0
    return float(given.config.max_steps * given.config.rank_size * given.config.input_size**2)


def _until(seconds: Sequence[float], slots: int) -> float:
    """When the last of these ends that begin in this order, each as soon as one of the slots is free."""
    ends = [0.0] * slots
    for each in seconds:
        heapq.heapreplace(ends, ends[0] + each)
    return max(ends)


def _with(capacities: Mapping[str, Capacity]) -> str:
    workers = max((each.workers for each in capacities.values()), default=1)
    networks = max((each.networks for kind, each in capacities.items() if KINDS[kind].side_by_side), default=1)
    return f"with {_count(workers, 'worker')}, {_count(networks, 'network')} at a time"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number > 1)}"


def _time(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"
