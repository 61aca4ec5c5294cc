"""`rssn compose`: matting pairs and backgrounds in, shards of composites out (Pipeline 1).

The driver plans and cuts the foregrounds into ranges. A task makes one shard: all K composites of a range of
foregrounds. Draws come from content ids, so nothing depends on the order of work or on who does it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.card import write_card
from pipelines.clock import StageClock
from pipelines.composites import compose_row
from pipelines.growth import Growth, Refused, grow, refused_before, returning_ids
from pipelines.layers import ForegroundLayers, LayerContext, worker_memory
from pipelines.manifest import check_dataset, close_dataset, open_dataset, remove_dataset, stored_plan
from pipelines.plan import (
    Plan,
    PlannedForeground,
    digest,
    load_plan,
    make_plan,
    name_foregrounds,
    refuse_problems,
    write_plan,
)
from pipelines.runner import Done, Runner, shard_ranges
from pipelines.work import Budget, Tally, Work, refusal, run_tasks
from rssn.backgrounds import Background, find_backgrounds
from rssn.cache import LayerCache
from rssn.codecs import BYTES_PER_PIXEL, ImageCodec
from rssn.denoise import require_backend
from rssn.draw import choose_backgrounds, draw
from rssn.errors import InputError, Rejected
from rssn.foreground import warm_up
from rssn.layouts import find_pairs
from rssn.recipe import Recipe
from rssn.rows import iter_rows
from rssn.schema import COMPOSITES
from rssn.shards import DatasetFolder, Row, shard_name, trusted_mark, write_shard


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
    budget: Budget
    cache: LayerCache
    output: Output = field(default_factory=Output)
    layout: str | None = None  # of the matting data set; None detects it
    extend: bool = False
    overwrite: bool = False
    retry_rejects: bool = False


@dataclass(frozen=True)
class ComposeTask:
    """One shard: the composites of the foregrounds `start` to `stop - 1` of the plan."""

    root: Path
    recipe: Recipe
    seed: int
    codec: ImageCodec
    cache: LayerCache
    name: str
    start: int
    stop: int
    retry: bool  # keep the rows that stand, compose those that were refused
    memory: int

    @property
    def size(self) -> int:
        """Rows that the shard is planned to have."""
        return (self.stop - self.start) * self.recipe.k


@dataclass(frozen=True)
class Prepared:
    """A planned composition: what will be made, and what was refused already."""

    plan: Plan
    growth: Growth
    layout: str  # of the matting data set, as detected or asked for
    refused: list[dict[str, Any]]  # foregrounds that cannot be composed
    unusable: list[dict[str, Any]]  # backgrounds that cannot be drawn; nothing is missing without them
    facts: dict[str, Any]  # everything that decides the rows, for the manifest

    def describe(self, adding: str = "adding") -> str:
        """What was found, in one line."""
        count = sum(not planned.replaced for planned in self.plan.foregrounds)
        inputs = f"{count} foregrounds ({self.layout}), {len(self.plan.backgrounds)} backgrounds"
        change = self.growth.change
        if change.new:
            inputs = f"{adding} {len(change.new)} foregrounds to {self.growth.standing}: {inputs}"
        lost = len(change.changed) + len(change.gone)
        stand = f"; what stands of {lost} that are not there any more is left as it is: {change.words}" if lost else ""
        return f"{inputs}; refused: {len(self.refused)} foregrounds, {len(self.unusable)} backgrounds{stand}"


def prepare(job: ComposeJob) -> Prepared:
    """Find and name the inputs; nothing is written.

    Raises:
        InputError: If inputs or recipe cannot be used, or the output folder holds another composition.
        DependencyError: If the recipe asks for a denoiser that is not installed.
    """
    if job.recipe.denoise.probability > 0:
        require_backend(job.recipe.denoise.backend)
    matting = find_pairs(job.matting, job.layout)
    found, refused = name_foregrounds(matting.pairs, job.recipe.foreground)
    if not found:
        first = f"{refused[0]['source']}: {refused[0]['message']}"
        raise InputError(f"{job.matting}: none of its {len(refused)} pairs can be composed; the first: {first}")
    folder = DatasetFolder(job.out)
    growth = Growth(found) if job.overwrite else _grown(job, folder, found)
    backgrounds, unusable = find_backgrounds(job.backgrounds)
    if len(backgrounds) < job.recipe.k:
        raise InputError(f"{job.backgrounds}: {len(backgrounds)} backgrounds, but K = {job.recipe.k} needs that many")
    refused += refuse_problems(matting.problems, "pair", job.matting)
    facts = {
        "recipe": job.recipe.to_dict(),
        "seed": job.seed,
        "output": asdict(job.output),
        "foregrounds": growth.facts,
        "backgrounds": {"count": len(backgrounds), "digest": _digest(backgrounds)},
    }
    if not job.overwrite:
        check_dataset(folder, "composites", facts, growing="foregrounds")
    unusable_rows = refuse_problems(unusable, "background", job.backgrounds)
    plan = make_plan(list(growth.foregrounds), backgrounds)
    return Prepared(plan, growth, matting.layout, refused, unusable_rows, facts)


def _grown(job: ComposeJob, folder: DatasetFolder, found: list[PlannedForeground]) -> Growth:
    """The foregrounds of this run; `--retry-rejects` lets those come in that were refused and can be used now."""
    refused = refused_before(folder, job.recipe.k) if job.retry_rejects else Refused()
    returning = returning_ids(found, job.matting, refused)
    return grow(folder, found, extend=job.extend, returning=returning, refused=refused)


def run_compose(job: ComposeJob, runner: Runner, on_plan: Callable[[Prepared], None] = lambda _: None) -> Tally:
    """Compose everything that is not composed yet; `on_plan` hears what was found before the work starts.

    Raises:
        InputError: As `prepare` does, or if the error budget is spent.
        DependencyError: As `prepare` does.
    """
    prepared = prepare(job)
    on_plan(prepared)
    sources = {"matting": str(job.matting.resolve()), "backgrounds": str(job.backgrounds.resolve())}
    folder = DatasetFolder(job.out)
    if job.overwrite and stored_plan(folder):
        remove_dataset(folder)
    open_dataset(folder, "composites", prepared.facts, sources, growing="foregrounds")
    write_plan(folder, prepared.plan.foregrounds, prepared.plan.backgrounds, prepared.refused + prepared.unusable)
    warm_up()
    tasks = plan_tasks(job, prepared.plan)
    redo = frozenset(mark.name for mark in folder.marks() if mark.rejected and job.retry_rejects)
    work = Work(folder, tasks, compose_shard, "composites", job.budget, len(prepared.refused), redo)
    tally = run_tasks(work, runner)
    totals = {"rows": tally.written + tally.reused, "rejected": tally.rejected, **tally.statistics}
    if not tally.failed:
        close_dataset(folder, totals)
        write_card(folder)
    return tally


def plan_tasks(job: ComposeJob, plan: Plan) -> list[ComposeTask]:
    """Cut each generation of foregrounds into shards of about the asked size."""
    foregrounds = plan.foregrounds
    largest_background = max((b.width * b.height for b in plan.backgrounds), default=0)
    tasks: list[ComposeTask] = []
    for generation in sorted({f.generation for f in foregrounds}):
        members = [number for number, f in enumerate(foregrounds) if f.generation == generation]
        frames = [foregrounds[number].width * foregrounds[number].height for number in members]
        ranges = shard_ranges([job.output.share(pixels, job.recipe.k) for pixels in frames], 1.0)
        prefix = f"composites-x{generation}" if generation else "composites"
        for index, (start, stop) in enumerate(ranges):
            name, span = shard_name(prefix, index, len(ranges)), (members[start], members[stop - 1] + 1)
            settings = (job.out, job.recipe, job.seed, job.output.codec, job.cache)
            pixels = max(largest_background, *(f.width * f.height for f in foregrounds[slice(*span)]))
            tasks.append(ComposeTask(*settings, name, *span, job.retry_rejects, worker_memory(pixels)))
    return tasks


def compose_shard(task: ComposeTask) -> Done:
    """Make one shard; what cannot be composed becomes a row of its rejects."""
    shard = _Shard(task)
    folder = DatasetFolder(task.root)
    mark = write_shard(folder, task.name, COMPOSITES, shard.rows(), shard.rejects, shard.statistics)
    return Done(mark, dict(shard.context.clock.seconds))


def _digest(backgrounds: Sequence[Background]) -> str:
    return digest(f"{b.background_id} {b.source} {b.licence}" for b in backgrounds)


class _Shard:
    """The rows of one shard, in order, and what was refused among them."""

    def __init__(self, task: ComposeTask) -> None:
        self.rejects: list[dict[str, Any]] = []
        self.statistics: dict[str, int] = {"ineligible_pairs": 0}
        self.context = LayerContext(task.recipe, task.codec, task.cache, StageClock())
        self._task = task
        self._plan = load_plan(task.root)
        self._kept = self._kept_rows()

    def rows(self) -> Iterator[Row]:
        """Kept or composed, foreground by foreground."""
        kept = next(self._kept, None)
        members = self._plan.foregrounds[self._task.start : self._task.stop]
        for planned in (member for member in members if not member.replaced):
            layers = ForegroundLayers(planned, self.context)
            eligible = self._plan.eligible(planned, self._task.recipe.max_upscale)
            self.statistics["ineligible_pairs"] += len(self._plan.backgrounds) - len(eligible)
            for k in range(self._task.recipe.k):
                if kept is not None and kept["sample_id"] == f"{planned.foreground_id}/{k}":
                    yield kept
                    kept = next(self._kept, None)
                    continue
                try:
                    yield self._compose(layers, k, eligible)
                except Exception as error:  # nothing vanishes: whatever happens to a sample is a row of its rejects
                    row = refusal(error, f"{planned.foreground_id}/{k}", planned.source, layers.thumbnail)
                    self.rejects.append(row)

    def _compose(self, layers: ForegroundLayers, k: int, eligible: npt.NDArray[np.int64]) -> Row:
        planned, recipe = layers.planned, self._task.recipe
        if len(eligible) < recipe.k:
            found, frame = f"{len(eligible)} of {len(self._plan.backgrounds)}", f"{planned.width} x {planned.height} px"
            words = f"{found} backgrounds cover {frame} enlarged at most {recipe.max_upscale:g} times; K = {recipe.k}"
            raise Rejected("background", "too_small", words)
        keys = self._plan.background_keys[eligible]
        chosen = eligible[choose_backgrounds(self._task.seed, planned.foreground_id, keys, recipe.k)[k]]
        drawn = draw(recipe, self._task.seed, planned.foreground_id, k)
        return compose_row(self.context, layers, self._plan.backgrounds[chosen], k, drawn)

    def _kept_rows(self) -> Iterator[Row]:
        """Rows that stand and need not be composed again; none unless the shard agrees with its mark."""
        folder = DatasetFolder(self._task.root)
        if not self._task.retry or trusted_mark(folder, self._task.name) is None:
            return iter(())
        return iter_rows(folder.data(self._task.name))
