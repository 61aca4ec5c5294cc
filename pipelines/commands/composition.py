"""`rssn compose`, `rssn pack` and `rssn replay`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from pipelines.commands import options
from pipelines.compose.dry_run import forecast
from pipelines.compose.growth import removal
from pipelines.compose.job import ComposeJob, Prepared, run_compose
from pipelines.compose.pack import PackJob, run_pack
from pipelines.executor.work import parse_budget, parse_bytes
from pipelines.inspect.replay import run_replay
from pipelines.inspect.step_strips import STRIP_SIDE
from pipelines.output.manifest import holds_dataset
from pipelines.output.staging import source, staged, viewed
from rssn.dataset.shards import DatasetFolder
from rssn.route.recipe import FOREGROUND_CHOICES
from rssn.route.recipes import DEFAULT, chosen_recipe, load_recipe, shipped
from rssn.storage.urls import Url, shown
from train.commands.effect import Idle, refuse_idle

_MATTING = "A matting data set: AM-2k's, P3M-10k's, fg/ and alpha/ (GT/), flat, RGBA cut-outs, a table; or s3://..."


@click.command()
@click.option("--matting", required=True, type=options.PLACE, help=_MATTING)
@click.option("--backgrounds", required=True, type=options.PLACE, help="A build-bg20k output, a folder, or a table.")
@click.option("--out", required=True, type=options.PLACE, help="Where the shards go, or s3://...; run again to go on.")
@options.matting_format
@options.alpha_scale
@click.option("--k", type=int, help="Composites for each foreground.  [default: the recipe's, 5]")
@click.option("--recipe", default=DEFAULT, help=f"A YAML file, or one of: {', '.join(shipped())}.")
@click.option(
    "--foreground",
    type=click.Choice(FOREGROUND_CHOICES, case_sensitive=False),
    help="Overrides how F comes about: computed from the photograph, or given by the data set.",
)
@click.option(
    "--denoiser",
    type=click.Choice(["native", "bm3d", "nlmeans"], case_sensitive=False),
    help="Overrides the recipe's denoise.backend.",
)
@click.option(
    "--fit",
    type=click.Choice(["cover", "stretch"], case_sensitive=False),
    help="Overrides how a background meets the frame.",
)
@click.option("--max-upscale", type=float, help="Overrides how much a background may be enlarged.")
@click.option("--seed", type=int, default=0, help="Another seed gives other draws.")
@options.codec
@options.shard_size
@options.shard_rows
@options.cache_dir
@options.cache_size
@options.max_errors
@options.workers
@options.address
@click.option("--dry-run", is_flag=True, help="Print the plan, its size and its cost; write nothing.")
@click.option("--extend", is_flag=True, help="Add the foregrounds that are new; what stands is not touched.")
@click.option("--retry-rejects", is_flag=True, help="Try again what was refused or failed, nothing that is new.")
@click.option("--overwrite", is_flag=True, help="Remove the data set in --out first.")
@refuse_idle(
    Idle("--extend", lambda given: given["overwrite"], "--overwrite removes what it would add to; give one of them"),
    Idle(
        "--cache-dir",
        lambda given: not parse_bytes("--cache-size", given["cache_size"]) and not options.in_bucket(given),
        "with --cache-size 0 nothing is kept, and nothing goes to a bucket; leave it out",
    ),
)
def compose(
    matting: Path | Url,
    backgrounds: Path | Url,
    out: Path | Url,
    workers: int | None,
    address: str | None,
    **settings: Any,
) -> None:
    """Compose foregrounds onto backgrounds by the RSSN route (Pipeline 1).

    Writes Parquet shards with composite, alpha, F and B, and everything that was drawn. Stop it at any moment and run
    the same command again to resume.
    """
    cache_dir = settings["cache_dir"]
    with viewed(out) if settings["dry_run"] else staged(out, cache_dir) as root:
        job = _compose_job(source(matting, cache_dir), source(backgrounds, cache_dir), root, settings)
        removed = removal(DatasetFolder(root)) if job.overwrite and holds_dataset(DatasetFolder(root)) else ""
        if settings["dry_run"]:
            for line in [*([f"would remove {removed}"] if removed else []), *forecast(job)]:
                click.echo(shown(line))
            return

        def announce(prepared: Prepared) -> None:
            if removed:
                click.echo(shown(f"removing {removed}"))
            click.echo(prepared.describe())

        tally = options.with_runner(workers, address, lambda runner: run_compose(job, runner, announce))
    options.finish(tally, out, "composites", complete=not tally.rejected)


@click.command()
@click.option("--matting", required=True, type=options.PLACE, help="A matting data set with photographs.")
@click.option("--out", required=True, type=options.PLACE, help="Where the shards go, or s3://...; run again to go on.")
@options.matting_format
@options.alpha_scale
@options.codec
@options.shard_size
@options.shard_rows
@options.cache_dir
@options.max_errors
@options.workers
@options.address
@options.refuse_idle_cache
def pack(matting: Path | Url, out: Path | Url, workers: int | None, address: str | None, **settings: Any) -> None:
    """Pack real photographs with their closed-form F and B (the ORI-Track).

    The columns are those of composites.
    """
    budget, cache_dir, layout = parse_budget(settings["max_errors"]), settings["cache_dir"], settings["matting_format"]
    with staged(out, cache_dir) as root:
        found = source(matting, cache_dir)
        job = PackJob(
            found, root, load_recipe("ori"), budget, options.output(settings), layout, settings["alpha_scale"]
        )
        tally = options.with_runner(workers, address, lambda runner: run_pack(job, runner))
    options.finish(tally, out, "photographs", complete=not tally.rejected)


@click.command()
@click.argument("shards", type=options.FOLDER)
@click.argument("sample_id")
@click.option("--out", type=options.FOLDER, help="The step strip's PNG.  [default: in SHARDS/report]")
@click.option("--side", type=click.IntRange(min=64), default=STRIP_SIDE, help="Longer side of each picture, px.")
def replay(shards: Path, sample_id: str, out: Path | None, side: int) -> None:
    """Compose one stored row again and compare the bytes.

    Also shows every step as a picture. SAMPLE_ID is <foreground_id>/<k>. Exits with 1 if any byte differs.
    """
    again = run_replay(shards, sample_id, out, side)
    click.echo(f"steps: {again.strip}")
    if again.differences:
        click.echo(f"differs from the stored row: {', '.join(again.differences)}", err=True)
        made = ", ".join(f"{name} {number}" for name, number in sorted(again.made_with.items()))
        click.echo(f"the row was made with {made}", err=True)
        sys.exit(1)
    click.echo("the same bytes: image, alpha, foreground, background")


def _compose_job(matting: Path, backgrounds: Path, root: Path, settings: dict[str, Any]) -> ComposeJob:
    return ComposeJob(
        matting,
        backgrounds,
        root,
        chosen_recipe(settings),
        settings["seed"],
        parse_budget(settings["max_errors"]),
        options.layer_cache(settings["cache_dir"], settings["cache_size"]),
        options.output(settings),
        layout=settings["matting_format"],
        alpha_scale=settings["alpha_scale"],
        extend=settings["extend"],
        overwrite=settings["overwrite"],
        retry_rejects=settings["retry_rejects"],
        insists=settings["foreground"] is not None,
    )
