"""`rssn study`."""

from __future__ import annotations

from pathlib import Path

import click

from pipelines.commands import options
from pipelines.study.load import load_study
from pipelines.study.run import StudyJob, run_study
from pipelines.study.run import dry_run as plan_lines


@click.command()
@click.argument("study", metavar="STUDY")
@click.option("--out", required=True, type=options.FOLDER, help="Where everything goes; run again to go on.")
@click.option("--input", "inputs", metavar="NAME=PATH", multiple=True, help="Where an input of the study lies.")
@click.option("--dry-run", is_flag=True, help="Print each step and about how long it takes; write nothing.")
@options.workers
@options.address
def study(
    study: str, out: Path, inputs: tuple[str, ...], workers: int | None, address: str | None, *, dry_run: bool
) -> None:
    """Ask which training data make the better network.

    Curates, composes, trains, evaluates and compares. STUDY is a YAML file, or one of those that ship (am2k-comp-track,
    am2k-ori-track, rssn-ablation, gfm-ablation, small, demo). Each step is one of our commands; what is done stays
    done, and a changed recipe makes again what depends on it. Trainings run side by side, one for each of --workers,
    with a GPU each where there are some.

    Writes index.html, README.md with the table in the paper's layout, mattes and per_image.parquet. Paths in a study
    file are relative to the current folder.
    """
    found = load_study(study, inputs)
    count = ("--workers", str(workers)) if workers is not None else ()
    where = ("--address", address) if address else ()
    job = StudyJob(found, out.resolve(), (*count, *where))
    if dry_run:
        lines = options.with_runner(workers, address, lambda runner: plan_lines(job, runner.room), gpu_each=True)
        click.echo("\n".join(lines))
        return
    text = run_study(
        job,
        lambda work: options.with_runner(workers, address, work, gpu_each=True),
        lambda words: click.echo(words, err=True),
    )
    click.echo(text)
    click.echo(f"report: {out / 'index.html'}")
