"""`rssn gap`: measure sets of composites against photographs, and write what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import partial

import numpy as np

from pipelines.gap.files import open_out, write_files
from pipelines.gap.result import GapJob, Read, Result
from pipelines.gap.sources import Source
from rssn.errors import InputError, Rejected
from rssn.gap.classifiers import one_thread
from rssn.gap.folds import FOLDS
from rssn.gap.measure import measure_gap
from rssn.gap.pictures import SAMPLE, Measured, Pictures, measure_picture, shrink
from rssn.progress import Progress
from rssn.storage.urls import shown

LEAST = FOLDS
"""Foregrounds that either side must have: one for each fold."""

_SIZES = 1.5
_FEW = 10


def run_gap(job: GapJob, least: int = LEAST) -> Result:
    """Measure, and write `gap.html`, `gap.json` and `gap.parquet`.

    Args:
        job: What is asked for.
        least: Foregrounds that either side must have.

    Raises:
        DependencyError: If scikit-learn is not installed.
        InputError: If a source or the output cannot be used, or a source has too few foregrounds.
    """
    with one_thread():
        return _run(job, least)


def _run(job: GapJob, least: int) -> Result:
    open_out(job.out)
    total = sum(source.chosen.count for source in (*job.sets.values(), job.photographs))
    with Progress(total, "pictures") as progress:
        read = partial(read_pictures, at=job.at, tell=progress.advance, least=least)
        sets = {name: read(source) for name, source in job.sets.items()}
        photographs = read(job.photographs)
    pictures = {name: read.pictures for name, read in sets.items()}
    with Progress(len(sets), "sets", "comparing", stays=False) as progress:
        gap = measure_gap(pictures, photographs.pictures, job.seed, progress.advance)
    result = Result(job, sets, photographs, gap, list(_notes(sets, photographs)))
    write_files(result)
    return result


def read_pictures(source: Source, at: Fraction, tell: Callable[[], None] = lambda: None, least: int = LEAST) -> Read:
    """Measure the pictures of a source, one after the other.

    Args:
        source: Where they are.
        at: What sides are multiplied with before.
        tell: Is called after each picture.
        least: Foregrounds that it must have.

    Raises:
        InputError: If it has fewer.
    """
    measured: list[Measured] = []
    skipped = list(source.chosen.problems)
    sample = -(-SAMPLE // max(1, source.chosen.most))
    for name, decode in source.pictures():
        try:
            named, pixels, alpha = decode()
            measured.append(measure_picture(*shrink(pixels, alpha, at), named, sample))
        except Rejected as error:
            skipped.append(f"{name}: {error.message}")
        tell()
    found = len({each.of.foreground_id for each in measured})
    if found < least:
        why = f"; the first that cannot: {skipped[0]}" if skipped else ""
        place = shown(str(source.place))
        raise InputError(f"{place}: {found} foregrounds can be measured, the meter needs {least} or more{why}")
    return Read(source, Pictures.of(measured), skipped)


def _notes(sets: Mapping[str, Read], photographs: Read) -> Iterator[str]:
    """What a reader of the figures has to know."""
    theirs = _side(photographs.pictures)
    for name, read in {**sets, "photographs": photographs}.items():
        chosen = read.source.chosen
        if chosen.foregrounds < chosen.all_foregrounds:
            yield f"{name}: a sample of {chosen.foregrounds} of {chosen.all_foregrounds} foregrounds"
        if chosen.merged:
            yield f"{name}: {chosen.merged} composites of two foregrounds are left out: no fold could hold both"
        if not chosen.finished:
            yield f"{name}: its run is not finished; measured is what there is"
        if read.skipped:
            words = f"{name}: {len(read.skipped)} pictures cannot be measured, gap.json names them"
            yield f"{words}; the first: {read.skipped[0]}"
    for name, read in sets.items():
        ours = _side(read.pictures)
        if max(ours, theirs) > _SIZES * min(ours, theirs):
            words = f"{name}: sides of {ours:.0f} px (square root of the area, median), the photographs {theirs:.0f} px"
            yield f"{words}; size itself is a cue: compare at one size, or take the figures as a bound"
    few = min(len(set(read.pictures.groups)) for read in (*sets.values(), photographs))
    if few < _FEW:
        yield f"as few as {few} foregrounds: intervals are rough below {_FEW}"


def _side(pictures: Pictures) -> float:
    return float(np.median(np.sqrt(pictures.sizes.prod(axis=1))))
