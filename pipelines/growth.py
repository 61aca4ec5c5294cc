"""Which foregrounds belong to a run: all of a new one, those of the run that is resumed, or those and new ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

from pipelines.manifest import read_manifest, stored_plan
from pipelines.plan import PlannedForeground, digest, has_plan, load_plan
from rssn.errors import InputError
from rssn.shards import DatasetFolder

Grown: TypeAlias = dict[str, Any]
"""For the manifest: count and digest of all foregrounds, and of each generation."""


class Growth(NamedTuple):
    """The foregrounds of a run."""

    foregrounds: list[PlannedForeground]  # in the order of their shards
    facts: Grown
    standing: int  # how many an earlier run had planned


def grow(folder: DatasetFolder, found: Sequence[PlannedForeground], *, extend: bool) -> Growth:
    """Put the foregrounds that were found into the order of the run's shards.

    The first run is generation 0. Each `--extend` adds the foregrounds that are new as a generation of its own, with
    shards of its own, so that what stands is not touched.

    Raises:
        InputError: If foregrounds of the earlier run are gone, or there are new ones and `extend` was not asked for.
    """
    before = load_plan(folder.root).foregrounds if stored_plan(folder) and has_plan(folder.root) else []
    if before:
        _refuse_lost(folder, before, found)
    known = {planned.foreground_id: planned.generation for planned in before}
    new = [planned for planned in found if planned.foreground_id not in known]
    if before and new and not extend:
        words = f"{len(new)} foregrounds are new since {folder.root} was started, for instance {new[0].source}"
        raise InputError(f"{words}; --extend adds them, or choose another --out")
    generation = max(known.values(), default=-1) + 1
    by_id = {planned.foreground_id: planned for planned in found}
    ordered = [_moved(old, by_id[old.foreground_id]) for old in before]
    ordered += [replace(planned, generation=generation) for planned in new]
    return Growth(ordered, described(ordered), len(before))


def _moved(old: PlannedForeground, found: PlannedForeground) -> PlannedForeground:
    """A standing foreground at the place where its files lie now; what its rows say of it stays."""
    kept = {key: getattr(old.pair, key) for key in ("name", "source", "licence")}
    return replace(old, pair=replace(found.pair, **kept))


def removal(folder: DatasetFolder) -> str:
    """What `--overwrite` would remove, in words.

    Raises:
        InputError: If the folder holds anything but composites.
    """
    manifest = read_manifest(folder)
    if manifest["plan"]["kind"] != "composites":
        raise InputError(f"{folder.root} holds {manifest['plan']['kind']}, not composites; choose another --out")
    marks = folder.marks()
    rows, size = sum(mark.rows for mark in marks), sum(mark.bytes for mark in marks) / 1e6
    return f"{folder.root}: {rows} {manifest['plan']['kind']} in {len(marks)} shards, {size:.1f} MB"


def _refuse_lost(
    folder: DatasetFolder, before: Sequence[PlannedForeground], found: Sequence[PlannedForeground]
) -> None:
    lost = {planned.foreground_id: planned for planned in before}
    for planned in found:
        lost.pop(planned.foreground_id, None)
    if lost:
        first = next(iter(lost.values()))
        words = f"{len(lost)} foregrounds of {folder.root} are gone or were changed, for instance {first.source}"
        raise InputError(f"{words}; bring them back, or choose another --out")


def described(foregrounds: Sequence[PlannedForeground]) -> Grown:
    """Count and digest of the foregrounds and of each generation."""

    def counted(ids: list[str]) -> dict[str, Any]:
        return {"count": len(ids), "digest": digest(ids)}

    numbers = sorted({planned.generation for planned in foregrounds})
    members = [[p.foreground_id for p in foregrounds if p.generation == number] for number in numbers]
    return counted([p.foreground_id for p in foregrounds]) | {"generations": [counted(ids) for ids in members]}
