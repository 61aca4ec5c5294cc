"""The files of `rssn gap`, in a folder that holds nothing else."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.gap.report import gap_page
from pipelines.gap.result import Read, Result
from pipelines.gap.table import largest
from rssn.dataset.manifest import library_versions
from rssn.errors import InputError, RemoteError
from rssn.gap.cues import CUES
from rssn.gap.folds import FOLDS
from rssn.gap.letters import CueDistance
from rssn.gap.measure import DEALS, PERMUTATIONS, SetGap
from rssn.storage.atomic import sweep, write_bytes
from rssn.storage.files import Row, parse_json, write_json, write_parquet
from rssn.storage.lease import hold_lease
from rssn.storage.location import BucketPath, Location
from rssn.storage.lock import LEASE
from rssn.storage.remote import content
from rssn.versions import version

PAGE, _FIGURES, _FEATURES = "gap.html", "gap.json", "gap.parquet"
_KIND = "rssn gap"
_PROBE = ".rssn-probe"
LOG = "fit.jsonl"
"""Every recipe that a fit has tried."""
PHOTOGRAPHS = "photographs"
"""The value of the column `set` of photographs."""


@contextmanager
def only_writer(out: Location) -> Iterator[None]:
    """Keep other runs from writing to a folder in a bucket meanwhile; on a disk each file is written for itself.

    Raises:
        InputError: If another run is at work there.
    """
    with hold_lease(out) if isinstance(out, BucketPath) else nullcontext():
        yield


def open_out(out: Location, *, fit: bool = False) -> None:
    """Make sure that a folder may be written to: it is empty, new, or holds what this command wrote before.

    Args:
        out: The folder.
        fit: Whether a fit writes there. What one has written no other run writes over.

    Raises:
        InputError: If it holds anything else, or cannot be written to.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: a file, not a folder; choose another --out")
    check_writable(out, "--out")
    if not out.is_dir():
        return
    if isinstance(out, Path):
        sweep(out, PAGE, _FIGURES, _FEATURES)
    held = {path.name for path in out.iterdir()} - ({LEASE} if isinstance(out, BucketPath) else set())
    if held - {LOG} and not (held <= {PAGE, _FIGURES, _FEATURES, LOG} and figures_of(out) is not None):
        raise InputError(f"{out}: holds other files; choose another --out")
    if LOG in held and not fit:
        raise InputError(f"{out}: holds a fit, whose page and figures would be lost; choose another --out")


def check_writable(path: Location, option: str) -> None:
    """Refuse a path below a folder that cannot be written to, before the work; nothing of the try stays.

    Raises:
        InputError: Naming it.
        RemoteError: If a bucket takes nothing there.
    """
    if isinstance(path, BucketPath):
        write_bytes(path / _PROBE, b"rssn")
        (path / _PROBE).unlink()
        return
    there = next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
    try:
        with tempfile.TemporaryDirectory(prefix=".rssn-", dir=there):
            pass
    except OSError as error:
        raise InputError(f"{path}: {there} cannot be written to ({error.strerror}); choose another {option}") from error


def figures_of(out: Location) -> dict[str, Any] | None:
    """What `gap.json` of an earlier run holds; None where there is none of ours.

    Raises:
        RemoteError: If the bucket does not answer.
    """
    try:
        found = parse_json(content(out / _FIGURES))
    except RemoteError:
        raise
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("made_by") == _KIND else None


def write_files(result: Result) -> None:
    """Write the three files; the figures first, for they say whose folder it is.

    Raises:
        InputError: If the folder cannot be written to.
        RemoteError: If the bucket does not take one.
    """
    out = result.job.out
    try:
        write_json(out / _FIGURES, figures(result))
        write_parquet(out / _FEATURES, _schema(), rows(result))
        write_bytes(out / PAGE, gap_page(result).encode())
    except RemoteError:
        raise
    except OSError as error:
        raise InputError(f"{error.filename or out}: {error.strerror}; choose another --out") from error


