"""`rssn study`."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import cast

import click

from pipelines.commands import options
from pipelines.executor.ray_runner import make_runner
from pipelines.study.load import load_study
from pipelines.study.pilot import Pilot, read_pilot
from pipelines.study.power import SEEDS, Size, power_lines
from pipelines.study.run import StudyJob, run_study
from pipelines.study.run import dry_run as plan_lines
from rssn.errors import InputError
from rssn.storage.location import Location
from train.commands.effect import refuse_given
from train.commands.options import PLACE
from train.commands.typed import argument, group, option, takes


@dataclass(frozen=True)
class StudyOptions:
    """What `rssn study` is asked to do."""

    study: str | None = argument(metavar="STUDY", required=False)
    out: Location | None = option(
        "--out",
        type=PLACE,
        help="Folder of everything that it makes, or s3://...; run the same command again to resume.",
    )
    inputs: tuple[str, ...] = option(
        "--input", metavar="NAME=PATH", multiple=True, help="Where an input of the study lies; repeat for several."
    )
    dry_run: bool = option(
        "--dry-run", is_flag=True, help="Print each step and about how long it takes; write nothing."
    )
    power: Location | None = option(
        "--power",
        metavar="PILOT",
        type=PLACE,
        help="Print how many seeds and photographs STUDY needs, by the spread of a finished study's folder; without "
        "STUDY one like the pilot that compares all of its rows.",
    )
    workers: options.WorkerOptions = group(options.WorkerOptions)

    def job(self) -> StudyJob:
        """The study to be made.

        Raises:
            InputError: If something is missing, or wrong in the study file.
        """
        if self.study is None or self.out is None:
            raise InputError(f"give {'STUDY' if self.study is None else '--out'}, too; or --power PILOT")
        study = load_study(self.study, self.inputs)
        return StudyJob(study, self.out.resolve(), self.workers.workers, self.workers.cluster)

    def size(self, pilot: Pilot) -> Size:
        """What a seed of the study takes, and how many of its trainings run at a time."""
        for name in ("--out", "--input", "--dry-run"):
            refuse_given(name, "--power makes nothing, and reads the study file and the pilot alone; leave it out")
        trainings, comparisons = pilot.trainings, pilot.comparisons
        if self.study is not None:
            study = load_study(self.study)
            trainings, comparisons = study.trainings, study.comparisons
        if not comparisons:
            raise InputError(f"{self.study}: one row, which is compared with nothing; give a study of two or more")
        with closing(make_runner(self.workers.workers, self.workers.cluster, gpu_each=True)) as runner:
            return Size(trainings, comparisons, runner.capacity(trainings * max(SEEDS)).networks)


@click.command()
@takes(StudyOptions)
def study(given: StudyOptions) -> None:
    """Ask which training data make the better network.

    Curates, composes, trains, evaluates and compares. STUDY is a YAML file, or one of those that ship (am2k-comp-track,
    am2k-ori-track, rssn-ablation, gfm-ablation, steps, small, shm-small, demo). Each step is the job of one of our
    commands; what is done stays done, and a changed recipe makes again what depends on it. Trainings run side by side,
    one for each of --workers, with a GPU each where there are some.

    Writes index.html, README.md with the table in the paper's layout, mattes and per_image.parquet. Paths in a study
    file are relative to the current folder.
    """
    if given.power is not None:
        pilot = read_pilot(given.power)
        for line in power_lines(pilot, given.size(pilot)):
            click.echo(line)
        return
    job = given.job()
    if given.dry_run:
        click.echo("\n".join(plan_lines(job)))
        return
    click.echo(run_study(job, partial(click.echo, err=True)))
    click.echo(f"report: {cast(Location, given.out) / 'index.html'}")
