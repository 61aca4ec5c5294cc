"""`rssn export`: a data set in the forms that other trainers read, with the stored bytes, never encoded again.

A stopped export resumes: a file that is there already is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.export.formats import FORMATS
from pipelines.export.source import open_source
from pipelines.export.target import Plan, Target, only_writer
from pipelines.export.writers import Export, check_rows
from rssn.errors import InputError, RemoteError
from rssn.progress import Progress
from rssn.storage.location import Location


@dataclass(frozen=True)
class ExportJob:
    """What one `rssn export` is asked to do.

    Attributes:
        dataset: Where the data set lies.
        out: The folder to write to.
        format: A name in `pipelines.export.formats.FORMATS`.
    """

    dataset: Location
    out: Location
    format: str


@dataclass(frozen=True)
class Exported:
    """What became of an export."""

    rows: int
    written: int  # files
    kept: int  # those that were there already
    missing: Sequence[str]  # shards that are not made or not marked, and so not exported


def run_export(job: ExportJob) -> Exported:
    """Export every marked shard of a data set, if all of it can be.

    Raises:
        InputError: If there is no data set or a damaged shard, if the format cannot hold a row, or if `out` holds
            anything else, cannot be written, or another run is at work there.
        RemoteError: If a bucket does not answer.
    """
    form, source = FORMATS[job.format], open_source(job.dataset)
    layout = form.layout(source.data.manifest.kind, job.format)
    chosen = check_rows(source, layout)
    shards = {shard.mark.name: shard.mark.sha256 for shard in source.shards}
    rows = sum(shard.mark.rows for shard in source.shards) if chosen is None else len(chosen)
    try:
        with only_writer(job.out):
            target = Target(job.out, Plan(job.format, shards, form.may_grow))
            with Progress(rows, "rows") as progress:
                form.write(Export(source, layout, chosen, progress), target)
    except RemoteError:
        raise
    except OSError as error:
        words = f"{error.filename or job.out}: {error.strerror}; run the same command again to resume"
        raise InputError(words) from error
    target.refuse_strangers()
    return Exported(rows, target.written, target.kept, source.missing)
