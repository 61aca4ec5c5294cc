"""`rssn export`: a finished data set in the forms that other trainers read."""

from __future__ import annotations

import click

from pipelines.export.formats import FORMATS
from pipelines.export.job import ExportJob, run_export
from rssn.storage.location import Location
from train.commands.options import PLACE

_FORMATS = "\n\n".join(f"{name}: {form.what}. Follows {form.followed}." for name, form in FORMATS.items())


@click.command(epilog=_FORMATS)
@click.argument("dataset", type=PLACE)
@click.option(
    "--out",
    required=True,
    type=PLACE,
    help="Folder of the files, or s3://... for a bucket; run the same command again to resume.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS), case_sensitive=False),
    default="folder",
    help="Who reads it, see below.",
)
def export(dataset: Location, out: Location, form: str) -> None:
    """Write a data set as the files that other trainers read.

    Pictures are copied byte by byte. Beside them, index.csv has the other columns, and the licences.
    """
    done = run_export(ExportJob(dataset, out, form))
    for problem in done.missing:
        click.echo(f"not exported: {problem}", err=True)
    click.echo(f"{done.rows} rows: {done.written} files written, {done.kept} kept: {out}")
