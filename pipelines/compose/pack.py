"""`rssn pack`: the ORI-Track in the same contract; real photographs with their closed-form F and B, and no draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pipelines.compose.job import Output, conclude
from pipelines.compose.layer_cache import NO_CACHE
from pipelines.compose.layers import ForegroundLayers, LayerContext, worker_memory
from pipelines.compose.naming import foreground_method, name_foregrounds, refuse_problems, write_refusals
from pipelines.compose.plan import Plan, PlannedForeground, is_half_pruned, load_plan
from pipelines.compose.prune import finish_prune
from pipelines.compose.resume import plan_dataset, reconcile
from pipelines.executor.clock import StageClock
from pipelines.executor.runner import Done, Runner, shard_ranges
from pipelines.executor.warm_up import warm_up
from pipelines.executor.work import ErrorBudget, RunSummary, Work, begin_item, run_tasks
from pipelines.output.writer import refuse_foreign
from rssn.dataset.batches import plan_stamp
from rssn.dataset.schema import COMPOSITES, picture
from rssn.dataset.shards import DatasetFolder, shard_name, write_shard
from rssn.errors import Rejected
from rssn.image.codecs import ImageCodec, suffix
from rssn.route.foreground import estimate_layers
from rssn.route.recipe import Recipe
from rssn.sources.layouts import find_pairs
from rssn.storage.files import Row
from rssn.storage.lease import hold_lease
from rssn.storage.location import Location


@dataclass(frozen=True)
class PackJob:
    """What one `rssn pack` is asked to do."""

    matting: Location
    out: Location
    recipe: Recipe  # its foreground method and name
    budget: ErrorBudget
    output: Output
    layout: str | None = None  # of the matting data set; None detects it
    alpha_scale: float | None = None  # the value of its mattes that means opaque; None goes by the values


@dataclass(frozen=True, slots=True)
class PackTask:
    """One shard: the photographs `start` to `stop - 1` of the plan."""

    folder: DatasetFolder
    recipe: Recipe
    codec: ImageCodec
    name: str
    plan_stamp: str  # as in `ComposeTask`
    start: int
    stop: int
    memory: int
    quarantined: frozenset[str] = frozenset()

    @property
    def current_item(self) -> Path:
        """Names the photograph at hand."""
        return self.folder.current_item(self.name)

    @property
    def size(self) -> int:
        """Photographs in the range."""
        return self.stop - self.start


def run_pack(job: PackJob, runner: Runner) -> RunSummary:
    """Pack every photograph that is not packed yet.

    Raises:
        InputError: If the data set or the output folder cannot be used, another run works on the folder, or the error
            budget is spent.
    """
    refuse_foreign(job.out)
    with hold_lease(job.out), TemporaryDirectory(prefix="rssn-plan-") as scratch:
        if is_half_pruned(job.out):
            finish_prune(DatasetFolder(job.out))
        return _pack(job, Path(scratch), runner)


def _pack(job: PackJob, scratch: Path, runner: Runner) -> RunSummary:
    matting = find_pairs(job.matting, job.layout, job.out, job.alpha_scale)
    found, refused = name_foregrounds(matting.pairs, job.recipe.foreground)
    reconciled = reconcile(DatasetFolder(job.out), found, scratch)
    refused += refuse_problems(matting.problems, "pair")
    facts = {
        "recipe": job.recipe.to_dict(),
        "output": asdict(job.output),
        "foregrounds": reconciled.facts(),
        "alpha_scale": job.alpha_scale,
    }
    folder = plan_dataset(job.out, facts, reconciled, scratch, {"matting": str(job.matting.resolve())})
    write_refusals(folder, refused)
    plan = load_plan(job.out)
    tasks = _tasks(job, plan, folder)
    work = Work(folder, tasks, pack_shard, "photographs", job.budget, len(refused))
    summary = run_tasks(work, runner)
    summary.unread = {"matting": matting.unread} if matting.unread else {}
    conclude(folder, summary, plan.pruned)
    return summary


def pack_shard(task: PackTask) -> Done:
    """Make one shard; what cannot be packed becomes a row of its rejects."""
    warm_up(task.recipe)
    rejects: list[dict[str, Any]] = []
    clock = StageClock()
    context = LayerContext(task.recipe, task.codec, NO_CACHE, clock, partial(begin_item, task))
    plan = load_plan(task.folder.root, batches=1, stamp=task.plan_stamp)
    members = plan.foregrounds[task.start : task.stop]
    photographs = [planned for planned in members if planned.foreground_id not in plan.pruned.foregrounds]
    rows = _rows(context, photographs, rejects)
    mark = write_shard(task.folder, task.name, COMPOSITES, rows, rejects)
    return Done(mark, dict(clock.seconds))


def _rows(
    context: LayerContext, photographs: Sequence[PlannedForeground], rejects: list[dict[str, Any]]
) -> Iterator[Row]:
    for planned in photographs:
        layers = ForegroundLayers(planned, context)
        try:
            yield _row(context, layers)
        except Exception as error:  # nothing vanishes: whatever happens to a photograph is a row of the rejects
            rejects.append(layers.refusal(error, 0))


def _row(context: LayerContext, layers: ForegroundLayers) -> Row:
    planned = layers.planned
    method = foreground_method(planned.pair, context.recipe.foreground)
    if method == "given":
        raise Rejected("read", "no_photograph", "the data set ships the foreground only; compose it instead")
    sample = layers.sample
    with context.clock.stage("foreground"):
        estimated = estimate_layers(sample.picture, sample.alpha, method)
    stem, end = planned.foreground_id, suffix(context.codec)
    return {
        "sample_id": f"{planned.foreground_id}/0",
        "image": picture(context.encode(sample.picture), f"{stem}{end}"),
        "alpha": picture(layers.alpha_png, f"{stem}-alpha.png"),
        "foreground": picture(context.encode(estimated.foreground), f"{stem}-foreground{end}"),
        "background": picture(context.encode(estimated.background), f"{stem}-background{end}"),
        "foreground_id": planned.foreground_id,
        "foreground_source": planned.source,
        "foreground_licence": planned.pair.licence or None,
        "foreground_method": estimated.method,
        "k": 0,
        "width": planned.width,
        "height": planned.height,
        "recipe": context.recipe.label,
        "matte_flags": list(sample.flags),
    }


def _tasks(job: PackJob, plan: Plan, folder: DatasetFolder) -> list[PackTask]:
    pixels = plan.foreground_sizes.prod(axis=1, dtype=np.int64).tolist()
    ranges = shard_ranges([job.output.share(each, 1) for each in pixels], 1.0)
    stamp = plan_stamp(folder.root)
    return [
        PackTask(
            folder=folder,
            recipe=job.recipe,
            codec=job.output.codec,
            name=shard_name("photographs", index, len(ranges)),
            plan_stamp=stamp,
            start=start,
            stop=stop,
            memory=worker_memory(max(pixels[start:stop]), job.recipe),
        )
        for index, (start, stop) in enumerate(ranges)
    ]
