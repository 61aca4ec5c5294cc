"""The plan of a composition: which foregrounds and backgrounds take part, by content, in files that workers read.

A task carries a range of this plan, never pictures or lists; the plan in the output folder is also the record of what
went in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.executor.work import refusal
from rssn.dataset.rows import iter_rows
from rssn.dataset.schema import PLANNED_BACKGROUNDS, PLANNED_FOREGROUNDS, REJECTS
from rssn.dataset.shards import DatasetFolder
from rssn.errors import DamagedError, InputError, Rejected
from rssn.image.arrays import encode_jpeg, fit_inside
from rssn.image.decoding import decode_pixels
from rssn.route.compose import upscaling
from rssn.route.draw import Draw, background_key, foreground_key, rank_others
from rssn.route.recipe import ForegroundChoice, Recipe
from rssn.sources.backgrounds import Background
from rssn.sources.folder_walk import Problem
from rssn.sources.matting import MattingSample, Pair, load_foreground, measure_pair
from rssn.sources.picture_ref import PictureRef
from rssn.storage.files import write_parquet
from rssn.storage.remote import ahead

THUMBNAIL_SIDE = 256
"""Longer side of a thumbnail in `rejects/`, px."""

_THUMBNAILS = 24
"""So many refusals of one kind get a picture while planning; a report shows no more of one reason."""

_NAMED = 3

_OWN = ("foreground_id", "width", "height", "batch", "returned", "replaced")


@dataclass(frozen=True)
class PlannedForeground:
    """One row of `plan/foregrounds.parquet`."""

    foreground_id: str
    pair: Pair
    width: int  # px, from the header
    height: int
    batch: int = 0  # which --extend or --retry-rejects added it
    returned: bool = False  # an earlier run refused its file, and --retry-rejects let it in
    replaced: bool = False  # its file was repaired and took part anew: nothing is made of this content

    @property
    def source(self) -> str:
        """The colour file, below the data set's root or as a table names it."""
        return self.pair.source

    def load(self) -> MattingSample:
        """Decode the pair.

        Raises:
            Rejected: As `load_foreground` does, or with the reason `changed` if the files are not those of the plan.
        """
        sample = load_foreground(self.pair)
        if sample.foreground_id != self.foreground_id:
            raise Rejected("read", "changed", f"{self.source}: the file was changed after the run was planned")
        return sample


@dataclass(frozen=True)
class Plan:
    """Everything that a task needs to know about the inputs."""

    foregrounds: list[PlannedForeground]
    backgrounds: list[Background]
    background_keys: npt.NDArray[np.uint64]  # one per background, see `rssn.route.draw.background_key`
    background_sizes: npt.NDArray[np.int64]  # one row per background: width and height

    def eligible(self, foreground: PlannedForeground, recipe: Recipe) -> npt.NDArray[np.int64]:
        """Numbers of the backgrounds that cover the largest frame of a foreground without being enlarged too much."""
        factors = upscaling(self.background_sizes, recipe.frame(foreground.width, foreground.height))
        return np.flatnonzero(factors <= recipe.max_upscale)

    def others(self, foreground: PlannedForeground, drawn: Draw) -> Iterator[PlannedForeground]:
        """The other foregrounds, in the order in which a sample would take one of them as its second."""
        for number in rank_others(drawn, self._foreground_keys):
            other = self.foregrounds[int(number)]
            if not other.replaced and other.foreground_id != foreground.foreground_id:
                yield other

    @cached_property
    def _foreground_keys(self) -> npt.NDArray[np.uint64]:
        return np.array([foreground_key(one.foreground_id) for one in self.foregrounds], dtype=np.uint64)


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
    pairs = list(pairs)
    remote = any(pair.in_bucket for pair in pairs)
    for pair, found in zip(
        pairs, ahead(partial(_measured, wanted=wanted, insists=insists), pairs, remote=remote), strict=True
    ):
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