def figures(result: Result) -> dict[str, Any]:
    """What `gap.json` holds."""
    job, gap = result.job, result.gap
    return {
        "made_by": _KIND,
        "at": str(job.at),
        "seed": job.seed,
        "folds": FOLDS,
        "deals": DEALS,
        "permutations": PERMUTATIONS,
        "versions": library_versions() | {"scikit-learn": version("scikit-learn")},
        **({"fit": dict(job.fit)} if job.fit else {}),
        PHOTOGRAPHS: _facts(result.photographs) | {"cue_strength": asdict(gap.strength)},
        "sets": {one.name: _facts(result.sets[one.name]) | _set_figures(result, one) for one in gap.sets},
        "differences": [
            {"first": one.first, "second": one.second, "figure": one.figure, "differs": one.differs}
            | asdict(one.change)
            for one in gap.differences
        ],
        "notes": list(result.notes),
    }


def _facts(read: Read) -> dict[str, Any]:
    chosen = read.source.chosen
    return {
        "place": str(read.source.place),
        "pictures": len(read.pictures),
        "foregrounds": len(set(read.pictures.groups)),
        "all_foregrounds": chosen.all_foregrounds,
        "recipe": read.source.recipe.to_dict() if read.source.recipe else None,
        "left_out_merged": chosen.merged,
        "refused": list(chosen.refused),
        "skipped": list(read.skipped),
    }


def _set_figures(result: Result, one: SetGap) -> dict[str, Any]:
    ranking = result.rankings[one.name]
    return {
        "shared_foregrounds": result.shared(one.name),
        "cue_strength": asdict(one.strength),
        "distance": asdict(one.distance.area) | {"p": one.distance.p},
        "distance_by_letter": {letter: asdict(found) for letter, found in one.letters.items()},
        "cues": {each.cue.name: _cue_figures(result, one.name, each) for each in one.cues},
        "deviations_by_chance": ranking.chance,
        "largest": largest(result, one.name),
    }


def _cue_figures(result: Result, name: str, one: CueDistance) -> dict[str, Any]:
    ranking = result.rankings[name]
    return {
        "letter": one.cue.letter,
        "deviations": one.far,
        "ranked": one in ranking.cues,
        "stands_out": one in ranking.cues and ranking.stands_out(one),
        "composites": {"mean": one.composites, "deviation": one.spreads[0]},
        PHOTOGRAPHS: {"mean": one.photographs, "deviation": one.spreads[1]},
        "side": one.side,
        "remedy": one.remedy(result.steps(name)),
    }


def _schema() -> pa.Schema:
    light = [("set", pa.string()), ("sample_id", pa.string()), ("foreground_id", pa.string())]
    counts = [(name, pa.int32()) for name in ("width", "height", "foreground_patches", "background_patches")]
    values = [(_column(cue.name, part), pa.float32()) for cue in CUES for part in _PARTS]
    scores = pa.map_(pa.string(), pa.float64())
    return pa.schema([*light, *counts, *values, ("scores", scores)])


_PARTS = ("F", "B", "F-B", "F-B 20%")
"""Of each cue: means over patches of F and of B, their difference, and that of the 20 % quantiles."""


def _column(cue: str, part: str) -> str:
    return f"{cue} {part}"


def rows(result: Result) -> Iterator[Row]:
    """The rows of `gap.parquet`: a picture each. `scores` has one for each set that it was compared in."""
    for one in result.gap.sets:
        pictures = result.sets[one.name].pictures
        yield from _rows(one.name, result.sets[one.name], {one.name: one.distance.scores[: len(pictures)]})
    count = len(result.photographs.pictures)
    yield from _rows(
        PHOTOGRAPHS, result.photographs, {one.name: one.distance.scores[-count:] for one in result.gap.sets}
    )


def _rows(name: str, read: Read, scores: dict[str, np.ndarray[Any, Any]]) -> Iterator[Row]:
    pictures = read.pictures
    for number, sample_id in enumerate(pictures.names):
        (f_mean, f_calm), (b_mean, b_calm) = pictures.sides[number]
        parts = zip(_PARTS, (f_mean, b_mean, f_mean - b_mean, f_calm - b_calm), strict=True)
        values = {_column(cue.name, part): found[at] for part, found in parts for at, cue in enumerate(CUES)}
        width, height = pictures.sizes[number].tolist()
        ours, theirs = pictures.counts[number].tolist()
        yield {
            "set": name,
            "sample_id": sample_id,
            "foreground_id": pictures.groups[number],
            "width": width,
            "height": height,
            "foreground_patches": ours,
            "background_patches": theirs,
            **{key: float(value) for key, value in values.items()},
            "scores": [(key, float(found[number])) for key, found in scores.items()],
        }
