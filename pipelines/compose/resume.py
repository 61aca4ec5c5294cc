"""What a run composes: the batches that are planned, and perhaps one more; what is planned is never planned otherwise.

Resuming makes the shards that have no mark, of every batch. `--extend` plans one more batch, of the foregrounds that no
batch has; `--retry-rejects` one of the samples that were refused, and of pairs that could not be used then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.compose.plan import (
    PlannedForeground,
    Pruned,
    backgrounds_path,
    damaged_plan,
    name_some,
    read_pruned,
    stored_backgrounds,
    stored_foregrounds,
    write_backgrounds,
    write_batch,
)
from pipelines.output.writer import open_dataset
from rssn.dataset.batches import (
    Refused,
    batch_of,
    batch_path,
    existing_backgrounds,
    find_refused,
    listed_batches,
)
from rssn.dataset.manifest import read_manifest, stored_manifest
from rssn.dataset.rows import iter_rows
from rssn.dataset.shards import DatasetFolder
from rssn.errors import InputError
from rssn.sources.backgrounds import Background
from rssn.storage.atomic import copy_file
from rssn.storage.files import list_digest
from rssn.storage.location import Location

_HELD = 4  # backgrounds that differ; a message names fewer


@dataclass(frozen=True)
class PlanDiff:
    """How the foregrounds that were found differ from those that are planned."""

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
class Asked:
    """Whether a run may plan another batch, and of what."""

    extend: bool = False  # of new foregrounds; planned ones may be gone or changed
    retry: bool = False  # of what was refused
    k: int = 1  # composites of each foreground


@dataclass(frozen=True)
class Reconciled:
    """The batches of a run, and how the foregrounds that were found differ from those that were planned before."""

    batches: Sequence[Mapping[str, Any]]  # count and digest of each
    before: int = 0  # how many of them were planned before
    existing: int = 0  # foregrounds that they have
    diff: PlanDiff = PlanDiff()
    retried: int = 0  # samples that the new batch plans again
    left_out: Sequence[PlannedForeground] = ()  # new ones, in a run that only retries what was refused
    back: Sequence[PlannedForeground] = ()  # those that were pruned, and are found again

    def facts(self, *, before: bool = False) -> dict[str, Any]:
        """What the manifest says of the batches: all, or those that were planned before."""
        return {"batches": list(self.batches[: self.before] if before else self.batches)}


def reconcile(
    folder: DatasetFolder | None, found: Sequence[PlannedForeground], scratch: Path, asked: Asked = Asked()
) -> Reconciled:
    """Compare the foregrounds that were found with those of the data set in a folder, and plan what is to be added.

    Args:
        folder: The output folder; None where nothing of it is to stay.
        found: The foregrounds of the matting data set as it is now.
        scratch: Where the plans go, see `write_plan`; those of existing batches with the paths where files are now.
        asked: What may be added.

    Raises:
        InputError: If there is a difference that is not allowed; it is spelled out.
    """
    listed, lost = _listed(folder) if folder else ([], None)
    by_id = {planned.foreground_id: planned for planned in found}
    if folder is None or not listed:
        facts = _write(scratch, 0, found)
        if lost and folder and lost != [facts]:
            words = "its plan is lost, and it was extended or made from other foregrounds: the order is unknown"
            raise InputError(f"{folder.root}: {words}; --overwrite composes everything again; or choose another --out")
        return Reconciled([facts])
    refused = find_refused(folder, len(listed)) if asked.retry or asked.extend else Refused()
    standing = _Standing(by_id, read_pruned(folder.root), refused)
    for batch, known in enumerate(listed):
        if _write(scratch, batch, map(standing.meet, stored_foregrounds(folder.root, batch))) != known:
            raise damaged_plan(folder.root)
    reconciled, rows = standing.plan(folder, found, asked)
    batches = [*listed, *([_write(scratch, len(listed), rows)] if rows else [])]
    return replace(reconciled, batches=batches, before=len(listed))


def plan_backgrounds(
    root: Location | None, found: Iterable[Background], scratch: Path, pruned: Collection[str] = ()
) -> str:
    """Write the backgrounds of a plan, and compare them with those that a data set was started with.

    Args:
        root: The data set's folder; None where nothing of it is to stay.
        found: Those that there are now, in order of their ids; consumed once and not held.
        scratch: The folder below which the plan goes.
        pruned: Ids of those that stay in the plan, for the others' draws, though they are not there any more.

    Returns:
        Their digest, for the manifest.

    Raises:
        InputError: If others are gone or new; they are named.
    """
    diff = _BackgroundDiff()
    before = root is not None and backgrounds_path(root).is_file()
    write_backgrounds(scratch, diff.merged(stored_backgrounds(root), found, pruned) if root and before else found)
    if diff.counts:
        words = f"the backgrounds differ from those that {root} was started with: {diff.words}"
        raise InputError(f"{words}; other backgrounds would be drawn: choose another --out, or --overwrite")
    rows = iter_rows(backgrounds_path(scratch), ["background_id", "source", "licence"])
    return list_digest(f"{row['background_id']} {row['source']} {row['licence']}" for row in rows)


def plan_dataset(
    root: Location, facts: Mapping[str, Any], reconciled: Reconciled, scratch: Path, sources: Mapping[str, str]
) -> DatasetFolder:
    """Write the plan of a run into its output folder: first its files, then the manifest that lists them.

    Args:
        root: The output folder.
        facts: Everything that decides the rows, for the manifest.
        reconciled: The batches.
        scratch: Where the plans lie.
        sources: Where the inputs lie.
    """
    known = {"foregrounds": reconciled.facts(before=True)}
    folder = open_dataset(root, "composites", {**facts, **known}, sources, may_differ="foregrounds")
    plans = sorted(path.name for path in (scratch / "plan").iterdir())
    for path in (root / "plan").glob("foregrounds-*.parquet"):
        if path.name not in plans:
            path.unlink()  # of a run that was killed before its manifest listed it
    for name in plans:
        copy_file(scratch / "plan" / name, root / "plan" / name)
    if len(reconciled.batches) > reconciled.before:
        folder = open_dataset(root, "composites", facts, sources, may_differ="foregrounds")
    return folder


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


class _Standing:
    """The foregrounds that are planned, met one by one, and what another batch would add to them."""

    def __init__(self, by_id: Mapping[str, PlannedForeground], pruned: Pruned, refused: Refused) -> None:
        self._by_id, self._pruned, self._refused = by_id, pruned, refused
        self._known: set[str] = set()
        self._lost: dict[str, PlannedForeground] = {}
        self._again: list[PlannedForeground] = []  # with samples that were refused
        self._other: list[PlannedForeground] = []  # found in another role

    def meet(self, old: PlannedForeground) -> PlannedForeground:
        """A planned foreground with the paths where its files are now; its name, source and licence stay."""
        name, found = old.foreground_id, self._by_id.get(old.foreground_id)
        self._lost.pop(old.replaces or "", None)
        self._known.add(name)
        if found is None:
            if not old.ks and name not in self._pruned.foregrounds:
                self._lost[name] = old
            return old
        if _role(old) != _role(found):
            self._other.append(old)
        now = replace(old, pair=replace(found.pair, name=old.pair.name, source=old.source, licence=old.pair.licence))
        if not old.ks and name in self._refused.samples and name not in self._pruned.foregrounds:
            self._again.append(now)
        return now

    def plan(
        self, folder: DatasetFolder, found: Sequence[PlannedForeground], asked: Asked
    ) -> tuple[Reconciled, list[PlannedForeground]]:
        """What differs, and the rows of another batch; none where there is nothing to plan."""
        if self._other:
            words = f"{folder.root} was started with {name_some(self._other)} as {_role(self._other[0])}, not as now"
            raise InputError(f"{words}; leave out --matting-format, or choose another --out")
        fresh = [planned for planned in found if planned.foreground_id not in self._known]
        admitted = fresh if asked.extend else [one for one in fresh if asked.retry and self._returns(one)]
        whole = {name for name, ks in self._refused.samples.items() if len(ks) == asked.k}  # nothing of it is kept
        names = {_place(planned): name for name, planned in self._lost.items() if name in whole}
        new = [replace(one, replaces=names.get(_place(one))) for one in admitted]
        self._refuse(folder, asked, fresh, {one.replaces for one in new})
        tried = self._again if asked.retry else []
        existing = existing_backgrounds(folder, {one.foreground_id for one in tried})
        again = [self._retried(one, existing.get(one.foreground_id, set())) for one in tried]
        chosen = {one.foreground_id for one in new}
        reconciled = Reconciled(
            batches=(),
            existing=len(self._known - self._pruned.foregrounds),
            diff=self._diff(new, found),
            retried=sum(len(one.ks) for one in again),
            left_out=[one for one in fresh if one.foreground_id not in chosen],
            back=[one for one in found if one.foreground_id in self._pruned.foregrounds],
        )
        return reconciled, [*again, *new]

    def _refuse(
        self, folder: DatasetFolder, asked: Asked, fresh: Sequence[PlannedForeground], replaced: Collection[str | None]
    ) -> None:
        lost = self._lost.keys() - replaced
        if asked.extend or not (lost or (fresh and not asked.retry)):
            return
        diff = self._diff(fresh, list(self._by_id.values()))
        remedy = "rssn compose --extend adds new ones and keeps existing composites"
        remedy += "; rssn prune removes those of what is not there any more" if lost else ""
        words = f"the foregrounds differ from those that {folder.root} was started with: {diff.words}"
        raise InputError(f"{words}; {remedy}; or choose another --out")

    def _diff(self, new: Sequence[PlannedForeground], found: Iterable[PlannedForeground]) -> PlanDiff:
        places, lost = {_place(one) for one in found}, self._lost.values()
        changed = [one for one in lost if _place(one) in places]
        return PlanDiff(new, changed, [one for one in lost if _place(one) not in places])

    def _returns(self, found: PlannedForeground) -> bool:
        """Whether an earlier run refused something of a foreground, under any of its names."""
        pair = found.pair
        return not self._refused.names.isdisjoint({pair.source, pair.label, *pair.files})

    def _retried(self, planned: PlannedForeground, existing: set[str]) -> PlannedForeground:
        ks = tuple(sorted(self._refused.samples[planned.foreground_id]))
        return replace(planned, ks=ks, existing=tuple(sorted(existing)), replaces=None)


def _listed(folder: DatasetFolder) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]] | None]:
    """The batches that a manifest lists and that have a plan; and those that it lists, where their plan is lost.

    One of which neither a plan nor a shard is there was never begun.
    """
    stored = stored_manifest(folder.root)
    listed = listed_batches(stored.plan) if stored else []
    begun = {batch_of(mark.name) for mark in folder.marks()} if listed else set()
    while listed and not batch_path(folder.root, len(listed) - 1).is_file() and len(listed) - 1 not in begun:
        listed.pop()
    whole = all(batch_path(folder.root, batch).is_file() for batch in range(len(listed)))
    return (listed, None) if whole else ([], listed)


def _write(scratch: Path, batch: int, rows: Iterable[PlannedForeground]) -> dict[str, Any]:
    """Write the plan of a batch; returns what the manifest says of it."""
    identities: list[str] = []

    def met() -> Iterator[PlannedForeground]:
        for row in rows:
            identities.append(row.identity)
            yield row

    write_batch(scratch, batch, met())
    return {"count": len(identities), "digest": list_digest(identities)}


def _place(planned: PlannedForeground) -> tuple[str, str]:
    return planned.pair.name, planned.source


def _role(planned: PlannedForeground) -> str:
    return "F" if planned.pair.image is None else "photographs"


class _BackgroundDiff:
    """Which backgrounds are gone or new; a few of each."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._some: dict[str, list[Background]] = {"gone": [], "new": []}

    @property
    def words(self) -> str:
        """`1 gone (a.jpg), 2 new (b.jpg, c.jpg)`."""
        kinds = [(kind, some) for kind, some in self._some.items() if some]
        return ", ".join(f"{self.counts[kind]} {kind} ({name_some(some)})" for kind, some in kinds)

    def merged(
        self, planned: Iterator[Background], found: Iterable[Background], pruned: Collection[str]
    ) -> Iterator[Background]:
        """What was found, and what was pruned; both are in order."""
        old = next(planned, None)
        for new in found:
            while old is not None and old.background_id < new.background_id:
                yield from self._missing(old, pruned)
                old = next(planned, None)
            if old is not None and old.background_id == new.background_id:
                old = next(planned, None)
            else:
                self._count("new", new)
            yield new
        while old is not None:
            yield from self._missing(old, pruned)
            old = next(planned, None)

    def _missing(self, old: Background, pruned: Collection[str]) -> Iterator[Background]:
        if old.background_id in pruned:
            yield old
        else:
            self._count("gone", old)

    def _count(self, kind: str, one: Background) -> None:
        self.counts[kind] += 1
        if len(self._some[kind]) < _HELD:
            self._some[kind].append(one)
