"""`rssn compose --dry-run`: what a run would make and cost, without writing anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

from pipelines.compose.job import ComposeJob, prepare, tried_tasks
from pipelines.compose.plan import Plan, PlannedForeground, foreground_method
from pipelines.compose.shard import ComposeTask
from rssn.dataset.rows import iter_rows
from rssn.dataset.shards import DatasetFolder, trusted_mark
from rssn.image.codecs import BYTES_PER_PIXEL
from rssn.image.picture_files import unread_words
from rssn.route.draw import Draw, choose_backgrounds, draw
from rssn.route.draw_check import count_draws
from rssn.route.foreground import foreground_cpu_seconds
from rssn.route.step import STAGES
from rssn.sources.backgrounds import Background
from rssn.storage.documents import counted

COMPOSE_CPU_SECONDS = 0.06
"""For a megapixel of a composite without its steps: to read, fit, blend and encode it; for forecasts (`make bench`)."""


@dataclass(frozen=True)
class Planned:
    """One composite that a run would make."""

    foreground: PlannedForeground
    background: Background
    k: int
    drawn: Draw

    @property
    def sample_id(self) -> str:
        """`<foreground_id>/<k>`."""
        return f"{self.foreground.foreground_id}/{self.k}"


@dataclass(frozen=True)
class Existing:
    """What a run would not try, because a trusted mark says that it was tried already."""

    shards: int = 0
    samples: frozenset[str] = frozenset()
    damaged: Sequence[str] = ()  # shards that do not agree with their mark

    def words(self, left: int) -> list[str]:
        """What exists and what is left to do, in lines; none where there is nothing yet."""
        lines = [f"would make again, because it does not match its mark: {name}" for name in self.damaged]
        if self.shards:
            lines.append(f"{self.shards} shards are done already; {left} composites are left, and count from here on")
        return lines


def forecast(job: ComposeJob, examples: int = 5) -> list[str]:
    """Lines that tell what `run_compose` would do with the same job.

    Raises:
        InputError: As `prepare` does.
    """
    prepared = prepare(job)
    plan = prepared.plan
    tasks, left = tried_tasks(job, plan, DatasetFolder(job.out))
    members = [one for task in tasks for one in plan.foregrounds[task.start : task.stop] if not one.replaced]
    planned = list(_composites(job, plan, members))
    short = len(members) * job.recipe.k - len(planned)
    existing = Existing() if job.overwrite else _existing(job, tasks, plan)
    rows = [row for row in planned if row.sample_id not in existing.samples]
    return [
        prepared.describe("would add"),
        counted(len(planned), "composite")
        + (f"; {counted(short, 'composite')} without enough eligible backgrounds" if short else ""),
        f"recipe {job.recipe.label}, seed {job.seed}, {len(tasks)} shards in {job.out}",
        *existing.words(len(rows)),
        *(f"{name}: {unread_words(unread)}" for name, unread in prepared.unread.items()),
        *([f"{left} composites that no run has tried yet are left alone by --retry-rejects"] if left else []),
        *_draws(job, rows),
        f"about {_bytes(job, rows) / 1e6:.0f} MB on disk, {_cpu_seconds(job, rows) / 60:.1f} CPU-minutes",
        *(["the first rows:"] if rows else ["nothing is left to do"]),
        *(f"  {_words(row, job)}" for row in rows[:examples]),
    ]


def cost(job: ComposeJob) -> float:
    """CPU-seconds that a job would take from the start, as `forecast` has them.

    Raises:
        InputError: As `prepare` does.
    """
    plan = prepare(job).plan
    return _cpu_seconds(job, list(_composites(job, plan, [one for one in plan.foregrounds if not one.replaced])))


def _existing(job: ComposeJob, tasks: Sequence[ComposeTask], plan: Plan) -> Existing:
    """Shards with a trusted mark; of these, `--retry-rejects` tries again what was refused."""
    folder = DatasetFolder(job.out)
    marks = {task.name: trusted_mark(folder, task.name) for task in tasks}
    samples: set[str] = set()
    for task in tasks:
        if marks[task.name] is not None:
            members = plan.foregrounds[task.start : task.stop]
            samples |= {f"{one.foreground_id}/{k}" for one in members for k in range(job.recipe.k)}
            if job.retry_rejects:
                samples -= {row["item_id"] for row in iter_rows(folder.rejects(task.name), ["item_id"])}
    damaged = [name for name, mark in marks.items() if mark is None and folder.mark(name).is_file()]
    return Existing(sum(mark is not None for mark in marks.values()), frozenset(samples), damaged)


def _composites(job: ComposeJob, plan: Plan, foregrounds: Iterable[PlannedForeground]) -> Iterator[Planned]:
    for planned in foregrounds:
        eligible = plan.eligible(planned, job.recipe)
        if len(eligible) < job.recipe.k:
            continue
        keys = plan.background_keys[eligible]
        chosen = eligible[choose_backgrounds(job.seed, planned.foreground_id, keys, job.recipe.k)]
        for k, index in enumerate(chosen):
            drawn = draw(job.recipe, job.seed, planned.foreground_id, k)
            yield Planned(planned, plan.backgrounds[index], k, drawn)


def _draws(job: ComposeJob, rows: Sequence[Planned]) -> list[str]:
    """What each step of the recipe would do, in a line."""
    return [f"{name}: {words}" for name, words in count_draws(job.recipe, (row.drawn.steps for row in rows)).items()]


def _bytes(job: ComposeJob, rows: Sequence[Planned]) -> float:
    pixels = sum(_frame_pixels(job, row.foreground) for row in rows)
    return pixels * (3 * BYTES_PER_PIXEL[job.output.codec] + 0.05)


def _cpu_seconds(job: ComposeJob, rows: Sequence[Planned]) -> float:
    """F, and what a step of the cache makes of a layer, count once; everything else for each composite."""
    frames = {row.foreground.foreground_id: row.foreground for row in rows}
    methods = {name: foreground_method(one.pair, job.recipe.foreground) for name, one in frames.items()}
    once = {(name, "F"): foreground_cpu_seconds(methods[name]) * _pixels(one) for name, one in frames.items()}
    each = 0.0
    for row in rows:
        each += COMPOSE_CPU_SECONDS * _frame_pixels(job, row.foreground)
        for step in job.recipe.steps:
            if row.drawn.steps[step.name] is None:
                continue
            for layer in step.layers or ("foreground",):
                own = row.background if layer == "background" else row.foreground
                of_source = step.stage == "source"
                seconds = step.cpu_seconds * (_pixels(own) if of_source else _frame_pixels(job, row.foreground))
                each += 0.0 if step.cached else seconds
                name = row.background.background_id if layer == "background" else row.foreground.foreground_id
                once |= {(name, step.name): seconds} if step.cached else {}
    return (sum(once.values()) + each) / 1e6


def _pixels(picture: PlannedForeground | Background) -> int:
    return picture.width * picture.height


def _frame_pixels(job: ComposeJob, foreground: PlannedForeground) -> int:
    return prod(job.recipe.frame(foreground.width, foreground.height))


def _words(row: Planned, job: ComposeJob) -> str:
    done = "; ".join(one.words for stage in STAGES for one in row.drawn.applied(job.recipe, stage)) or "blended only"
    return f"{row.sample_id}  {row.foreground.source} on {row.background.source}: {done}"
