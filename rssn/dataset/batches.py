"""The batches of a data set of composites: each is planned once, in a file of its own, and has shards of its own.

The manifest lists them, and is the authority: a plan that it does not list is that of a run which was killed before it
began. A later batch may plan again what an earlier one refused; then the earlier rejects count no more.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rssn.dataset.manifest import stored_manifest
from rssn.dataset.rows import damage, iter_rows, own_parquet
from rssn.dataset.shards import DatasetFolder, Mark, shard_name
from rssn.dataset.verify import Shards
from rssn.errors import DamagedError
from rssn.storage.files import list_digest, sha256
from rssn.storage.location import Location
from rssn.storage.remote import list_files

_LATER = re.compile(r".+-x(\d+)-\d{5,}-of-\d{5,}(-failed)?")


def batch_path(root: Location, number: int) -> Location:
    """The plan of a batch."""
    return root / "plan" / f"foregrounds-{number:05d}.parquet"


def batch_shard(unit: str, batch: int, index: int, total: int) -> str:
    """`composites-00042-of-00128` of the first batch, `composites-x1-00000-of-00002` of the next."""
    return shard_name(f"{unit}-x{batch}" if batch else unit, index, total)


def batch_of(shard: str) -> int:
    """The batch of a shard."""
    found = _LATER.fullmatch(shard)
    return int(found[1]) if found else 0


def listed_batches(plan: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Count and digest of each batch that a manifest's plan lists."""
    foregrounds = plan.get("foregrounds")
    return list(foregrounds.get("batches", ())) if isinstance(foregrounds, dict) else []


@dataclass(frozen=True)
class Superseded:
    """Which samples a later batch planned again, and which foregrounds it has in the place of others."""

    samples: Mapping[str, int] = field(default_factory=dict)  # the last batch, by sample id
    foregrounds: Mapping[str, int] = field(default_factory=dict)  # by id of what was refused and changed

    def has(self, batch: int, sample_id: str) -> bool:
        """Whether a batch after this one has the sample."""
        return self.samples.get(sample_id, 0) > batch

    def covers(self, batch: int, sample_id: str) -> bool:
        """Whether it has the sample, or something in its place: its reject counts no more."""
        return self.has(batch, sample_id) or self.foregrounds.get(sample_id.rpartition("/")[0], 0) > batch


NOTHING_LATER = Superseded()


def plan_stamp(root: Location) -> str:
    """A digest that changes whenever a file of a data set's plan does; takes one listing."""
    return list_digest([f"{name} {facts}" for name, facts in sorted(list_files(root / "plan").items())])


def superseded(root: Location, batches: int | None = None, stamp: str = "") -> Superseded:
    """What later batches of a data set planned again.

    Args:
        root: The data set's folder.
        batches: How many there are; None: those that the manifest lists.
        stamp: See `plan_stamp`; empty: it is taken.

    Raises:
        DamagedError: If the plan of a batch is damaged.
    """
    if batches is None:
        stored = stored_manifest(root)
        batches = len(listed_batches(stored.plan)) if stored else 0
    if batches < 2:
        return NOTHING_LATER
    return _superseded(root, batches, stamp or plan_stamp(root))


@lru_cache(maxsize=2)
def _superseded(root: Location, batches: int, _stamp: str) -> Superseded:
    samples: dict[str, int] = {}
    foregrounds: dict[str, int] = {}
    for batch in range(1, batches):
        path = batch_path(root, batch)
        if not path.is_file():
            remedy = "restore a copy of it, or compose again with --overwrite"
            raise DamagedError(f"{path}: missing, though the manifest lists it; {remedy}")
        for row in iter_rows(path, ["foreground_id", "ks", "replaces"]):
            samples |= {f"{row['foreground_id']}/{k}": batch for k in row["ks"] or ()}
            if row["replaces"]:
                foregrounds[row["replaces"]] = batch
    return Superseded(samples, foregrounds)


def iter_rejects(
    files: Iterable[Location], without: Superseded, columns: Sequence[str] | None = None
) -> Iterator[tuple[Location, int, dict[str, Any]]]:
    """The rejects that count: file, number of the row in it, and the row.

    Args:
        files: Of rejects.
        without: Those that count no more.
        columns: Names to read, `item_id` among them; None reads all.
    """
    for path in files:
        batch = batch_of(path.stem)
        for number, row in enumerate(iter_rows(path, columns)):
            if not without.covers(batch, row["item_id"]):
                yield path, number, row


def count_live(folder: DatasetFolder, without: Superseded, mark: Mark) -> int:
    """How many rejects of a shard count."""
    if not mark.rejected or without == NOTHING_LATER:
        return mark.rejected
    return sum(1 for _ in iter_rejects([folder.rejects_path(mark.name)], without, ["item_id"]))


@dataclass(frozen=True)
class Refused:
    """What earlier runs in a folder refused, and no later batch has planned again."""

    samples: Mapping[str, set[int]] = field(default_factory=dict)  # by id of the foreground
    names: frozenset[str] = frozenset()  # files below the data set's root, or rows of its table


def find_refused(folder: DatasetFolder, batches: int) -> Refused:
    """What earlier runs refused, by their rejects; those of files that do not agree with their mark do not count."""
    files = [folder.rejects_path(mark.name) for mark in _undamaged(folder) if mark.rejected and _is_whole(folder, mark)]
    samples: dict[str, set[int]] = {}
    names: set[str] = set()
    for _, _, row in iter_rejects(files, superseded(folder.root, batches), ["item_id", "source"]):
        name, _, k = row["item_id"].rpartition("/")
        samples.setdefault(name, set()).add(int(k))
        names.add(row["source"])
    plan = folder.rejects_path("plan")
    if plan.is_file() and damage(plan) is None:
        rows = iter_rejects([plan], NOTHING_LATER, ["item_id", "source", "stage"])
        names |= {row["source"] for _, _, row in rows if row["stage"] != "background"}  # its name may be another's too
    return Refused(samples, frozenset(names))


def _is_whole(folder: DatasetFolder, mark: Mark) -> bool:
    path = folder.rejects_path(mark.name)
    return path.is_file() and sha256(path) == mark.rejects_sha256


def _undamaged(folder: DatasetFolder) -> list[Mark]:
    shards = Shards.of(folder)
    return [mark for mark in shards.marks.values() if shards.problem(mark, whole=False) is None]


def existing_backgrounds(folder: DatasetFolder, foregrounds: Collection[str]) -> dict[str, set[str]]:
    """The backgrounds of the composites that some foregrounds have."""
    found: dict[str, set[str]] = {}
    ids = pa.array(sorted(foregrounds), pa.string())
    for mark in _undamaged(folder) if foregrounds else ():
        if not mark.rows:
            continue
        try:
            with own_parquet(folder.data(mark.name)) as file:
                table = file.read(columns=["foreground_id", "background_id"])
        except DamagedError:  # it is made again
            continue
        for row in table.filter(pc.is_in(table["foreground_id"], ids)).to_pylist():
            found.setdefault(row["foreground_id"], set()).add(row["background_id"])
    return found
