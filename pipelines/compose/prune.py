"""`rssn prune`: takes out of a data set what it was made from and is not there any more; nothing else ever does.

What is to go is written down first, in `plan/pruned.parquet`. Then the mark of each shard says what it will hold, and
the shard is rewritten; a run that was killed in between is finished by the next one, or by `rssn compose`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from pipelines.compose.naming import name_foregrounds
from pipelines.compose.plan import (
    Pruned,
    backgrounds_path,
    has_plan,
    is_half_pruned,
    name_some,
    pruned_path,
    read_pruned,
    stored_backgrounds,
    stored_foregrounds,
)
from pipelines.compose.rows import composite_schema
from pipelines.output.card import write_card
from pipelines.output.writer import close_dataset
from rssn.dataset.batches import count_live, listed_batches, superseded
from rssn.dataset.manifest import Manifest, read_manifest
from rssn.dataset.rows import iter_rows
from rssn.dataset.schema import PRUNED, REJECTS
from rssn.dataset.shards import DatasetFolder, Mark, filled
from rssn.dataset.verify import check_shard
from rssn.errors import DamagedError, InputError
from rssn.route.recipe import Recipe, recipe_from_dict
from rssn.sources.backgrounds import find_backgrounds
from rssn.sources.layouts import find_pairs
from rssn.sources.tables import is_table
from rssn.storage.atomic import copy_file
from rssn.storage.documents import counted
from rssn.storage.files import Row, write_json, write_parquet
from rssn.storage.lease import hold_lease
from rssn.storage.location import BucketPath, Location

_NOT_HIDDEN = ("duplicate", "missing_partner", "missing_file", "not_given")
"""Why a picture takes part in nothing though all that lies there is known; of any other reason it may be one of those
that were planned, which then is not gone."""


@dataclass(frozen=True)
class PruneJob:
    """What one `rssn prune` is asked to do."""

    out: Location
    matting: Location
    backgrounds: Location | None = None  # None: they are not looked at
    layout: str | None = None  # of the matting data set; None: that of the last compose


@dataclass(frozen=True)
class Gone:
    """What is not there any more, and what was made of it: ids, and what they are called."""

    foregrounds: Mapping[str, str] = field(default_factory=dict)
    backgrounds: Mapping[str, str] = field(default_factory=dict)
    composites: Mapping[str, str] = field(default_factory=dict)  # of foregrounds that are there
    rows: int = 0  # to be removed, all together
    shards: int = 0  # that have them

    def lines(self, verb: str) -> list[str]:
        """What is gone and what goes with it, in sentences."""
        kinds = (("foreground", self.foregrounds), ("background", self.backgrounds))
        return [
            *(f"gone: {counted(len(ids), kind)} ({name_some(sorted(ids.values()))})" for kind, ids in kinds if ids),
            f"{verb} {counted(self.rows, 'composite')} of {counted(self.shards, 'shard')}",
        ]


def find_gone(job: PruneJob) -> Gone:
    """Compare what a data set was made from with what there is.

    Raises:
        InputError: If there is no such data set or its plan is lost; if nothing is gone, or nothing that was planned is
            found, or something cannot be read.
    """
    manifest = read_manifest(job.out)
    if manifest.kind != "composites":
        raise InputError(f"{job.out} holds {manifest.kind}, not composites: nothing to prune")
    if not has_plan(job.out):
        raise InputError(f"{job.out}: its plan is missing; run the same rssn compose again to write it")
    pruned = read_pruned(job.out)
    foregrounds = _gone_foregrounds(job, manifest, pruned)
    backgrounds = _gone_backgrounds(job, job.backgrounds, pruned) if job.backgrounds else {}
    if not foregrounds and not backgrounds and not is_half_pruned(job.out):
        asked = "foregrounds and backgrounds are" if job.backgrounds else "foregrounds are"
        raise InputError(f"{job.out}: all {asked} there; nothing to prune")
    return _affected(DatasetFolder(job.out), manifest, Gone(foregrounds, backgrounds))


def run_prune(job: PruneJob, on_gone: Callable[[Gone], None] = lambda _: None) -> list[str]:
    """Remove the composites of what is gone; `on_gone` is called with what was found, before anything is written.

    Returns:
        Names of shards that do not agree with their marks: `rssn compose` makes them again, without what was pruned.

    Raises:
        InputError: As `find_gone` does, or if another run works on the folder.
    """
    read_manifest(job.out)  # a lease would make the folder
    with hold_lease(job.out):
        folder = DatasetFolder(job.out)
        folder.sweep()
        on_gone(gone := find_gone(job))
        write_parquet(pruned_path(job.out), PRUNED, _rows(job.out, gone))
        damaged = finish_prune(folder)
        if read_manifest(job.out).finished and not damaged:
            totals = {**read_manifest(job.out).totals, **_totals(folder)}
            close_dataset(job.out, totals)
            write_card(folder, filled(folder.marks()))
            close_dataset(job.out, totals | read_pruned(job.out).total)  # says that the card is right, too
        return damaged


def finish_prune(folder: DatasetFolder) -> list[str]:
    """Rewrite the shards that hold what was pruned; returns the names of those that do not agree with their marks."""
    pruned, schema = read_pruned(folder.root), composite_schema(_recipe(folder, read_manifest(folder.root)))
    with TemporaryDirectory(prefix="rssn-prune-") as scratch:
        rewrite = partial(_prune_shard, folder, pruned=pruned, schema=schema, scratch=Path(scratch))
        return [mark.name for mark in folder.marks() if not rewrite(mark)]


def _prune_shard(folder: DatasetFolder, mark: Mark, pruned: Pruned, schema: pa.Schema, scratch: Path) -> bool:
    """Rewrite a shard, unless it has nothing that was pruned; whether it agrees with its mark, as far as was looked."""
    data, rejects = folder.data(mark.name), folder.rejects_path(mark.name)
    try:
        held = any(pruned.holds(row["sample_id"]) for row in iter_rows(data, ["sample_id"]))
        if not held and not any(pruned.holds(row["item_id"]) for row in iter_rows(rejects, ["item_id"])):
            return True
        rows = write_parquet(scratch / "data", schema, _kept(data, "sample_id", pruned))
        refused = write_parquet(scratch / "rejects", REJECTS, _kept(rejects, "item_id", pruned))
    except DamagedError:
        return False
    now = replace(
        mark,
        rows=rows.rows,
        bytes=rows.bytes,
        sha256=rows.sha256,
        rejected=refused.rows,
        rejects_sha256=refused.sha256,
    )
    if now != mark:  # or it was killed after this
        if check_shard(folder, mark) is not None:
            return False
        write_json(folder.mark(mark.name), asdict(now))
    for made, source, target in ((rows, scratch / "data", data), (refused, scratch / "rejects", rejects)):
        if made.rows:
            copy_file(source, target)
        else:
            target.unlink(missing_ok=True)
    if isinstance(data, BucketPath):  # or whoever resumes would read through what is later than its mark
        write_json(folder.mark(mark.name), asdict(now))
    return True


def _kept(path: Location, key: str, pruned: Pruned) -> Iterator[Row]:
    return (row for row in iter_rows(path) if not pruned.holds(row[key]))


def _gone_foregrounds(job: PruneJob, manifest: Manifest, pruned: Pruned) -> dict[str, str]:
    batches = range(len(listed_batches(manifest.plan)))
    planned = {one.foreground_id: one.source for batch in batches for one in stored_foregrounds(job.out, batch)}
    composed = None if is_table(job.matting) else manifest.sources.get("matting_format")
    matting = find_pairs(job.matting, job.layout or composed, job.out)
    found, refused = name_foregrounds(matting.pairs, "levin")  # by content alone: nobody insists on an F
    reasons = [(row["source"], row["reason"]) for row in refused]
    reasons += [(problem.source, problem.reason) for problem in matting.problems]
    unread = _unread(job, reasons, planned.values())
    here = sorted(one.foreground_id for one in found)
    return _missing(sorted(planned.items()), here, unread, job.matting, pruned.foregrounds)


def _gone_backgrounds(job: PruneJob, place: Location, pruned: Pruned) -> dict[str, str]:
    if not backgrounds_path(job.out).is_file():
        raise InputError(f"{job.out}: was made without backgrounds; leave out --backgrounds")
    found, problems = find_backgrounds(place, without=job.out)
    reasons = [(problem.source, problem.reason) for problem in problems]
    unread = _unread(job, reasons, (one.source for one in stored_backgrounds(job.out)))
    planned = ((one.background_id, one.source) for one in stored_backgrounds(job.out))
    return _missing(planned, (one.background_id for one in found), unread, place, pruned.backgrounds)


def _unread(job: PruneJob, reasons: Iterable[tuple[str, str]], planned: Iterable[str]) -> list[str]:
    """Those that may be among the planned (sources); not what was refused from the first, and was never planned."""
    refused = {row["item_id"] for row in iter_rows(DatasetFolder(job.out).rejects_path("plan"), ["item_id"])}
    passes = refused.difference(planned)
    return [source for source, reason in reasons if reason not in _NOT_HIDDEN and source not in passes]


def _missing(
    planned: Iterable[tuple[str, str]], here: Iterable[str], unread: list[str], place: Location, pruned: Collection[str]
) -> dict[str, str]:
    """What was planned and is not here; both are in order of their ids, and neither is held."""
    if unread:
        words = f"{len(unread)} cannot be used ({name_some(unread)}), so nobody knows what is gone"
        raise InputError(f"{place}: {words}; mend it, or remove it")
    lost: dict[str, str] = {}
    count = 0
    found = iter(here)
    now = next(found, None)
    for count, (name, source) in enumerate(planned, 1):  # noqa: B007  (told when it is done)
        while now is not None and now < name:
            now = next(found, None)
        if now != name:
            lost[name] = source
    if len(lost) == count:
        words = f"nothing of the {count} that the data set was made from is there"
        raise InputError(f"{place}: {words}; is it the right place, and its disk mounted? Nothing is removed")
    return {name: source for name, source in lost.items() if name not in pruned}


def _affected(folder: DatasetFolder, manifest: Manifest, gone: Gone) -> Gone:
    """With the composites of what is gone."""
    merging = [step.name for step in _recipe(folder, manifest).steps if step.takes_other]
    columns = ["sample_id", "foreground_id", "background_id", "foreground_source", *(["steps"] if merging else [])]
    composites: dict[str, str] = {}
    rows = shards = 0
    for mark in folder.marks():
        before = rows
        try:
            for row in iter_rows(folder.data(mark.name), columns):
                others = [steps["other_id"] for name in merging if (steps := row["steps"][name])]
                if row["foreground_id"] in gone.foregrounds:
                    rows += 1
                elif row["background_id"] in gone.backgrounds or not gone.foregrounds.keys().isdisjoint(others):
                    composites[row["sample_id"]] = row["foreground_source"]
                    rows += 1
        except DamagedError:  # it is made again
            continue
        shards += rows > before
    return replace(gone, composites=composites, rows=rows, shards=shards)


def _recipe(folder: DatasetFolder, manifest: Manifest) -> Recipe:
    return recipe_from_dict(manifest.plan["recipe"], str(folder.manifest_path))


def _rows(root: Location, gone: Gone) -> list[Row]:
    """The list of what is pruned: what was before, and what goes now."""
    before: list[Row] = [*iter_rows(pruned_path(root))]
    kinds = (("foreground", gone.foregrounds), ("background", gone.backgrounds), ("composite", gone.composites))
    now = [{"kind": kind, "item_id": name, "source": ids[name]} for kind, ids in kinds for name in sorted(ids)]
    known = {(row["kind"], row["item_id"]) for row in before}
    return [*before, *(row for row in now if (row["kind"], row["item_id"]) not in known)]


def _totals(folder: DatasetFolder) -> dict[str, int]:
    later, marks = superseded(folder.root), folder.marks()
    refused = sum(row["stage"] != "background" for row in iter_rows(folder.rejects_path("plan"), ["stage"]))
    rejected = refused + sum(count_live(folder, later, mark) for mark in marks)
    rows = sum(mark.rows for mark in marks)
    return {"rows": rows, "rejected": rejected}
