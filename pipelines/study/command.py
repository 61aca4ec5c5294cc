"""`rssn study`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import click

from pipelines.commands import options
from pipelines.study.load import load_study
from pipelines.study.run import StudyJob, run_study
from pipelines.study.run import dry_run as plan_lines
from rssn.storage.location import Location
from train.commands.options import PLACE
from train.commands.typed import argument, group, option, takes


@dataclass(frozen=True)
class StudyOptions:
    """What `rssn study` is asked to do."""

    study: str = argument(metavar="STUDY")
    out: Location = option(
        "--out",
        required=True,
        type=PLACE,
        help="Folder of everything that it makes, or s3://...; run the same command again to resume.",
    )
    inputs: tuple[str, ...] = option(
        "--input", metavar="NAME=PATH", multiple=True, help="Where an input of the study lies; repeat for several."
    )
    dry_run: bool = option(
        "--dry-run", is_flag=True, help="Print each step and about how long it takes; write nothing."
    )
    workers: options.WorkerOptions = group(options.WorkerOptions)


@click.command()
@takes(StudyOptions)
def study(given: StudyOptions) -> None:
    """Ask which training data make the better network.

    Curates, composes, trains, evaluates and compares. STUDY is a YAML file, or one of those that ship (am2k-comp-track,
    am2k-ori-track, rssn-ablation, gfm-ablation, small, demo). Each step is the job of one of our commands; what is done
    stays done, and a changed recipe makes again what depends on it. Trainings run side by side, one for each of
    --workers, with a GPU each where there are some.

    Writes index.html, README.md with the table in the paper's layout, mattes and per_image.parquet. Paths in a study
    file are relative to the current folder.
    """
    study = load_study(given.study, given.inputs)
    job = StudyJob(study, given.out.resolve(), given.workers.workers, given.workers.cluster)
    if given.dry_run:
        click.echo("\n".join(plan_lines(job)))
        return
    click.echo(run_study(job, partial(click.echo, err=True)))
    click.echo(f"report: {given.out / 'index.html'}")
