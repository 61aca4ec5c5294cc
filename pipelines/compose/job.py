"""`rssn compose`: matting pairs and backgrounds in, shards of composites out (Pipeline 1).

The driver plans and cuts the foregrounds into ranges. A task makes one shard: all K composites of a range of
foregrounds. Draws come from content ids, so nothing depends on the order of work or on who does it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import pairwise
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pipelines.compose.layer_cache import LayerCache
from pipelines.compose.layers import worker_memory
from pipelines.compose.naming import name_foregrounds, refuse_problems, write_refusals
from pipelines.compose.plan import Plan, Pruned, is_half_pruned, load_plan, name_some, read_pruned
from pipelines.compose.prune import finish_prune
from pipelines.compose.resume import Asked, Reconciled, plan_backgrounds, plan_dataset, reconcile
from pipelines.compose.shard import ComposeTask, compose_shard
from pipelines.executor.runner import Runner, shard_ranges
from pipelines.executor.work import ErrorBudget, RunSummary, Work, refusal, run_tasks
from pipelines.output.card import write_card
from pipelines.output.writer import check_dataset, close_dataset, refuse_foreign, remove_dataset
from rssn.dataset.batches import batch_shard, count_live, plan_stamp, superseded
from rssn.dataset.manifest import holds_dataset
from rssn.dataset.shards import DatasetFolder
from rssn.dataset.statistics import MatteFlags, count
from rssn.dataset.verify import Shards
from rssn.errors import InputError, Rejected
from rssn.image.codecs import BYTES_PER_PIXEL, ImageCodec
from rssn.route.recipe import Recipe
from rssn.sources.backgrounds import find_backgrounds
from rssn.sources.layouts import find_pairs
from rssn.storage.documents import counted
from rssn.storage.lease import hold_lease
from rssn.storage.location import Location


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

    matting: Location
    backgrounds: Location
    out: Location
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

    plan: Plan  # of all batches; it is read from `scratch`
    scratch: Path
    reconciled: Reconciled
    layout: str  # of the matting data set, as detected or asked for
    refused: list[dict[str, Any]]  # foregrounds that cannot be composed
    unusable: list[dict[str, Any]]  # backgrounds that cannot be drawn; nothing is missing without them
    facts: dict[str, Any]  # everything that decides the rows, for the manifest
    unread: dict[str, Counter[str]]  # files of each input that are no pictures, by suffix

    def describe(self, adding: str = "adding") -> str:
        """What was found, in one line."""
        reconciled, diff = self.reconciled, self.reconciled.diff
        count = reconciled.existing + len(diff.new) if reconciled.before else len(self.plan.foregrounds)
        backgrounds = counted(len(self.plan.backgrounds) - len(self.plan.pruned.backgrounds), "background")
        inputs = f"{counted(count, 'foreground')} ({self.layout}), {backgrounds}"
        if diff.new:
            inputs = f"{adding} {counted(len(diff.new), 'foreground')} to {reconciled.existing}: {inputs}"
        notes = [f"refused: {counted(len(self.refused), 'foreground')}, {counted(len(self.unusable), 'background')}"]
        if reconciled.retried:
            notes.append(f"{counted(reconciled.retried, 'composite')} that were refused are tried again")
        if lost := len(diff.changed) + len(diff.gone):
            notes.append(f"{lost} foregrounds are missing at the source; their composites are kept: {diff.words}")
        if late := reconciled.left_out:
            notes.append(f"{len(late)} new foregrounds are left out, --extend adds them: {name_some(late)}")
        if back := reconciled.back:
            again = f"{counted(len(back), 'foreground')} found again after rssn prune"
            notes.append(f"{again}, left out: {name_some(back)}")
        return "; ".join([inputs, *notes])


@contextmanager
def prepare(job: ComposeJob) -> Iterator[Prepared]:
    """Find and name the inputs, and plan; nothing is written but scratch files that are removed at the end.

    Raises:
        InputError: If inputs or recipe cannot be used, the output folder holds another composition, or there is
            nothing to retry.
        DependencyError: If a step of the recipe needs a package that is not installed.
    """
    with TemporaryDirectory(prefix="rssn-plan-") as scratch:
        yield _prepare(job, Path(scratch))


def _prepare(job: ComposeJob, scratch: Path) -> Prepared:
    folder = None if job.overwrite else DatasetFolder(job.out)
    if job.retry_rejects and (job.overwrite or not holds_dataset(job.out)):
        raise InputError(f"{job.out}: nothing to retry; --retry-rejects is for what an earlier run refused")
    made_by = {step.name: step.versions() for step in job.recipe.drawn}
    matting = find_pairs(job.matting, job.layout, job.out, job.alpha_scale)
    found, refused = name_foregrounds(matting.pairs, job.recipe.foreground, insists=job.insists)
    if not found:
        first = f"{refused[0]['source']}: {refused[0]['message']}"
        raise InputError(f"{job.matting}: none of its {len(refused)} pairs can be composed; the first: {first}")
    reconciled = reconcile(folder, found, scratch, Asked(job.extend, job.retry_rejects, job.recipe.k))
    unread: dict[str, Counter[str]] = {"matting": matting.unread, "backgrounds": Counter()}
    backgrounds, unusable = find_backgrounds(job.backgrounds, without=job.out, unread=unread["backgrounds"])
    pruned = read_pruned(job.out) if folder else Pruned()
    digest = plan_backgrounds(job.out if folder else None, backgrounds, scratch, pruned.backgrounds)
    plan = replace(load_plan(scratch, len(reconciled.batches)), pruned=pruned)
    if len(plan.backgrounds) < job.recipe.k:
        words = f"{len(plan.backgrounds)} backgrounds, but K = {job.recipe.k} needs that many"
        raise InputError(f"{job.backgrounds}: {words}")
    refused += refuse_problems(matting.problems, "pair")
    facts = {
        "recipe": job.recipe.to_dict(),
        "seed": job.seed,
        "steps": made_by,
        "output": asdict(job.output),
        "foregrounds": reconciled.facts(),
        "alpha_scale": job.alpha_scale,
        "backgrounds": {"count": len(plan.backgrounds), "digest": digest},
    }
    if folder:
        check_dataset(job.out, "composites", facts, may_differ="foregrounds")
    unusable_rows = refuse_problems(unusable, "background")
    unread = {name: counts for name, counts in unread.items() if counts}
    return Prepared(plan, scratch, reconciled, matting.layout, refused, unusable_rows, facts, unread)


def run_compose(job: ComposeJob, runner: Runner, on_plan: Callable[[Prepared], None] = lambda _: None) -> RunSummary:
    """Compose everything that is not composed yet; `on_plan` is called with what was found, before the work starts.

    Raises:
        InputError: As `prepare` does, if another run works on the folder, or if the error budget is spent.
        DependencyError: As `prepare` does.
    """
    refuse_foreign(job.out)
    with hold_lease(job.out):
        if not job.overwrite and is_half_pruned(job.out):
            finish_prune(DatasetFolder(job.out))
        with prepare(job) as prepared:
            return _compose(job, prepared, runner, on_plan)


def _compose(job: ComposeJob, prepared: Prepared, runner: Runner, on_plan: Callable[[Prepared], None]) -> RunSummary:
    on_plan(prepared)
    sources = {"matting": str(job.matting.resolve()), "backgrounds": str(job.backgrounds.resolve())}
    sources |= {"matting_format": prepared.layout}
    if job.overwrite and holds_dataset(job.out):
        remove_dataset(job.out)
    folder = plan_dataset(job.out, prepared.facts, prepared.reconciled, prepared.scratch, sources)
    shards = Shards.of(folder)
    write_refusals(folder, _refusals(prepared, _broken(shards)))
    tasks = plan_tasks(job, prepared.plan, folder)
    refused = len(prepared.refused)
    live = partial(count_live, folder, superseded(job.out, prepared.plan.batches))
    work = Work(
        folder, tasks, compose_shard, "composites", job.budget, refused, job.recipe.k, rejected=live, shards=shards
    )
    summary = run_tasks(work, runner)
    summary.unread = prepared.unread
    write_refusals(folder, _refusals(prepared, summary.unusable))
    conclude(folder, summary, prepared.plan.pruned)
    return summary


def conclude(folder: DatasetFolder, summary: RunSummary, pruned: Pruned) -> None:
    """Write totals and card once every shard is made; what is odd about the mattes is noted in either case."""
    if not summary.failed:
        close_dataset(folder.root, summary.totals | pruned.total)
        summary.notes = write_card(folder, summary.shards)
    else:
        count(folder, summary.shards, mattes := MatteFlags())
        summary.notes = mattes.sentences


def _broken(shards: Shards) -> dict[str, Sequence[str]]:
    """Backgrounds that the shards of earlier runs found to be broken."""
    return {name: words for mark in shards.marks.values() for name, words in mark.unusable.items()}


def _refusals(prepared: Prepared, broken: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """One row for each foreground and background that is not used, whatever number of shards met it."""
    plan = prepared.plan
    numbers = sorted(number for name in broken if (number := plan.find_background(name)) is not None)
    drawn = [plan.backgrounds[number] for number in numbers]
    errors = [Rejected("background", *broken[background.background_id]) for background in drawn]
    rows = [refusal(e, b.background_id, b.source) for e, b in zip(errors, drawn, strict=True)]
    return [*prepared.refused, *prepared.unusable, *rows]


def plan_tasks(job: ComposeJob, plan: Plan, folder: DatasetFolder) -> list[ComposeTask]:
    """Cut each batch of foregrounds into shards of about the asked size."""
    largest_background = int(plan.background_sizes.prod(axis=1, dtype=np.int64).max(initial=0))
    counts = np.where(plan.sample_counts, plan.sample_counts, job.recipe.k)
    tasks: list[ComposeTask] = []
    stamp = plan_stamp(folder.root)
    for batch, (first, after) in enumerate(pairwise(plan.starts)):
        sizes, samples = plan.foreground_sizes[first:after].tolist(), counts[first:after].tolist()
        frames = [prod(job.recipe.frame(*size)) for size in sizes]
        ranges = shard_ranges([job.output.share(*each) for each in zip(frames, samples, strict=True)], 1.0)
        for index, (start, stop) in enumerate(ranges):
            task = ComposeTask(
                folder=folder,
                recipe=job.recipe,
                seed=job.seed,
                codec=job.output.codec,
                cache=job.cache,
                name=batch_shard("composites", batch, index, len(ranges)),
                batch=batch,
                batches=plan.batches,
                plan_stamp=stamp,
                start=first + start,
                stop=first + stop,
                size=sum(samples[start:stop]),
                memory=worker_memory(max(largest_background, *frames[start:stop]), job.recipe),
            )
            tasks.append(task)
    return tasks
