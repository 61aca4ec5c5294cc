"""`rssn inspect`, `rssn status` and `rssn demo`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from pipelines.commands import options
from pipelines.compose.layer_cache import LayerCache
from pipelines.demo import run_demo
from pipelines.inspect.inspect import ReportOptions, run_inspect
from pipelines.inspect.status import status as read_status
from rssn.dataset.manifest import read_manifest
from rssn.storage.location import Location
from train.commands.effect import refuse_given
from train.commands.options import PLACE
from train.commands.typed import argument, group, option, takes


@dataclass(frozen=True)
class InspectOptions:
    """What `rssn inspect` is asked to do."""

    dataset: Location = argument(type=PLACE)
    samples: int = option(
        "--samples", type=click.IntRange(min=1), default=48, help="How many samples the contact sheets show."
    )
    strips: int = option(
        "--strips", type=click.IntRange(min=0), default=4, help="How many samples are shown step by step."
    )
    cache: options.CacheOptions = group(options.CacheOptions)

    def refuse_idle(self) -> None:
        """Refuse options that would do nothing."""
        if not self.strips:
            for name in ("--cache-dir", "--cache-size"):
                refuse_given(name, "--strips 0 composes nothing again; leave it out")

    def refuse_steps(self) -> None:
        """Refuse options for the steps of a data set that has none."""
        for name in ("--strips", "--cache-dir", "--cache-size"):
            refuse_given(name, f"{self.dataset} holds backgrounds, which no steps made; leave it out")


@click.command()
@takes(InspectOptions)
def inspect(given: InspectOptions) -> None:
    """Verify a data set, count it, and write a report with pictures.

    The report is report/index.html in the data set. Steps that no row stores are composed again, with the layers that
    the cache holds from rssn compose. Exits with 1 if a shard is missing or does not agree with its mark, or if the
    draws do not fit the recipe.
    """
    given.refuse_idle()
    cache = given.cache.open() if given.strips else LayerCache(given.cache.cache_dir, 0)
    if read_manifest(given.dataset).kind == "backgrounds":
        given.refuse_steps()
    found = run_inspect(given.dataset, ReportOptions(given.samples, given.strips, cache, partial(click.echo, err=True)))
    for key, value in found.facts.items():
        click.echo(f"{key:>16}  {value}")
    for sheet in found.sheets:
        click.echo(f"{'look at':>16}  {sheet}")
    click.echo(f"{'report':>16}  {found.page}")
    for problem in found.problems:
        click.echo(f"problem: {problem}", err=True)
    if found.problems:
        sys.exit(1)
    click.echo("every shard agrees with its mark: size, rows, footer and sha256")


@click.command()
@click.argument("dataset", type=PLACE)
def status(dataset: Location) -> None:
    """Say how far a run is, from another terminal.

    Also after it stopped. Shows what is done, in work and failed, the rate, time left, slowest stage, and rejects by
    reason; read from the folder alone.
    """
    for line in read_status(dataset):
        click.echo(line)


@dataclass(frozen=True)
class DemoOptions:
    """What `rssn demo` is asked to do."""

    out: Location = option(
        "--out",
        type=PLACE,
        default=Path("demo"),
        help="Folder of everything that it makes, or s3://...; run the same command again to resume.",
    )
    workers: int | None = options.workers_option()


@click.command()
@takes(DemoOptions)
def demo(given: DemoOptions) -> None:
    """Run the whole job on pictures that the project renders itself: nothing is downloaded."""
    run_demo(given.out, given.workers, click.echo)
