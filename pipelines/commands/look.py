"""`rssn inspect` and `rssn demo`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pipelines.commands import options
from pipelines.demo import run_demo
from pipelines.inspection import run_inspect


@click.command()
@click.argument("dataset", type=options.FOLDER)
@click.option("--samples", type=click.IntRange(min=1), default=48, help="How many samples the contact sheets show.")
def inspect(dataset: Path, samples: int) -> None:
    """Verify a data set, count it, and write report/index.html with contact sheets.

    Exits with 1 if a shard is missing, or does not agree with its mark.
    """
    found = run_inspect(dataset, samples)
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
@click.option("--out", type=options.FOLDER, default=Path("demo"), help="Where everything goes; run again to go on.")
@options.workers
def demo(out: Path, workers: int) -> None:
    """Run the whole job on pictures that the project renders itself: nothing is downloaded."""
    run_demo(out, workers, click.echo)
