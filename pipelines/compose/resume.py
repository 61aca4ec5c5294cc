"""Which foregrounds a run composes: all of a new run, those of the run that is resumed, or those and new ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.compose.plan import PlannedForeground, has_plan, load_plan, name_some
from rssn.dataset.manifest import read_manifest, stored_manifest
from rssn.dataset.rows import damage, iter_rows
from rssn.dataset.shards import DatasetFolder
from rssn.errors import InputError
from rssn.sources.matting import Pair
from rssn.storage.files import list_digest, sha256


@dataclass(frozen=True)
class PlanDiff:
    """How the foregrounds that were found differ from those that an earlier run planned."""

    new: Sequence[PlannedForeground] = ()  # every content that was not planned, those of changed files included
    changed: Sequence[PlannedForeground] = ()  # planned ones whose source file has other content now
    gone: Sequence[PlannedForeground] = ()  # planned ones whose source file is missing

    @property
    def words(self) -> str:
        """`1 was changed (original/a.jpg), 2 are gone (...), 3 are new (...)`."""
        sources = {planned.source for planned in self.changed}
        fresh = [planned for planned in self.new if planned.source not in sources]
        parts = (("was changed", "were changed", self.changed), ("is gone", "are gone", self.gone))
        return ", ".join(
            f"{len(members)} {one if len(members) == 1 else many} ({name_some(members)})"
            for one, many, members in (*parts, ("is new", "are new", fresh))
            if members
        )


@dataclass(frozen=True)
class Refused:
    """What earlier runs in a folder refused."""

    names: frozenset[str] = frozenset()  # files below the data set's root, or rows of its table
    whole: frozenset[str] = frozenset()  # ids of foregrounds of which every composite was refused


@dataclass(frozen=True)
class Reconciled:
    """The foregrounds of a run, and how they differ from those of the run that it resumes."""

    foregrounds: Sequence[PlannedForeground]  # in the order of their shards
    existing: int = 0  # how many an earlier run had planned
    diff: PlanDiff = PlanDiff()
    left_out: Sequence[PlannedForeground] = ()  # new ones, in a run that only retries what was refused

    @property
    def facts(self) -> dict[str, Any]:
        """Count and digest of the foregrounds and of each batch."""
        numbers = sorted({planned.batch for planned in self.foregrounds})
        members = [[p.foreground_id for p in self.foregrounds if p.batch == number] for number in numbers]
        return _counted([p.foreground_id for p in self.foregrounds]) | {"batches": [*map(_counted, members)]}


def reconcile(
    folder: DatasetFolder,
    found: Sequence[PlannedForeground],
    *,
    extend: bool = False,
    retry: bool = False,
    returning: Collection[str] = (),
    refused: Refused = Refused(),
) -> Reconciled:
    """Compare the foregrounds that were found with those of the run in a folder, and put them in order of the shards.

    The first run is batch 0. Each `--extend` adds the new foregrounds as a batch of their own, with shards of their
    own, so that existing shards are not touched. A planned foreground that is gone or was changed keeps its place: its
    rows stay without their source. If it has no composites and its file has other content now, it is replaced: nothing
    is made of it any more.

    Args:
        folder: The output folder.
        found: The foregrounds of the data set as it is now.
        extend: Whether new ones are added, and planned ones may be gone or changed.
        retry: Whether those of `returning` are added, and other new ones are left out.
        returning: Ids of new ones that were refused before, see `returning_ids`.
        refused: What may be replaced.

    Raises:
        InputError: If there is a difference that is not allowed; it is spelled out.
    """
    before = load_plan(folder.root).foregrounds if stored_manifest(folder.root) and has_plan(folder.root) else []
    by_id = {planned.foreground_id: planned for planned in found}
    sources = {planned.source for planned in found}
    known = {planned.foreground_id for planned in before}
    fresh = [planned for planned in found if planned.foreground_id not in known]
    admitted = {planned.foreground_id for planned in fresh if extend or not retry} | set(returning)
    new = [planned for planned in fresh if planned.foreground_id in admitted]
    left_out = [planned for planned in fresh if planned.foreground_id not in admitted]
    ordered = [_relocated(old, by_id.get(old.foreground_id), sources, refused) for old in before]
    lost = [planned for planned in ordered if planned.foreground_id not in by_id and not planned.replaced]
    diff = PlanDiff(
        new if before else (),
        [planned for planned in lost if planned.source in sources],
        [planned for planned in lost if planned.source not in sources],
    )
    if not extend and (lost or (diff.new and not retry)):
        remedy = "rssn compose --extend adds new ones and keeps existing composites; or choose another --out"
        raise InputError(
            f"the foregrounds differ from those that {folder.root} was started with: {diff.words}; {remedy}"
        )
    other = [p for p in before if p.foreground_id in by_id and _role(p) != _role(by_id[p.foreground_id])]
    if other:
        words = f"{folder.root} was started with {name_some(other)} as {_role(other[0])}, not as now"
        raise InputError(f"{words}; leave out --matting-format, or choose another --out")
    batch = max((planned.batch for planned in before), default=-1) + 1
    ordered += [replace(planned, batch=batch, returned=planned.foreground_id in returning) for planned in new]
    reconciled = Reconciled(ordered, len(before), diff, left_out)
    if not before:
        _refuse_other_order(folder, reconciled)
    return reconciled


def _refuse_other_order(folder: DatasetFolder, reconciled: Reconciled) -> None:
    """Without its plan, a folder with shards can only be resumed if they hold these foregrounds in this order."""
    stored = stored_manifest(folder.root)
    if stored and folder.marks() and stored.plan["foregrounds"] != reconciled.facts:
        words = "its plan is lost, and it was extended or made from other foregrounds: the order is unknown"
        raise InputError(f"{folder.root}: {words}; --overwrite composes everything again; or choose another --out")


def refused_before(folder: DatasetFolder, k: int) -> Refused:
    """What earlier runs in a folder refused, by their rejects; files that do not agree with their mark do not count.

    Args:
        folder: The output folder.
        k: Composites of each foreground.
    """
    names: set[str] = set()
    samples: Counter[str] = Counter()
    for path in _trusted_rejects(folder):
        for row in iter_rows(path, ["item_id", "source", "stage"]):
            if path == folder.rejects("plan") and row["stage"] == "background":
                continue  # a background's name may be that of a foreground too
            names.add(row["source"])
            samples[row["item_id"].rpartition("/")[0]] += 1
    return Refused(frozenset(names), frozenset(name for name, count in samples.items() if count == k))


def returning_ids(found: Sequence[PlannedForeground], refused: Refused) -> frozenset[str]:
    """Ids of foregrounds of which an earlier run refused something, under any of their names.

    Args:
        found: Foregrounds.
        refused: What was refused.
    """
    return frozenset(f.foreground_id for f in found if not refused.names.isdisjoint(_reject_names(f.pair)))


def removal(folder: DatasetFolder) -> str:
    """What `--overwrite` would remove, in words.

    Raises:
        InputError: If the folder holds anything but composites.
    """
    manifest = read_manifest(folder.root, any_version=True)
    if manifest.kind != "composites":
        raise InputError(f"{folder.root} holds {manifest.kind}, not composites; choose another --out")
    marks = folder.marks()
    rows, size = sum(mark.rows for mark in marks), sum(mark.bytes for mark in marks) / 1e6
    return f"{folder.root}: {rows} {manifest.kind} in {len(marks)} shards, {size:.1f} MB"


def _relocated(
    old: PlannedForeground, found: PlannedForeground | None, sources: Collection[str], refused: Refused
) -> PlannedForeground:
    """A planned foreground with the paths where its files are now; its name, source and licence stay."""
    if found is None:
        replaced = old.replaced or (old.foreground_id in refused.whole and old.source in sources)
        return replace(old, replaced=replaced)
    kept = {key: getattr(old.pair, key) for key in ("name", "source", "licence")}
    return replace(old, pair=replace(found.pair, **kept), replaced=False)


def _role(planned: PlannedForeground) -> str:
    return "F" if planned.pair.image is None else "photographs"


def _reject_names(pair: Pair) -> set[str]:
    return {pair.source, pair.label, *pair.files}


def _trusted_rejects(folder: DatasetFolder) -> list[Path]:
    marked = [(folder.rejects(mark.name), mark.rejects_sha256) for mark in folder.marks() if mark.rejected]
    found = [path for path, digest_ in marked if path.is_file() and sha256(path) == digest_]
    plan = folder.rejects("plan")
    return [*found, plan] if plan.is_file() and damage(plan) is None else found


def _counted(ids: list[str]) -> dict[str, Any]:
    return {"count": len(ids), "digest": list_digest(ids)}
