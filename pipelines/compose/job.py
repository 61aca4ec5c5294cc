"""`rssn compose`: matting pairs and backgrounds in, shards of composites out (Pipeline 1).

The driver plans and cuts the foregrounds into ranges. A task makes one shard: all K composites of a range of
foregrounds. Draws come from content ids, so nothing depends on the order of work or on who does it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from pipelines.compose.layer_cache import LayerCache
from pipelines.compose.layers import worker_memory
from pipelines.compose.plan import (
    Plan,
    PlannedForeground,
    make_plan,
    name_foregrounds,
    name_some,
    refuse_other_backgrounds,
    refuse_problems,
    write_plan,
    write_refusals,
)
from pipelines.compose.resume import Reconciled, Refused, reconcile, refused_before, returning_ids
from pipelines.compose.shard import ComposeTask, compose_shard
from pipelines.executor.runner import Runner, shard_ranges
from pipelines.executor.warm_up import warm_up
from pipelines.executor.work import ErrorBudget, RunSummary, Work, refusal, run_tasks
from pipelines.output.card import write_card
from pipelines.output.staging import with_upload
from pipelines.output.writer import check_dataset, close_dataset, open_dataset, refuse_foreign, remove_dataset
from rssn.dataset.manifest import holds_dataset
from rssn.dataset.shards import DatasetFolder, shard_name
from rssn.dataset.statistics import describe_mattes
from rssn.errors import InputError, Rejected
from rssn.image.codecs import BYTES_PER_PIXEL, ImageCodec
from rssn.route.recipe import Recipe
from rssn.sources.backgrounds import Background, find_backgrounds
from rssn.sources.layouts import find_pairs
from rssn.storage.documents import counted
from rssn.storage.files import list_digest
from rssn.storage.lock import hold_lease


@dataclass(frozen=True)
class Output:
    """How shards are written."""

    codec: ImageCodec = "jpeg"
    shard_bytes: int = 256 << 20
    shard_rows: int = 1_000_000

    def share(self, pixels: int, rows: int) -> float:
        """What part of a full shard this many composites of this size take."""
        size = pixels * rows * (3 * BYTES_PER_PIXEL[self.codec] + 0.05)
        return max(size / self.shard_bytes, rows / self.shard_rows)


@dataclass(frozen=True)
class ComposeJob:
    """What one `rssn compose` is asked to do."""

    matting: Path
    backgrounds: Path
    out: Path
    recipe: Recipe
    seed: int
    budget: ErrorBudget
    cache: LayerCache
    output: Output = field(default_factory=Output)
    layout: str | None = None  # of the matting data set; None detects it
    alpha_scale: float | None = None  # the value of its mattes that means opaque; None goes by the values
    extend: bool = False
    overwrite: bool = False
    retry_rejects: bool = False
    insists: bool = False  # on the recipe's way to F, for every pair: it was asked for by name


@dataclass(frozen=True)
class Prepared:
    """A planned composition: what will be made, and what was refused already."""

    plan: Plan
    reconciled: Reconciled
    layout: str  # of the matting data set, as detected or asked for
    refused: list[dict[str, Any]]  # foregrounds that cannot be composed
    unusable: list[dict[str, Any]]  # backgrounds that cannot be drawn; nothing is missing without them
    facts: dict[str, Any]  # everything that decides the rows, for the manifest
    unread: dict[str, Counter[str]]  # files of each input that are no pictures, by suffix

    def describe(self, adding: str = "adding") -> str:
        """What was found, in one line."""
        count = sum(not planned.replaced for planned in self.plan.foregrounds)
        backgrounds = counted(len(self.plan.backgrounds), "background")
        inputs = f"{counted(count, 'foreground')} ({self.layout}), {backgrounds}"
        diff = self.reconciled.diff
        if diff.new:
            inputs = f"{adding} {counted(len(diff.new), 'foreground')} to {self.reconciled.existing}: {inputs}"
        notes = [f"refused: {counted(len(self.refused), 'foreground')}, {counted(len(self.unusable), 'background')}"]
        if lost := len(diff.changed) + len(diff.gone):
            notes.append(f"{lost} foregrounds are missing at the source; their composites are kept: {diff.words}")
        if late := self.reconciled.left_out:
            notes.append(f"{len(late)} new foregrounds are left out, --extend adds them: {name_some(late)}")
        return "; ".join([inputs, *notes])


def prepare(job: ComposeJob) -> Prepared:
    """Find and name the inputs; nothing is written.

    Raises:
        InputError: If inputs or recipe cannot be used, the output folder holds another composition, or there is
            nothing to retry.
        DependencyError: If a step of the recipe needs a package that is not installed.
    """
    folder = DatasetFolder(job.out)
    if job.retry_rejects and (job.overwrite or not holds_dataset(job.out)):
        raise InputError(f"{job.out}: nothing to retry; --retry-rejects is for what an earlier run refused")
    made_by = {step.name: step.versions() for step in job.recipe.drawn}
    matting = find_pairs(job.matting, job.layout, job.out, job.alpha_scale)
    found, refused = name_foregrounds(matting.pairs, job.recipe.foreground, insists=job.insists)
    if not found:
        first = f"{refused[0]['source']}: {refused[0]['message']}"
        raise InputError(f"{job.matting}: none of its {len(refused)} pairs can be composed; the first: {first}")
    reconciled = Reconciled(found) if job.overwrite else _reconcile(job, folder, found)
    unread: dict[str, Counter[str]] = {"matting": matting.unread, "backgrounds": Counter()}
    backgrounds, unusable = find_backgrounds(job.backgrounds, without=job.out, unread=unread["backgrounds"])
    if len(backgrounds) < job.recipe.k:
        raise InputError(f"{job.backgrounds}: {len(backgrounds)} backgrounds, but K = {job.recipe.k} needs that many")
    refused += refuse_problems(matting.problems, "pair")
    facts = {
        "recipe": job.recipe.to_dict(),
        "seed": job.seed,
        "steps": made_by,
        "output": asdict(job.output),
        "foregrounds": reconciled.facts,
        "alpha_scale": job.alpha_scale,
        "backgrounds": {"count": len(backgrounds), "digest": _digest(backgrounds)},
    }
    if not job.overwrite:
        refuse_other_backgrounds(folder, backgrounds)
        check_dataset(job.out, "composites", facts, may_differ="foregrounds")
    unusable_rows = refuse_problems(unusable, "background")
    plan = make_plan(list(reconciled.foregrounds), backgrounds)
    unread = {name: counts for name, counts in unread.items() if counts}
    return Prepared(plan, reconciled, matting.layout, refused, unusable_rows, facts, unread)


def _reconcile(job: ComposeJob, folder: DatasetFolder, found: list[PlannedForeground]) -> Reconciled:
    """The foregrounds of this run; `--retry-rejects` lets those come in that were refused and can be used now."""
    refused = refused_before(folder, job.recipe.k) if job.retry_rejects or job.extend else Refused()
    returning = returning_ids(found, refused)
    return reconcile(folder, found, extend=job.extend, retry=job.retry_rejects, returning=returning, refused=refused)


def run_compose(job: ComposeJob, runner: Runner, on_plan: Callable[[Prepared], None] = lambda _: None) -> RunSummary:
    """Compose everything that is not composed yet; `on_plan` is called with what was found, before the work starts.

    Raises:
        InputError: As `prepare` does, if another run works on the folder, or if the error budget is spent.
        DependencyError: As `prepare` does.
    """
    refuse_foreign(job.out)
    with hold_lease(job.out):
        return _compose(job, runner, on_plan)


def _compose(job: ComposeJob, runner: Runner, on_plan: Callable[[Prepared], None]) -> RunSummary:
    prepared = prepare(job)
    on_plan(prepared)
    sources = {"matting": str(job.matting.resolve()), "backgrounds": str(job.backgrounds.resolve())}
    if job.overwrite and holds_dataset(job.out):
        remove_dataset(job.out)
    folder = open_dataset(job.out, "composites", prepared.facts, sources, may_differ="foregrounds")
    write_plan(folder, prepared.plan.foregrounds, prepared.plan.backgrounds, _refusals(prepared, _marked(folder)))
    warm_up(job.recipe)
    tasks, left = tried_tasks(job, prepared.plan, folder)
    redo = frozenset(mark.name for mark in folder.marks() if mark.rejected and job.retry_rejects)
    redo |= _incomplete(folder, tasks, prepared.plan)
    refused = len(prepared.refused)
    work = Work(folder, tasks, compose_shard, "composites", job.budget, refused, job.recipe.k, redo)
    summary = run_tasks(with_upload(work, job.out), runner)
    summary.notes = describe_mattes(folder, [mark for mark in folder.marks() if mark.rows])
    summary.left, summary.unread = left, prepared.unread
    write_refusals(folder, _refusals(prepared, summary.unusable))
    totals = {
        "rows": summary.written + summary.reused,
        "rejected": summary.rejected,
        **summary.statistics,
        "unread": summary.unread,
    }
    if not summary.failed and not left:
        close_dataset(job.out, totals)
        write_card(folder)
    return summary


def _marked(folder: DatasetFolder) -> dict[str, Sequence[str]]:
    """Backgrounds that the shards of earlier runs found to be broken."""
    return {name: words for mark in folder.marks() for name, words in mark.unusable.items()}


def _refusals(prepared: Prepared, broken: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """One row for each foreground and background that is not used, whatever number of shards met it."""
    drawn = [b for b in prepared.plan.backgrounds if b.background_id in broken]
    errors = [Rejected("background", *broken[background.background_id]) for background in drawn]
    rows = [refusal(e, b.background_id, b.source) for e, b in zip(errors, drawn, strict=True)]
    return [*prepared.refused, *prepared.unusable, *rows]


def _incomplete(folder: DatasetFolder, tasks: Sequence[ComposeTask], plan: Plan) -> frozenset[str]:
    """Shards that were made while a foreground was out of the plan that is back in it."""
    names = set()
    for task in tasks:
        mark = folder.read_mark(task.name)
        members = sum(not planned.replaced for planned in plan.foregrounds[task.start : task.stop])
        if mark and mark.rows + mark.rejected != members * task.recipe.k:
            names.add(task.name)
    return frozenset(names)


def tried_tasks(job: ComposeJob, plan: Plan, folder: DatasetFolder) -> tuple[list[ComposeTask], int]:
    """The shards that a run looks at, and how many composites the others have.

    That is all of them; but `--retry-rejects` leaves alone what no run has tried yet, unless `--extend` asks for it.
    """
    tasks = plan_tasks(job, plan, folder)
    if not job.retry_rejects or job.extend:
        return tasks, 0
    tried = [
        task
        for task in tasks
        if folder.mark(task.name).is_file()
        or folder.failure(task.name).is_file()
        or any(planned.returned for planned in plan.foregrounds[task.start : task.stop])
    ]
    return tried, sum(task.size for task in tasks) - sum(task.size for task in tried)


def plan_tasks(job: ComposeJob, plan: Plan, folder: DatasetFolder) -> list[ComposeTask]:
    """Cut each batch of foregrounds into shards of about the asked size."""
    foregrounds = plan.foregrounds
    largest_background = max((b.width * b.height for b in plan.backgrounds), default=0)
    tasks: list[ComposeTask] = []
    for batch in sorted({f.batch for f in foregrounds}):
        members = [number for number, f in enumerate(foregrounds) if f.batch == batch]
        frames = [prod(job.recipe.frame(foregrounds[n].width, foregrounds[n].height)) for n in members]
        ranges = shard_ranges([job.output.share(pixels, job.recipe.k) for pixels in frames], 1.0)
        prefix = f"composites-x{batch}" if batch else "composites"
        for index, (start, stop) in enumerate(ranges):
            task = ComposeTask(
                folder=folder,
                recipe=job.recipe,
                seed=job.seed,
                codec=job.output.codec,
                cache=job.cache,
                name=shard_name(prefix, index, len(ranges)),
                start=members[start],
                stop=members[stop - 1] + 1,
                retry=job.retry_rejects,
                memory=worker_memory(max(largest_background, *frames[start:stop]), job.recipe),
            )
            tasks.append(task)
    return tasks


def _digest(backgrounds: Sequence[Background]) -> str:
    return list_digest(f"{b.background_id} {b.source} {b.licence}" for b in backgrounds)
