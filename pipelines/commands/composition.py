"""`rssn compose`, `rssn pack` and `rssn replay`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import get_args

import click

from pipelines.commands import options
from pipelines.compose.dry_run import forecast
from pipelines.compose.job import ComposeJob, Prepared, run_compose
from pipelines.compose.pack import PackJob, run_pack
from pipelines.compose.resume import removal
from pipelines.executor.work import ErrorBudget
from pipelines.inspect.replay import run_replay
from pipelines.inspect.step_strips import STRIP_SIDE
from rssn.dataset.manifest import holds_dataset
from rssn.dataset.shards import DatasetFolder
from rssn.route.denoise import DenoiseBackend
from rssn.route.recipe import (
    DEFAULT,
    FOREGROUND_CHOICES,
    Fit,
    ForegroundChoice,
    Recipe,
    chosen_recipe,
    load_recipe,
    shipped_recipes,
)
from rssn.storage.location import Location
from rssn.storage.machine import available_cpus, picture_threads
from train.commands.effect import refuse_given
from train.commands.options import PLACE
from train.commands.typed import group, option, takes

_MATTING = "Photographs or foregrounds with their mattes: a folder, a table, or s3://...; layouts are detected."


@dataclass(frozen=True)
class ComposeOptions:
    """What `rssn compose` is asked to do."""

    matting: Location = option("--matting", required=True, type=PLACE, help=_MATTING)
    backgrounds: Location = option(
        "--backgrounds",
        required=True,
        type=PLACE,
        help="Backgrounds: what build-bg20k wrote, a folder, a table, or s3://...",
    )
    out: Location = options.out_option()
    mattes: options.MatteOptions = group(options.MatteOptions)
    k: int | None = option("--k", type=int, help="Composites of each foreground.  [default: the recipe's, 5]")
    recipe: str = option(
        "--recipe",
        default=DEFAULT,
        help=f"A recipe's YAML file or its URL, or one that ships: {', '.join(shipped_recipes())}.",
    )
    foreground: ForegroundChoice | None = option(
        "--foreground",
        type=click.Choice(FOREGROUND_CHOICES, case_sensitive=False),
        help="How F is made, in place of the recipe's way: estimated from the photograph, or given by the data set.",
    )
    denoiser: DenoiseBackend | None = option(
        "--denoiser",
        type=click.Choice(get_args(DenoiseBackend), case_sensitive=False),
        help="What denoises, in place of the recipe's choice.",
    )
    fit: Fit | None = option(
        "--fit",
        type=click.Choice(get_args(Fit), case_sensitive=False),
        help="How a background fills the frame, in place of the recipe's way: aspect kept and cropped, or stretched.",
    )
    max_upscale: float | None = option(
        "--max-upscale", type=float, help="How much a background may be enlarged, in place of the recipe's number."
    )
    seed: int = option("--seed", type=int, default=0, help="Another seed gives other draws.")
    shards: options.ShardOptions = group(options.ShardOptions)
    cache: options.CacheOptions = group(options.CacheOptions)
    max_errors: ErrorBudget = options.max_errors_option()
    workers: options.WorkerOptions = group(options.WorkerOptions)
    dry_run: bool = option("--dry-run", is_flag=True, help="Print the plan, its size and its cost; write nothing.")
    extend: bool = option(
        "--extend", is_flag=True, help="Add composites of new foregrounds; existing ones are not touched."
    )
    retry_rejects: bool = option(
        "--retry-rejects", is_flag=True, help="Try again what was refused or failed, and nothing that is new."
    )
    overwrite: bool = option("--overwrite", is_flag=True, help="Remove the data set in --out first.")

    def refuse_idle(self) -> None:
        """Refuse options that would do nothing."""
        if self.overwrite:
            refuse_given("--extend", "--overwrite removes what it would add to; give one of them")
        if not self.cache.cache_size:
            refuse_given("--cache-dir", "with --cache-size 0 nothing is kept; leave it out")

    def chosen_recipe(self) -> Recipe:
        """The recipe, with what the options say instead."""
        changes = {"k": self.k, "foreground": self.foreground, "fit": self.fit, "max_upscale": self.max_upscale}
        return chosen_recipe(self.recipe, self.denoiser, **changes)

    def job(self) -> ComposeJob:
        """The job that makes the data set."""
        return ComposeJob(
            self.matting,
            self.backgrounds,
            self.out,
            self.chosen_recipe(),
            self.seed,
            self.max_errors,
            self.cache.open(),
            self.shards.output,
            layout=self.mattes.matting_format,
            alpha_scale=self.mattes.alpha_scale,
            extend=self.extend,
            overwrite=self.overwrite,
            retry_rejects=self.retry_rejects,
            insists=self.foreground is not None,
        )


@click.command()
@takes(ComposeOptions)
def compose(given: ComposeOptions) -> None:
    """Compose foregrounds onto backgrounds by the RSSN route (Pipeline 1).

    Writes Parquet shards with composite, alpha, F and B, and everything that was drawn. Stop it at any moment and run
    the same command again to resume.
    """
    given.refuse_idle()
    job = given.job()
    removed = removal(DatasetFolder(job.out)) if job.overwrite and holds_dataset(job.out) else ""
    if given.dry_run:
        for line in [*([f"would remove {removed}"] if removed else []), *forecast(job)]:
            click.echo(line)
        return

    def announce(prepared: Prepared) -> None:
        if removed:
            click.echo(f"removing {removed}")
        click.echo(prepared.describe())

    summary = given.workers.run(lambda runner: run_compose(job, runner, announce))
    options.finish(summary, job.out, "composites", complete=not summary.rejected)


@dataclass(frozen=True)
class PackOptions:
    """What `rssn pack` is asked to do."""

    matting: Location = option(
        "--matting",
        required=True,
        type=PLACE,
        help="Photographs with their mattes: a folder, a table, or s3://...; layouts are detected.",
    )
    out: Location = options.out_option()
    mattes: options.MatteOptions = group(options.MatteOptions)
    shards: options.ShardOptions = group(options.ShardOptions)
    max_errors: ErrorBudget = options.max_errors_option()
    workers: options.WorkerOptions = group(options.WorkerOptions)

    def job(self) -> PackJob:
        """The job that makes the data set."""
        return PackJob(
            self.matting,
            self.out,
            load_recipe("ori"),
            self.max_errors,
            self.shards.output,
            layout=self.mattes.matting_format,
            alpha_scale=self.mattes.alpha_scale,
        )


@click.command()
@takes(PackOptions)
def pack(given: PackOptions) -> None:
    """Pack real photographs with their closed-form F and B (the ORI-Track).

    The columns are those of composites.
    """
    job = given.job()
    summary = given.workers.run(lambda runner: run_pack(job, runner))
    options.finish(summary, given.out, "photographs", complete=not summary.rejected)


@click.command()
@click.argument("shards", type=PLACE)
@click.argument("sample_id")
@click.option("--out", type=PLACE, help="The PNG with every step as a picture.  [default: in SHARDS/report]")
@click.option("--side", type=click.IntRange(min=64), default=STRIP_SIDE, help="Longer side of each picture in it, px.")
def replay(shards: Location, sample_id: str, out: Location | None, side: int) -> None:
    """Compose one stored row again and compare the bytes.

    Also shows every step as a picture. SAMPLE_ID is <foreground_id>/<k>. Exits with 1 if any byte differs.
    """
    with picture_threads(available_cpus()):
        again = run_replay(shards, sample_id, out, side)
    click.echo(f"steps: {again.strip}")
    if again.differences:
        click.echo(f"differs from the stored row: {', '.join(again.differences)}", err=True)
        made = ", ".join(f"{name} {number}" for name, number in sorted(again.made_with.items()))
        click.echo(f"the row was made with {made}", err=True)
        sys.exit(1)
    click.echo("the same bytes: image, alpha, foreground, background")
