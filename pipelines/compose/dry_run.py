"""`rssn compose --dry-run`: what a run would make and cost, without writing anything."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

from pipelines.compose.job import ComposeJob, Prepared, plan_tasks, prepare
from pipelines.compose.naming import foreground_method
from pipelines.compose.plan import PlannedForeground
from pipelines.compose.shard import ComposeTask
from rssn.dataset.batches import superseded
from rssn.dataset.shards import DatasetFolder
from rssn.dataset.verify import Shards
from rssn.image.codecs import BYTES_PER_PIXEL
from rssn.image.picture_files import unread_words
from rssn.route.draw import Draw, choose_backgrounds, draw
from rssn.route.draw_check import count_draws
from rssn.route.foreground import foreground_cpu_seconds
from rssn.route.step import STAGES, Values
from rssn.sources.backgrounds import Background
from rssn.storage.documents import counted

COMPOSE_CPU_SECONDS = 0.06
"""For a megapixel of a composite without its steps: to read, fit, blend and encode it; for forecasts (`make bench`)."""

_EXAMPLES = 5


@dataclass(frozen=True)
class Planned:
    """One composite that a run would make."""

    foreground: PlannedForeground
    background: Background
    k: int
    drawn: Draw

    def words(self, job: ComposeJob) -> str:
        """Its name, its pictures, and what is drawn for it."""
        steps = "; ".join(one.words for stage in STAGES for one in self.drawn.applied(job.recipe, stage))
        name = f"{self.foreground.foreground_id}/{self.k}"
        return f"{name}  {self.foreground.source} on {self.background.source}: {steps or 'blended only'}"


@dataclass
class _Tally:
    """What the composites of a run come to."""

    job: ComposeJob
    examples: int
    composites: int = 0
    short: int = 0  # without enough eligible backgrounds
    left: int = 0  # that are not made yet
    pixels: int = 0  # of those, in their frames
    each: float = 0.0  # microseconds of CPU for what counts for each composite
    once: dict[tuple[str, str], float] = field(default_factory=dict)  # and for a layer that is made once
    first: list[str] = field(default_factory=list)

    def add(self, row: Planned) -> None:
        """Count a composite that is not made yet."""
        frame = prod(self.job.recipe.frame(row.foreground.width, row.foreground.height))
        self.left += 1
        self.pixels += frame
        if len(self.first) < self.examples:
            self.first.append(f"  {row.words(self.job)}")
        method = foreground_method(row.foreground.pair, self.job.recipe.foreground)
        self.once[row.foreground.foreground_id, "F"] = foreground_cpu_seconds(method) * _pixels(row.foreground)
        self.each += COMPOSE_CPU_SECONDS * frame
        for step in self.job.recipe.steps:
            if row.drawn.steps[step.name] is None:
                continue
            for layer in step.layers or ("foreground",):
                own = row.background if layer == "background" else row.foreground
                seconds = step.cpu_seconds * (_pixels(own) if step.stage == "source" else frame)
                name = row.background.background_id if layer == "background" else row.foreground.foreground_id
                if step.cached:
                    self.once[name, step.name] = seconds
                else:
                    self.each += seconds

    @property
    def cpu_seconds(self) -> float:
        """Of all that is not made yet."""
        return (sum(self.once.values()) + self.each) / 1e6

    @property
    def bytes(self) -> float:
        """Likewise, on disk."""
        return self.pixels * (3 * BYTES_PER_PIXEL[self.job.output.codec] + 0.05)


def forecast(job: ComposeJob, examples: int = _EXAMPLES) -> list[str]:
    """Lines that tell what `run_compose` would do with the same job.

    Raises:
        InputError: As `prepare` does.
    """
    with prepare(job) as prepared:
        folder = DatasetFolder(job.out)
        tasks = plan_tasks(job, prepared.plan, folder)
        shards = Shards(folder, {}, {}) if job.overwrite else Shards.of(folder)
        done = {task.name for task in tasks if shards.trusted(task.name) is not None}
        tally = _Tally(job, examples)
        draws = count_draws(job.recipe, _drawn(prepared, tasks, done, tally))
    damaged = [task.name for task in tasks if task.name not in done and f"marks/{task.name}.json" in shards.found]
    left = f"{len(done)} shards are done already; {tally.left} composites are left, and count from here on"
    short = f"; {counted(tally.short, 'composite')} without enough eligible backgrounds" if tally.short else ""
    return [
        prepared.describe("would add"),
        counted(tally.composites, "composite") + short,
        f"recipe {job.recipe.label}, seed {job.seed}, {len(tasks)} shards in {job.out}",
        *(f"would make again, because it does not match its mark: {name}" for name in damaged),
        *([left] if done else []),
        *(f"{name}: {unread_words(unread)}" for name, unread in prepared.unread.items()),
        *(f"{name}: {words}" for name, words in draws.items()),
        f"about {tally.bytes / 1e6:.0f} MB on disk, {tally.cpu_seconds / 60:.1f} CPU-minutes",
        *(["the first rows:"] if tally.left else ["nothing is left to do"]),
        *tally.first,
    ]


def cost(job: ComposeJob) -> float:
    """CPU-seconds that a job would take from the start, as `forecast` has them.

    Raises:
        InputError: As `prepare` does.
    """
    tally = _Tally(job, 0)
    with prepare(job) as prepared:
        for _ in _drawn(prepared, plan_tasks(job, prepared.plan, DatasetFolder(job.out)), (), tally):
            pass
    return tally.cpu_seconds


def _drawn(
    prepared: Prepared, tasks: list[ComposeTask], done: Collection[str], tally: _Tally
) -> Iterator[Mapping[str, Values | None]]:
    """What the steps of each composite draw that is not made yet; all are counted."""
    plan, later = prepared.plan, superseded(prepared.scratch, prepared.plan.batches)
    for task in tasks:
        for planned in plan.foregrounds[task.start : task.stop]:
            samples = planned.samples(task.recipe.k)
            samples = [name for name in samples if not later.has(task.batch, name) and not plan.pruned.holds(name)]
            eligible = plan.eligible(planned, task.recipe)
            if len(eligible) < task.recipe.k:
                tally.short += len(samples)
                continue
            tally.composites += len(samples)
            if task.name in done or not samples:
                continue
            chosen = choose_backgrounds(task.seed, planned.foreground_id, plan.background_keys[eligible], task.recipe.k)
            for k in (int(name.rpartition("/")[2]) for name in samples):
                drawn = draw(task.recipe, task.seed, planned.foreground_id, k)
                tally.add(Planned(planned, plan.backgrounds[int(eligible[chosen[k]])], k, drawn))
                yield drawn.steps


def _pixels(picture: PlannedForeground | Background) -> int:
    return picture.width * picture.height
