"""`rssn export`: a finished data set in the forms that other trainers read."""

from __future__ import annotations

from pathlib import Path

import click

from pipelines.commands import options
from pipelines.export.job import FORMATS, ExportFormat, ExportJob, run_export


@click.command()
@click.argument("dataset", type=options.FOLDER)
@click.option("--out", required=True, type=options.FOLDER, help="Folder of the files; run again to resume.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS, case_sensitive=False),
    default="folder",
    help="Picture files in folders, or webdataset's tar shards.",
)
def export(dataset: Path, out: Path, form: ExportFormat) -> None:
    """Write a data set as the files or tar shards of other trainers.

    The folder form has original/ mask/ fg/ bg/ and index.csv (train/ and testval/ for backgrounds), the webdataset
    form one tar for each shard. Pictures are copied byte by byte.
    """
    done = run_export(ExportJob(dataset, out, form))
    for problem in done.missing:
        click.echo(f"not exported: {problem}", err=True)
    click.echo(f"{done.rows} rows: {done.written} files written, {done.kept} kept: {out}")