def _measured(pair: Pair, wanted: ForegroundChoice, *, insists: bool) -> tuple[str, tuple[int, int]] | Rejected:
    try:
        foreground_method(pair, wanted, insists=insists)
        return measure_pair(pair)
    except Rejected as error:
        return error


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


def make_plan(foregrounds: list[PlannedForeground], backgrounds: list[Background]) -> Plan:
    """A plan with what choosing backgrounds needs."""
    keys = np.array([background_key(b.background_id) for b in backgrounds], dtype=np.uint64)
    sizes = np.array([(b.width, b.height) for b in backgrounds], dtype=np.int64).reshape(-1, 2)
    return Plan(foregrounds, backgrounds, keys, sizes)


def write_plan(
    folder: DatasetFolder,
    foregrounds: Iterable[PlannedForeground],
    backgrounds: Iterable[Background],
    refused: Iterable[dict[str, Any]],
) -> None:
    """Write the plan and what was refused while planning.

    The foregrounds come after the backgrounds, for `has_plan` looks for them; and before the refusals, for a retry that
    is killed in between must know still what it may let in.
    """
    rows = [{key: getattr(f, key) for key in _OWN} | f.pair.to_row() for f in foregrounds]
    write_parquet(_path(folder.root, "backgrounds"), PLANNED_BACKGROUNDS, [each.to_row() for each in backgrounds])
    write_parquet(_path(folder.root, "foregrounds"), PLANNED_FOREGROUNDS, rows)
    write_refusals(folder, refused)


def write_refusals(folder: DatasetFolder, refused: Iterable[dict[str, Any]]) -> None:
    """Write the rows of foregrounds and backgrounds that cannot be used, whatever is done with the others."""
    write_parquet(folder.rejects("plan"), REJECTS, refused)


def has_plan(root: Path) -> bool:
    """Whether a whole plan was written into an output folder."""
    return _path(root, "foregrounds").is_file()


def load_plan(root: Path) -> Plan:
    """The plan in an output folder, read once per process.

    Raises:
        InputError: If it is damaged.
    """
    path = _path(root, "foregrounds")
    try:
        return _read(root, path.stat().st_mtime_ns)
    except (DamagedError, KeyError, TypeError) as error:
        remedy = "remove that folder and run the same command again to resume"
        raise DamagedError(f"{path.parent}: the plan is damaged; {remedy}") from error


def refuse_other_backgrounds(folder: DatasetFolder, found: Sequence[Background]) -> None:
    """Name the backgrounds that differ from those that the run in a folder was started with; the manifest has a digest.

    Raises:
        InputError: If there is a difference.
    """
    if not has_plan(folder.root):
        return
    before = {background.background_id: background for background in load_plan(folder.root).backgrounds}
    now = {background.background_id: background for background in found}
    gone, new = sorted({*before} - {*now}), sorted({*now} - {*before})
    if gone or new:
        parts = [
            f"{len(ids)} {what} ({name_some([known[i] for i in ids])})"
            for ids, known, what in ((gone, before, "gone"), (new, now, "new"))
            if ids
        ]
        words = f"the backgrounds differ from those that {folder.root} was started with: {', '.join(parts)}"
        raise InputError(f"{words}; other backgrounds would be drawn: choose another --out, or --overwrite")


def name_some(members: Sequence[PlannedForeground] | Sequence[Background]) -> str:
    """The first three sources, in words."""
    return ", ".join([*(each.source for each in members[:_NAMED]), *(["..."] if len(members) > _NAMED else [])])


@lru_cache(maxsize=1)
def _read(root: Path, _written_ns: int) -> Plan:
    foregrounds = [
        PlannedForeground(pair=Pair.from_row(row), **{key: row[key] for key in _OWN})
        for row in iter_rows(_path(root, "foregrounds"))
    ]
    backgrounds = [Background.from_row(row) for row in iter_rows(_path(root, "backgrounds"))]
    return make_plan(foregrounds, backgrounds)


def _path(root: Path, what: str) -> Path:
    return root / "plan" / f"{what}.parquet"
