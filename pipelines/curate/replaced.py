"""Photographs that were replaced, by others of the same name and size, since a curation examined them.

The manifest names photographs by what a listing says; here it is asked whether their content is still the one
that the candidates were made of. A file is read again only where its time or its number on the disk is another one: all
of them, where a crawl was copied to another disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from pipelines.curate.examine import ExamineTask
from pipelines.curate.listing import CrawlListing
from pipelines.curate.rows import candidates_folder, photos_plan
from rssn.dataset.rows import iter_rows
from rssn.dataset.shards import DatasetFolder
from rssn.dataset.verify import trusted_mark
from rssn.errors import DamagedError, InputError, Rejected
from rssn.progress import progressing
from rssn.sources.crawl import Photograph, read_photographs
from rssn.storage.files import Row, content_id
from rssn.storage.location import Location

_NAMED = 3


def refuse_replaced(folder: DatasetFolder, crawl: CrawlListing, tasks: Sequence[ExamineTask]) -> int:
    """Compare the photographs of a crawl with those that a set was made of, and refuse others.

    Args:
        folder: The set; its plan names as many photographs in the same order.
        crawl: The crawl as it is now.
        tasks: The candidate shards.

    Returns:
        How many were read again and found unchanged.

    Raises:
        InputError: Naming those that have other content now, or cannot be read any more.
    """
    candidates = candidates_folder(folder)
    moved = _moved(folder, crawl)
    place = next(moved, None)
    replaced: list[str] = []
    read = 0
    for task in tasks:
        here: list[Photograph] = []
        while place is not None and place[0] < task.stop:
            here.append(place[1])
            place = next(moved, None)
        if here and trusted_mark(candidates, task.name):
            replaced += _others(candidates, task, here)
            read += len(here)
    if replaced:
        one = len(replaced) == 1
        names = ", ".join([*replaced[:_NAMED], *(["..."] if len(replaced) > _NAMED else [])])
        words = f"{len(replaced)} photograph{' was' if one else 's were'} replaced since {folder.root} was started"
        raise InputError(f"{crawl.photos}: {words} ({names}); restore the original files, or choose another --out")
    return read


def _moved(folder: DatasetFolder, crawl: CrawlListing) -> Iterator[tuple[int, Photograph]]:
    """Number and place of each photograph whose stamp (time and number on disk) differs from the planned one."""
    planned = _stamps(photos_plan(folder.root))
    for number, row in enumerate(crawl.rows()):
        if next(planned, "") != _stamp(row):
            yield number, Photograph.from_row(row)


def _stamps(plan: Location) -> Iterator[str]:
    """The planned stamps; none where the plan is lost, or from where it is damaged."""
    with suppress(DamagedError):
        yield from map(_stamp, iter_rows(plan, ["source", "picture.stamp"]))


def _stamp(row: Row) -> str:
    return (row["picture"] or {}).get("stamp") or ""


def _others(candidates: DatasetFolder, task: ExamineTask, places: list[Photograph]) -> Iterator[str]:
    """Names of photographs whose content differs from what a candidate shard was made of."""
    made = iter_rows(candidates.data(task.name), ["source", "background_id"])
    refused = iter_rows(candidates.rejects_path(task.name), ["source", "item_id"])
    known = {row["source"]: row["background_id"] for row in made}
    known |= {row["source"]: row["item_id"] for row in refused if row["item_id"] != row["source"]}  # it was read
    data_of = read_photographs(places, task.rules.max_bytes)
    read = progressing(data_of, len(places), "photos", "comparing")
    for place, data in zip(places, read, strict=True):
        made_of = known.get(place.source)
        if made_of and (isinstance(data, Rejected) or content_id(data) != made_of):
            yield place.source
