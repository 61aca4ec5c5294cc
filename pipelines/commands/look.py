"""`rssn inspect`, `rssn status` and `rssn demo`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from pipelines.commands import options
from pipelines.compose.layer_cache import LayerCache
from pipelines.demo import run_demo
from pipelines.inspect.inspect import Look, run_inspect
from pipelines.inspect.status import status as read_status
from pipelines.output.manifest import read_manifest
from pipelines.output.staging import viewed
from rssn.dataset.shards import DatasetFolder
from rssn.storage.urls import Url, shown
from train.commands.effect import Idle, refuse_given, refuse_idle, without


@click.command()
@click.argument("dataset", type=options.PLACE)
@click.option("--samples", type=click.IntRange(min=1), default=48, help="How many samples the contact sheets show.")
@click.option("--strips", type=click.IntRange(min=0), default=4, help="How many samples are shown step by step.")
@options.cache_dir
@options.cache_size
@refuse_idle(
    Idle("--cache-dir", without("strips"), "--strips 0 composes nothing again; leave it out"),
    Idle("--cache-size", without("strips"), "--strips 0 composes nothing again; leave it out"),
)
def inspect(dataset: Path | Url, samples: int, strips: int, cache_dir: Path, cache_size: str) -> None:
    """Verify a data set, count it, and write a report with pictures.

    The report is report/index.html in the data set. Steps that no row stores are composed again, with the layers that
    the cache holds from rssn compose. Exits with 1 if a shard is missing or does not agree with its mark, or if the
    draws do not fit the recipe.
    """
    cache = options.layer_cache(cache_dir, cache_size) if strips else LayerCache(cache_dir, 0)
    with viewed(dataset) as root:
        if read_manifest(DatasetFolder(root))["plan"]["kind"] == "backgrounds":
            for option in ("--strips", "--cache-dir", "--cache-size"):
                refuse_given(option, f"{dataset} holds backgrounds, which no steps made; leave it out")
        found = run_inspect(root, Look(samples, strips, cache, partial(click.echo, err=True)))
    for key, value in found.facts.items():
        click.echo(f"{key:>16}  {value}")
    for sheet in found.sheets:
        click.echo(f"{'look at':>16}  {shown(str(sheet))}")
    click.echo(f"{'report':>16}  {shown(str(found.page))}")
    for problem in found.problems:
        click.echo(f"problem: {problem}", err=True)
    if found.problems:
        sys.exit(1)
    click.echo("every shard agrees with its mark: size, rows, footer and sha256")


@click.command()
@click.argument("dataset", type=options.PLACE)
def status(dataset: Path | Url) -> None:
    """Say how far a run is, from another terminal.

    Also after it stopped. Shows what is done, in work and failed, the rate, time left, slowest stage, and rejects by
    reason; read from the folder alone.
    """
    with viewed(dataset) as root:
        for line in read_status(root):
            click.echo(line)


@click.command()
@click.option("--out", type=options.FOLDER, default=Path("demo"), help="Where everything goes; run again to go on.")
@options.workers
def demo(out: Path, workers: int | None) -> None:
    """Run the whole job on pictures that the project renders itself: nothing is downloaded."""
    run_demo(out, workers, click.echo)
