"""A data set as one object: what `rssn compose`, `rssn pack` or `rssn build-bg20k` wrote, here or in a bucket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from rssn.dataset.batches import iter_rejects, superseded
from rssn.dataset.manifest import Manifest, read_manifest
from rssn.dataset.rows import iter_rows, own_parquet, place_of, read_row
from rssn.dataset.shards import DatasetFolder, Mark, missing_rows
from rssn.dataset.verify import check_shard, verify
from rssn.errors import DamagedError, InputError, RemoteError
from rssn.storage.location import Location, parse_location

_MADE_BY = {"composites": "rssn compose", "backgrounds": "rssn build-bg20k"}


def open_dataset(place: Location | str, kind: str | None = None, *, finished: bool = False) -> DataSet:
    """Open a data set; a run may still be at work on it.

    ```python
    composites = rssn.open_dataset("s3://bucket/shards")
    print(composites.manifest.totals, len(composites))
    for row in composites.rows(columns=["sample_id", "alpha"]): ...
    ```

    Args:
        place: Where `rssn compose`, `rssn pack` or `rssn build-bg20k` wrote it: a folder, or a URL such as s3://...
        kind: `composites` or `backgrounds`, where only one of them will do.
        finished: Whether its run must have come to its end.

    Raises:
        InputError: If no data set of this version lies there, or it is of another kind, or not finished.
        RemoteError: If a bucket does not answer.
    """
    root = parse_location(place) if isinstance(place, str) else place
    data = DataSet(root)
    manifest = data.manifest
    if kind is not None and manifest.kind != kind:
        raise InputError(f"{root}: a data set of {manifest.kind}, not of {kind}; give what {_MADE_BY[kind]} wrote")
    if finished and not manifest.finished:
        command = f"the same {_MADE_BY.get(manifest.kind, 'command')}"
        raise InputError(f"{root}: its run was interrupted; run {command} again to finish it")
    return data


@dataclass(frozen=True)
class DataSet(DatasetFolder):
    """Rows in marked Parquet shards, what was refused, and the manifest of what they were made from."""

    @cached_property
    def manifest(self) -> Manifest:
        """What it was made from, as it was when this was first asked for.

        Raises:
            InputError: If there is no data set of this version.
        """
        return read_manifest(self.root)

    def __len__(self) -> int:
        """The number of rows."""
        return sum(mark.rows for mark in self.all_marks())

    def __bool__(self) -> bool:
        """One without rows is a data set, too."""
        return True

    @property
    def key(self) -> str:
        """The column that names a row: `background_id` of backgrounds, else `sample_id`."""
        return "background_id" if self.manifest.kind == "backgrounds" else "sample_id"

    def checked_marks(self, prefix: str = "") -> Iterator[Mark]:
        """The marks of shards with rows, in order, each once its shard was compared with it; see `check_shard`.

        Args:
            prefix: What the names of the shards begin with: `train-` or `validation-` of backgrounds; empty: of all.

        Raises:
            DamagedError: If one does not agree, or is missing.
        """
        found = self.found()
        for mark in self.all_marks():
            if not mark.name.startswith(prefix):
                continue
            if problem := check_shard(self, mark, found=found):
                command = _MADE_BY.get(self.manifest.kind, "the command that made it")
                raise DamagedError(f"{self.root}: {problem}; run {command} again, it repairs what is damaged")
            if mark.rows:
                yield mark

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """All rows in order, one row group in memory at a time.

        Args:
            columns: Names to read, see `rssn.dataset.schema`; None reads all. A picture is `{"bytes": ...}`.

        Raises:
            DamagedError: If a shard is not as it was written, or a column is not there.
        """
        for mark in self.all_marks():
            yield from iter_rows(self.data(mark.name), columns)

    def row(self, sample_id: str) -> dict[str, Any]:
        """One row by its name, `<foreground_id>/<k>`, of backgrounds by its `background_id`.

        Raises:
            InputError: If there is none; shards that are damaged are named.
            DamagedError: If it may be in a shard whose mark is lost.
        """
        damaged = []
        for mark in self.marks():
            path = self.data(mark.name)
            try:
                with own_parquet(path) as file:
                    number = file.read(columns=[self.key])[self.key].index(pa.scalar(sample_id)).as_py()
                if number >= 0:
                    return read_row(path, place_of(path, number))
            except RemoteError:
                raise
            except (DamagedError, OSError):
                damaged.append(mark.name)
        self.all_marks()  # raises for a finished set of which one is lost
        words = f"; these shards are damaged, the command that made them makes them again: {', '.join(damaged)}"
        raise InputError(f"{self.root}: no row with the {self.key} {sample_id}{words if damaged else ''}")

    def rejects(self) -> Iterator[Mapping[str, Any]]:
        """What was refused and why: rows with `item_id`, `source`, `stage`, `reason`, `message`.

        What a later batch of composites tried again is not among them.
        """
        for _, _, row in iter_rejects(self.reject_files(), superseded(self.root)):
            yield row

    def verify(self) -> list[str]:
        """Read every file and compare it with its mark: size, rows and sha256.

        Returns:
            What is wrong, a sentence each; nothing where all agrees.
        """
        verified = verify(self)
        missing = missing_rows(self.manifest, verified.marks)
        return [*verified.problems, *([f"{self.manifest_path}: {missing}"] if missing else [])]
