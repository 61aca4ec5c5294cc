"""`rssn export`: a finished data set in the forms that other trainers read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pipelines.commands import options as common
from pipelines.export.job import FORMATS, ExportJob, run_export


@click.command()
@click.argument("dataset", type=common.FOLDER)
@click.option("--out", required=True, type=common.FOLDER, help="Where the files go; run again to go on.")
@click.option(
    "--format", type=click.Choice(FORMATS, case_sensitive=False), default="folder", help="Picture files, or tar shards."
)
def export(dataset: Path, out: Path, **options: Any) -> None:
    """Write a data set as the files or tar shards of other trainers.

    The folder form has original/ mask/ fg/ bg/ and index.csv (train/ and testval/ for backgrounds), the webdataset
    form one tar for each shard. Pictures are copied byte by byte.
    """
    done = run_export(ExportJob(dataset, out, options["format"]))
    for problem in done.missing:
        click.echo(f"not exported: {problem}", err=True)
    click.echo(f"{done.rows} rows: {done.written} files written, {done.kept} kept: {out}")
