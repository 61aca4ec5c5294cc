"""A data set as one object: what `rssn compose`, `rssn pack` or `rssn build-bg20k` wrote into a folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from rssn.dataset.batches import iter_rejects, superseded
from rssn.dataset.manifest import Manifest, read_manifest
from rssn.dataset.rows import iter_rows, own_parquet, place_of, read_row
from rssn.dataset.shards import DatasetFolder, Mark
from rssn.dataset.verify import verify
from rssn.errors import DamagedError, InputError
from rssn.storage.urls import is_url


def open_dataset(folder: Path | str) -> DataSet:
    """Open a data set that lies in a folder; a run may still be at work on it.

    Args:
        folder: Where `rssn compose`, `rssn pack` or `rssn build-bg20k` wrote it.

    Raises:
        InputError: If no data set of this version lies there, or a URL is given: copy it here first.
    """
    if isinstance(folder, str) and is_url(folder):
        raise InputError(f"{folder}: open_dataset reads folders, no URLs; copy the data set first")
    return DataSet(DatasetFolder(Path(folder)), read_manifest(Path(folder)))


@dataclass(frozen=True)
class DataSet:
    """Rows in marked Parquet shards, what was refused, and the manifest of what they were made from."""

    folder: DatasetFolder
    manifest: Manifest

    @cached_property
    def marks(self) -> Sequence[Mark]:
        """The proofs of its shards, in order.

        Raises:
            DamagedError: If one that a finished data set has is missing.
        """
        return self.folder.all_marks()

    def __len__(self) -> int:
        """The number of rows."""
        return sum(mark.rows for mark in self.marks)

    @property
    def key(self) -> str:
        """The column that names a row: `background_id` of backgrounds, else `sample_id`."""
        return "background_id" if self.manifest.kind == "backgrounds" else "sample_id"

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """All rows in order, one row group in memory at a time.

        Args:
            columns: Names to read, see `rssn.dataset.schema`; None reads all. A picture is `{"bytes": ...}`.

        Raises:
            DamagedError: If a shard is not as it was written, or a column is not there.
        """
        for mark in self.marks:
            yield from iter_rows(self.folder.data(mark.name), columns)

    def row(self, sample_id: str) -> dict[str, Any]:
        """One row by its name, `<foreground_id>/<k>`, of backgrounds by its `background_id`.

        Raises:
            InputError: If there is none; shards that are damaged are named.
            DamagedError: If it may be in a shard whose mark is lost.
        """
        damaged = []
        for mark in self.folder.marks():
            path = self.folder.data(mark.name)
            try:
                with own_parquet(path) as file:
                    number = file.read(columns=[self.key])[self.key].index(pa.scalar(sample_id)).as_py()
                if number >= 0:
                    return read_row(path, place_of(path, number))
            except (DamagedError, OSError):
                damaged.append(mark.name)
        self.folder.all_marks()  # raises for a finished set of which one is lost
        words = f"; these shards are damaged, the command that made them makes them again: {', '.join(damaged)}"
        raise InputError(f"{self.folder.root}: no row with the {self.key} {sample_id}{words if damaged else ''}")

    def rejects(self) -> Iterator[Mapping[str, Any]]:
        """What was refused and why: rows with `item_id`, `source`, `stage`, `reason`, `message`.

        What a later batch of composites tried again is not among them.
        """
        for _, _, row in iter_rejects(self.folder.all_rejects(), superseded(self.folder.root)):
            yield row

    def verify(self) -> list[str]:
        """Read every file and compare it with its mark: size, rows and sha256.

        Returns:
            What is wrong, a sentence each; nothing where all agrees.
        """
        return verify(self.folder).problems
