"""Pairs named by their content, and what cannot be used as a row of the rejects."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import chain, groupby
from typing import Any

from pipelines.compose.plan import PlannedForeground
from pipelines.executor.work import refusal
from rssn.dataset.schema import REJECTS
from rssn.dataset.shards import DatasetFolder
from rssn.errors import Rejected
from rssn.image.arrays import encode_jpeg, fit_inside
from rssn.image.decoding import decode_pixels
from rssn.route.recipe import ForegroundChoice
from rssn.sources.folder_walk import Problem
from rssn.sources.matting import Pair, measure_pair
from rssn.sources.picture_ref import PictureRef
from rssn.storage.files import write_parquet
from rssn.storage.remote import ahead

THUMBNAIL_SIDE = 256
"""Longer side of a thumbnail in `rejects/`, px."""

_THUMBNAILS = 24
"""So many refusals of one kind get a picture while planning; a report shows no more of one reason."""


def foreground_method(pair: Pair, wanted: ForegroundChoice, *, insists: bool = False) -> ForegroundChoice:
    """How F of a pair comes about (Pipeline 1, lines 2 to 9): estimated wherever there is a photograph, else given.

    Raises:
        Rejected: If F is to be taken from the data set, and the data set ships none for this pair; or if somebody
            insists that it be computed, and there is no photograph.
    """
    if insists and wanted != "given" and pair.image is None:
        words = f"--foreground {wanted} needs a photograph, and the data set ships F alone; leave it out to take that F"
        remedy = "whole photographs in fg/ are read by --matting-format fg-photographs, or by a table's column image"
        raise Rejected("foreground", "no_photograph", f"{words}; {remedy}")
    if wanted == "given" and pair.foreground is None:
        words = "the data set ships no F for this photograph; --foreground levin computes it, or add its F"
        raise Rejected("foreground", "not_given", words)
    return wanted if pair.image is not None else "given"


def name_foregrounds(
    pairs: Iterable[Pair], wanted: ForegroundChoice, *, insists: bool = False
) -> tuple[list[PlannedForeground], list[dict[str, Any]]]:
    """Name each pair by its content; equal pairs count once, those and pairs without F become rejects."""
    planned: dict[str, PlannedForeground] = {}
    refused: list[dict[str, Any]] = []
    measured = partial(_measured, wanted=wanted, insists=insists)
    parts = (ahead(measured, some, remote=remote) for remote, some in groupby(pairs, key=lambda pair: pair.of_objects))
    for pair, found in chain.from_iterable(parts):
        try:
            if isinstance(found, Rejected):
                raise found
            name, (width, height) = found
            if name in planned:
                raise Rejected("read", "duplicate", f"the same picture and alpha as {planned[name].source}")
        except Rejected as error:
            small = thumbnail(pair.picture) if len(refused) < _THUMBNAILS else None
            refused.append(refusal(error, pair.source, pair.source, small))
            continue
        planned[name] = PlannedForeground(name, pair, width, height)
    return list(planned.values()), refused


def _measured(
    pair: Pair, wanted: ForegroundChoice, *, insists: bool
) -> tuple[Pair, tuple[str, tuple[int, int]] | Rejected]:
    try:
        foreground_method(pair, wanted, insists=insists)
        return pair, measure_pair(pair)
    except Rejected as error:
        return pair, error


def refuse_problems(problems: Iterable[Problem], stage: str) -> list[dict[str, Any]]:
    """Reject rows for files, and rows of tables, that take part in nothing."""
    rows = []
    for number, problem in enumerate(problems):
        small = thumbnail(problem.ref) if problem.ref and number < _THUMBNAILS else None
        rows.append(refusal(Rejected(stage, problem.reason, problem.message), problem.source, problem.source, small))
    return rows


def thumbnail(picture: PictureRef) -> bytes | None:
    """A small JPEG of a picture, for a reject row; None where it cannot be decoded."""
    try:
        return encode_jpeg(fit_inside(decode_pixels(picture.read()), THUMBNAIL_SIDE), 85)
    except Rejected:
        return None


def write_refusals(folder: DatasetFolder, refused: Iterable[dict[str, Any]]) -> None:
    """Write the rows of foregrounds and backgrounds that cannot be used, whatever is done with the others."""
    write_parquet(folder.rejects_path("plan"), REJECTS, refused)
