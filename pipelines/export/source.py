"""The data set that is exported: its shards that agree with their marks, in order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rssn.dataset.dataset import DataSet, open_dataset
from rssn.dataset.rows import iter_rows
from rssn.dataset.shards import Mark
from rssn.dataset.verify import verify
from rssn.errors import InputError
from rssn.storage.location import Location

_PREFIX = re.compile(r"(.+)-\d{5,}-of-\d{5,}")


@dataclass(frozen=True)
class Shard:
    """A shard to be exported.

    Attributes:
        path: Its Parquet file.
        mark: Its proof.
        split: Of its rows; composites have one, `train`.
    """

    path: Location
    mark: Mark
    split: str

    @property
    def prefix(self) -> str:
        """What stands before its number: `composites`, or the split of backgrounds."""
        return _prefix(self.mark)


@dataclass(frozen=True)
class Source:
    """What is exported.

    Attributes:
        data: The data set.
        shards: Those with rows that agree with their marks.
        missing: Those that are not made or not marked.
    """

    data: DataSet
    shards: Sequence[Shard]
    missing: Sequence[str]

    @property
    def root(self) -> Location:
        """Where it lies."""
        return self.data.root

    def rows(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Light columns of all rows, in order."""
        for shard in self.shards:
            yield from iter_rows(shard.path, columns)


def open_source(root: Location) -> Source:
    """Read through a data set and compare it with its marks.

    Raises:
        InputError: If there is none, if a shard is damaged, or if it has no rows.
    """
    data = open_dataset(root)
    verified = verify(data)
    if verified.damaged:
        raise InputError(f"nothing was exported: {_listed(verified.damaged)}; repair the data set first")
    if not verified.trusted:
        raise InputError(f"{root}: no marked shard with rows; there is nothing to export")
    curated = data.manifest.kind == "backgrounds"
    shards = [Shard(data.data(mark.name), mark, _prefix(mark) if curated else "train") for mark in verified.trusted]
    return Source(data, shards, verified.missing)


def _prefix(mark: Mark) -> str:
    found = _PREFIX.fullmatch(mark.name)
    return found[1] if found else mark.name


def _listed(problems: Sequence[str], most: int = 5) -> str:
    more = f"; and {len(problems) - most} more" if len(problems) > most else ""
    return "; ".join(problems[:most]) + more
