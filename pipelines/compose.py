"""`rssn compose`: matting pairs and backgrounds in, shards of composites out (Pipeline 1).

The driver plans and cuts the foregrounds into ranges. A task makes one shard: all K composites of a range of
foregrounds. Draws come from content ids, so nothing depends on the order of work or on who does it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.card import write_card
from pipelines.layers import ForegroundLayers, background_layer
from pipelines.manifest import close_dataset, open_dataset
from pipelines.plan import (
    Plan,
    PlannedForeground,
    digest,
    load_plan,
    name_foregrounds,
    refuse_problems,
    write_plan,
)
from pipelines.runner import Runner, shard_ranges
from pipelines.work import Budget, Tally, Work, refusal, run_tasks
from rssn import route
from rssn.backgrounds import Background, find_backgrounds
from rssn.denoise import require_backend
from rssn.draw import Draw, choose_backgrounds, draw
from rssn.errors import InputError
from rssn.foreground import warm_up
from rssn.images import encode_jpeg, to_uint8
from rssn.matting import find_pairs
from rssn.recipe import Recipe
from rssn.schema import COMPOSITES, picture
from rssn.shards import DatasetFolder, Mark, Row, shard_name, write_shard

_ROWS_PER_SHARD = 80  # about 256 MiB of 1.75 MP composites with their layers


@dataclass(frozen=True)
class ComposeJob:
    """What one `rssn compose` is asked to do."""

    matting: Path
    backgrounds: Path
    out: Path
    recipe: Recipe
    seed: int
    budget: Budget


@dataclass(frozen=True)
class ComposeTask:
    """One shard: the composites of the foregrounds `start` to `stop - 1` of the plan."""

    root: Path
    recipe: Recipe
    seed: int
    name: str
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Rows that the shard is planned to have."""
        return (self.stop - self.start) * self.recipe.k


def run_compose(job: ComposeJob, runner: Runner) -> Tally:
    """Compose everything that is not composed yet.

    Raises:
        InputError: If inputs, recipe or output folder cannot be used, or the error budget is spent.
        DependencyError: If the recipe asks for a denoiser that is not installed.
    """
    if job.recipe.denoise.probability > 0:
        require_backend(job.recipe.denoise.backend)
    pairs, problems = find_pairs(job.matting)
    foregrounds, refused = name_foregrounds(job.matting, pairs)
    backgrounds, unusable = find_backgrounds(job.backgrounds)
    if len(backgrounds) < job.recipe.k:
        raise InputError(f"{job.backgrounds}: {len(backgrounds)} backgrounds, but K = {job.recipe.k} needs that many")
    refused += refuse_problems(job.matting, problems) + refuse_problems(job.backgrounds, unusable)
    folder = open_dataset(job.out, "composites", _facts(job, foregrounds, backgrounds), _sources(job))
    write_plan(folder, foregrounds, backgrounds, refused)
    warm_up()
    tasks = _tasks(job, len(foregrounds))
    work = Work(folder, tasks, compose_shard, "composites", job.budget, len(refused))
    tally = run_tasks(work, runner)
    close_dataset(folder, {"rows": tally.written + tally.reused, "rejected": tally.rejected})
    write_card(folder)
    return tally


def compose_shard(task: ComposeTask) -> Mark:
    """Make one shard; what cannot be composed becomes a row of its rejects."""
    rejects: list[dict[str, Any]] = []
    rows = _shard_rows(task, load_plan(task.root), rejects)
    return write_shard(DatasetFolder(task.root), task.name, COMPOSITES, rows, rejects)


def _shard_rows(task: ComposeTask, plan: Plan, rejects: list[dict[str, Any]]) -> Iterator[Row]:
    for planned in plan.foregrounds[task.start : task.stop]:
        layers = ForegroundLayers(planned, task.recipe)
        chosen = choose_backgrounds(task.seed, planned.foreground_id, plan.background_keys, task.recipe.k)
        for k, index in enumerate(chosen):
            try:
                yield _compose_row(task, layers, plan.backgrounds[index], k)
            except Exception as error:  # nothing vanishes: whatever happens to one sample is a row of its rejects
                rejects.append(refusal(error, f"{planned.foreground_id}/{k}", planned.source))


def _compose_row(task: ComposeTask, layers: ForegroundLayers, background: Background, k: int) -> Row:
    planned = layers.planned
    rolled = draw(task.recipe, task.seed, planned.foreground_id, k)
    foreground = layers.layer(denoised=rolled.denoise)
    height, width = layers.alpha.shape
    whole = background_layer(background, task.recipe, denoised=rolled.denoise)
    fitted, crop = route.fit_background(whole, (width, height), rolled, task.recipe.fit)
    composite = route.compose(foreground, fitted, layers.alpha, rolled)
    stem = f"{planned.foreground_id}-{k}"
    return {
        "sample_id": f"{planned.foreground_id}/{k}",
        "image": picture(encode_jpeg(to_uint8(composite.image)), f"{stem}.jpg"),
        "alpha": picture(layers.alpha_png, f"{stem}-alpha.png"),
        "foreground": picture(layers.encoded(denoised=rolled.denoise), f"{stem}-foreground.jpg"),
        "background": picture(encode_jpeg(to_uint8(composite.background)), f"{stem}-background.jpg"),
        "k": k,
        "width": width,
        "height": height,
        "background_crop": asdict(crop),
        "foreground_method": layers.method,
        **_origin_columns(planned, background),
        **_draw_columns(task.recipe, rolled),
    }


def _origin_columns(planned: PlannedForeground, background: Background) -> dict[str, Any]:
    return {
        "foreground_id": planned.foreground_id,
        "background_id": background.background_id,
        "foreground_source": planned.source,
        "background_source": background.source,
        "foreground_licence": None,
        "background_licence": background.licence or None,
    }


def _draw_columns(recipe: Recipe, rolled: Draw) -> dict[str, Any]:
    return {
        "recipe": recipe.label,
        "denoised": rolled.denoise,
        "denoiser": recipe.denoise.backend if rolled.denoise else None,
        "denoise_sigma": recipe.denoise.sigma if rolled.denoise else None,
        "blur_size": rolled.blur_size,
        "noise_sigma": rolled.noise_sigma,
        "noise_seed": rolled.noise_seed,
        "draw_seed": rolled.seed,
    }


def _facts(job: ComposeJob, foregrounds: list[PlannedForeground], backgrounds: list[Background]) -> dict[str, Any]:
    """Everything that decides the rows, for the manifest."""
    return {
        "recipe": job.recipe.to_dict(),
        "seed": job.seed,
        "foregrounds": {"count": len(foregrounds), "digest": digest(f.foreground_id for f in foregrounds)},
        "backgrounds": {"count": len(backgrounds), "digest": digest(b.background_id for b in backgrounds)},
    }


def _sources(job: ComposeJob) -> dict[str, str]:
    return {"matting": str(job.matting.resolve()), "backgrounds": str(job.backgrounds.resolve())}


def _tasks(job: ComposeJob, count: int) -> list[ComposeTask]:
    ranges = shard_ranges(count, most=max(1, _ROWS_PER_SHARD // job.recipe.k))
    names = [shard_name("composites", index, len(ranges)) for index in range(len(ranges))]
    return [
        ComposeTask(job.out, job.recipe, job.seed, name, start, stop)
        for name, (start, stop) in zip(names, ranges, strict=True)
    ]
