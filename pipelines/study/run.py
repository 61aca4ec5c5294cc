"""A study from its file to its table: plan, make what is not made, check for leaks, compare, show."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.executor.ray_runner import make_runner
from pipelines.executor.runner import LocalRunner, Runner
from pipelines.study.execute import duration, make_steps
from pipelines.study.fingerprint import digests
from pipelines.study.forecast import forecast
from pipelines.study.jobs import KINDS
from pipelines.study.leaks import LeakCache, check_backgrounds, check_foregrounds, check_sets
from pipelines.study.parts import SSS
from pipelines.study.report import write_report
from pipelines.study.schema import Study
from pipelines.study.steps import Plan, Step, plan_study
from rssn.errors import InputError
from rssn.storage.atomic import sweep
from rssn.storage.files import read_json
from rssn.storage.lease import hold_lease
from rssn.storage.location import Location, lies_in, parse_location
from rssn.storage.remote import content
from rssn.synthetic import SyntheticPlan, write_synthetic
from train.evaluation.examples import find_examples

_LEAKS = "leaks.json"
_INPUTS = "inputs.json"
_NAMED = 3  # photographs that could not be evaluated


@dataclass(frozen=True)
class StudyJob:
    """What one `rssn study` is asked to do."""

    study: Study
    out: Location
    workers: int | None = None  # see `make_runner`
    address: str | None = None

    @property
    def worker_options(self) -> Mapping[str, Any]:
        """For commands that start workers of their own."""
        given = {"workers": self.workers, "address": self.address}
        return {name: value for name, value in given.items() if value is not None}

    def network_runner(self) -> Runner:
        """What runs trainings and evaluations side by side, each with a GPU where there are some; to be closed."""
        return make_runner(self.workers, self.address, gpu_each=True)


def dry_run(job: StudyJob) -> list[str]:
    """Lines: each step, whether it is done, and how long it will take as far as that is known; nothing is written.

    Raises:
        InputError: If an input is missing, the study's own pictures among them, or a leak is found.
        DependencyError: If the package that brings the weights is not installed.
    """
    if job.study.synthetic and not Path(job.study.synthetic).exists():
        remedy = "run the same command without --dry-run, which renders them first"
        raise InputError(f"{job.study.synthetic}: the pictures of this study are not rendered yet; {remedy}")
    with tempfile.TemporaryDirectory() as scratch:
        known = Path(scratch) / _LEAKS
        with suppress(FileNotFoundError):  # nothing was looked at before
            known.write_bytes(content(job.out / _LEAKS))
        check_sets(job.study, LeakCache(known))
        check_foregrounds(job.study, LeakCache(known))
    plan = _plan(job)
    with closing(job.network_runner()) as runner:
        return forecast(plan, job.out, runner.capacity)


def run_study(job: StudyJob, log: Callable[[str], None]) -> str:
    """Make everything that is not made yet, and write the report.

    Args:
        job: The job.
        log: Is given a line for each thing that is done.

    Returns:
        The result in Markdown.

    Raises:
        InputError: As `dry_run` does, or if another study works on the folder.
        RssnError: If a step fails; its log is named.
    """
    with hold_lease(job.out):
        if isinstance(job.out, Path):
            sweep(job.out, _LEAKS, _INPUTS, "per_image.parquet")
        if job.study.synthetic and not Path(job.study.synthetic).exists():
            log(f"rendering pictures: {job.study.synthetic}")
            _render(Path(job.study.synthetic))
        plan = _plan(job)
        digests.save(job.out / _INPUTS)
        clean = LeakCache(job.out / _LEAKS)
        check_sets(job.study, clean)
        check_foregrounds(job.study, clean)
        for kind in KINDS:
            if kind == "compose":
                check_backgrounds(job.study, list(_places(job, plan)), clean)
            _make(job, plan, kind, log)
        return write_report(job.study, plan, job.out, list(_notes(plan, job.out)))


def _plan(job: StudyJob) -> Plan:
    """The steps, none of which may read the folder in which their results lie."""
    plan = plan_study(job.study, job.out / _INPUTS)
    _check_design(job.study)
    for place in (place for step in plan.steps for place in step.reads):
        if lies_in(job.out, parse_location(place).resolve()):
            words = f"--out {job.out} lies in {place}, which the study reads: results would be taken for inputs"
            raise InputError(f"{words}; choose another --out")
    return plan


def _check_design(study: Study) -> None:
    """The set that is tested must have as many photographs as the design says."""
    tested = study.evaluation.tested
    if study.design and tested:
        count = len(find_examples(parse_location(tested.data), alpha_scale=tested.alpha_scale).examples)
        if count != study.design.photographs:
            study.refuse_design("photographs", count)


def _render(synthetic: Path) -> None:
    """Whole or not at all: pictures are counted by what lies there."""
    beside = synthetic.with_name(f".{synthetic.name}.{os.getpid()}.tmp")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        write_synthetic(beside, SyntheticPlan())
        if not synthetic.exists():  # a study with another --out may have been first
            beside.rename(synthetic)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _make(
    job: StudyJob,
    plan: Plan,
    kind: str,
    log: Callable[[str], None],
) -> None:
    steps = [step for step in plan.steps if step.kind == kind]
    done = sum(duration(step, job.out) is not None for step in steps)
    log(f"\n== {kind}: {len(steps)} steps, {done} done before")

    if done < len(steps):
        with closing(job.network_runner() if KINDS[kind].side_by_side else LocalRunner()) as runner:
            make_steps(steps, job.out, runner, job.worker_options, log)


def _places(job: StudyJob, plan: Plan) -> Iterator[Location]:
    """The background sets that are drawn from, where they lie."""
    names = {row.backgrounds for row in job.study.rows.values() if row.recipe is not None}
    made = {step.name: step for step in plan.steps if step.kind in ("curate", "crops")}
    for name in sorted(names - {None}, key=str):
        one = job.study.backgrounds[str(name)]
        yield made[str(name)].out(job.out) if name in made else parse_location(one.take or "")


def _notes(plan: Plan, root: Location) -> Iterator[str]:
    """What was refused on the way, and how long it took."""
    for step in plan.steps:
        if step.kind in ("compose", "pack"):
            totals = _facts(step, "manifest.json", root)["totals"]
            refused = f", {totals['rejected']} rejected" if totals.get("rejected") else ""
            yield f"{step.label}: {totals['rows']} rows{refused}"
    yield from _evaluated({step.label: _summary(step, root) for step in plan.steps if step.kind in ("eval", SSS)})
    yield f"the steps took {_sum(plan.steps, root) / 60:.0f} minutes, added up"


def _evaluated(evaluations: Mapping[str, str]) -> Iterator[str]:
    """What was evaluated: once for all evaluations of which the same is true."""
    for words, count in Counter(evaluations.values()).most_common():
        labels = [label for label, said in evaluations.items() if said == words]
        yield f"{'all evaluations' if count == len(evaluations) else ', '.join(labels)}: {words}"


def _summary(step: Step, root: Location) -> str:
    """How many photographs were evaluated, how many had no figures, and which could not be evaluated."""
    summary = _facts(step, "summary.json", root)
    failures = summary["failures"]
    named = "; ".join(f"{each['name']}: {each['reason']}" for each in failures[:_NAMED])
    more = f"; and {len(failures) - _NAMED} more" if len(failures) > _NAMED else ""
    failed = f", {len(failures)} could not be evaluated ({named}{more})" if failures else ""
    left_out = summary.get("left_out", ())  # earlier versions counted them
    plain = f", {len(left_out)} without unknown pixels left out" if left_out else ""
    return f"{summary['images']} photographs evaluated{plain}{failed}"


def _facts(step: Step, name: str, root: Location) -> Mapping[str, Any]:
    """What a step left of itself."""
    return read_json(
        step.out(root) / name, f"remove {step.mark(root)} and run the same command again: it makes that step again"
    )


def _sum(steps: Iterable[Step], root: Location) -> float:
    return sum(duration(step, root) or 0.0 for step in steps)
