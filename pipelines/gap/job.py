"""`rssn gap`: measure sets of composites against photographs, and write what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import partial

import numpy as np

from pipelines.gap.files import open_out, write_files
from pipelines.gap.result import GapJob, Read, Result
from pipelines.gap.sources import LEAST, Source
from rssn.errors import InputError, Rejected
from rssn.gap.classifiers import one_thread
from rssn.gap.cues import CUES
from rssn.gap.measure import measure_gap
from rssn.gap.pictures import SAMPLE, Measured, Pictures, measure_picture, shrink
from rssn.gap.ranking import rank_cues
from rssn.progress import Progress
from rssn.storage.documents import counted

_SIZES = 1.5
_RESIZE = "shrink {larger} to the others' size before, or take the distance for too large"
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
    open_out(job.out, fit=bool(job.fit))
    total = sum(source.chosen.count for source in (*job.sets.values(), job.photographs))
    with Progress(total, "pictures") as progress:
        read = partial(read_pictures, at=job.at, tell=progress.advance, least=least)
        sets = {name: read(source) for name, source in job.sets.items()}
        photographs = read(job.photographs)
    pictures = {name: read.pictures for name, read in sets.items()}
    with Progress(len(sets), "sets", "comparing", stays=False) as progress:
        gap = measure_gap(pictures, photographs.pictures, job.seed, progress.advance)
    silent = _silent(job)
    rankings = {
        one.name: rank_cues(one.cues, pictures[one.name], photographs.pictures, grid=not silent) for one in gap.sets
    }
    told = [*notes(sets, photographs), *([silent] if silent else [])]
    result = Result(job, sets, photographs, gap, rankings, told)
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
        place = str(source.place)
        can = f"{counted(found, 'foreground')} can be measured"
        raise InputError(f"{place}: {can}, the meter needs {least} or more{why}")
    return Read(source, Pictures.of(measured), skipped)


def _silent(job: GapJob) -> str:
    """Why the cues that read JPEG's grid tell nothing here; empty where they do."""
    names = " and ".join(cue.name for cue in CUES if cue.on_grid)
    if job.at != 1:
        return f"{names} are in no ranking: JPEG's grid of 8 px is gone where pictures are shrunk"
    if not job.photographs.compressed:
        words = "no photograph's file is a JPEG, so that their own values hardly vary"
        return f"{names} are in no ranking: {words}; composites for such photographs are stored by --image-codec png"
    return ""


def notes(sets: Mapping[str, Read], photographs: Read) -> Iterator[str]:
    """What a reader of the figures has to know."""
    theirs = _side(photographs.pictures)
    for name, read in {**sets, "photographs": photographs}.items():
        chosen = read.source.chosen
        if chosen.foregrounds < chosen.all_foregrounds:
            yield f"{name}: a sample of {chosen.foregrounds} of {chosen.all_foregrounds} foregrounds"
        if chosen.merged:
            yield f"{name}: {counted(chosen.merged, 'composite')} of two foregrounds left out: no fold could hold both"
        if chosen.refused:
            words = f"{name}: {counted(len(chosen.refused), 'item')} refused when it was made, not measured"
            yield f"{words}; the first: {chosen.refused[0]}"
        if not chosen.finished:
            yield f"{name}: its run is not finished; measured is what there is"
        if read.skipped:
            words = f"{name}: {counted(len(read.skipped), 'picture')} cannot be measured, gap.json names all"
            yield f"{words}; the first: {read.skipped[0]}"
    for name, read in sets.items():
        ours = _side(read.pictures)
        if max(ours, theirs) > _SIZES * min(ours, theirs):
            words = f"{name}: sides of {ours:.0f} px (square root of the area, median), the photographs {theirs:.0f} px"
            larger = "these composites" if ours > theirs else "the photographs and their mattes"
            yield f"{words}; size itself is a cue, and --at shrinks both: {_RESIZE.format(larger=larger)}"
    few = min(len(set(read.pictures.groups)) for read in (*sets.values(), photographs))
    if few < _FEW:
        yield f"as few as {few} foregrounds: intervals are rough below {_FEW}"


def _side(pictures: Pictures) -> float:
    return float(np.median(np.sqrt(pictures.sizes.prod(axis=1))))
