"""Shards where they lie: in a local folder, or at any URL that fsspec knows (s3://, gs://, https://, memory://)."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rssn.dataset.manifest import parse_manifest
from rssn.dataset.shards import Mark, missing_rows, parse_mark
from rssn.errors import InputError
from rssn.storage.buckets import translate_errors
from rssn.storage.files import content_id
from rssn.storage.remote import parquet
from rssn.storage.stores import STORES, store
from rssn.storage.urls import checked_url, scrub

_AGAIN = "run `rssn compose` again, it repairs what is damaged"


@dataclass(frozen=True)
class Location:
    """Where a row is stored."""

    path: str
    group: int
    row: int


@dataclass(frozen=True)
class StoredSet:
    """The rows of one data set, and a name for its content."""

    root: str
    locations: list[Location]
    digest: str
    sizes: list[tuple[int, int]]  # shorter and longer side of the pictures, px; one of each row group

    @property
    def groups(self) -> tuple[int, ...]:
        """Rows of each row group, in order."""
        starts = [number for number, place in enumerate(self.locations) if place.row == 0]
        return tuple(stop - start for start, stop in pairwise([*starts, len(self.locations)]))


def open_set(root: str, columns: tuple[str, ...]) -> StoredSet:
    """Find every row of every marked shard, from marks and footers alone.

    Args:
        root: A folder or URL that `rssn compose` or `rssn pack` wrote.
        columns: Those that a shard must have, beside `width` and `height`.

    Raises:
        InputError: If it is no finished data set, or a shard is not what its mark says.
        RemoteError: If a bucket does not answer.
    """
    storage, path = _storage(root)
    with translate_errors(root):
        marks = [mark for mark in _marks(storage, path, root) if mark.rows]
    locations: list[Location] = []
    sizes: list[tuple[int, int]] = []
    for mark in marks:
        path, footer = _footer(root, mark, columns)
        groups = range(footer.num_row_groups)
        locations += [Location(path, each, row) for each in groups for row in range(footer.row_group(each).num_rows)]
        sizes += _sizes(path, footer)
    if not locations:
        raise InputError(f"--data {root}: its shards hold no rows")
    return StoredSet(root, locations, content_id(*(mark.sha256.encode() for mark in marks)), sizes)


def read_group(place: Location, columns: list[str]) -> pa.Table:
    """The row group of a row."""
    with _parquet(place.path) as file:
        return file.read_row_group(place.group, columns=columns)


def _storage(root: str) -> tuple[Any, str]:
    import fsspec  # noqa: PLC0415  (those who use no bucket do not pay for it)

    if root.partition("://")[0] in STORES:
        url = checked_url(root)
        return store(url), url.partition("://")[2]
    try:
        storage, path = fsspec.core.url_to_fs(root)
    except (ValueError, ImportError, OSError) as error:
        raise InputError(f"--data {root}: cannot be opened: {scrub(str(error))}") from error
    return storage, path


def _marks(storage: Any, path: str, root: str) -> list[Mark]:
    if not storage.isdir(path):
        raise InputError(f"--data {root}: no such folder; `rssn compose` makes one")
    if not storage.isfile(posixpath.join(path, "manifest.json")):
        raise InputError(f"--data {root}: no manifest.json; give the folder that `rssn compose` wrote")
    try:
        manifest = parse_manifest(storage.cat_file(posixpath.join(path, "manifest.json")))
    except ValueError as error:
        raise InputError(f"--data {root}: manifest.json: {error}; compose it again, with another --out") from error
    names = sorted(storage.glob(posixpath.join(path, "marks", "*.json")))
    plan = manifest.plan_digest
    read = (parse_mark(storage.cat_file(name), posixpath.basename(name).removesuffix(".json"), plan) for name in names)
    found = [mark for mark in read if mark]
    if not found:
        raise InputError(f"--data {root}: no finished shard (no mark of its plan in marks/); run `rssn compose` again")
    if missing := missing_rows(manifest, found):
        raise InputError(f"--data {root}: {missing}; {_AGAIN}")
    return found


def _footer(root: str, mark: Mark, columns: tuple[str, ...]) -> tuple[str, pq.FileMetaData]:
    """The path and footer of a shard, if size, row count and columns are what its mark and the contract say."""
    path = posixpath.join(root, "data", f"{mark.name}.parquet")
    storage, inside = _storage(path)
    try:
        size = storage.size(inside)
        with _parquet(path) as file:
            footer = file.metadata
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: its mark says it is finished, but it cannot be read: {_AGAIN}") from error
    if size != mark.bytes or footer.num_rows != mark.rows:
        found = f"{size} bytes and {footer.num_rows} rows, its mark says {mark.bytes} and {mark.rows}"
        raise InputError(f"{path}: {found}; {_AGAIN}")
    missing = {*columns, "width", "height"} - set(footer.schema.to_arrow_schema().names)
    if missing:
        raise InputError(f"{path}: no column {', '.join(sorted(missing))}; training needs composites, not backgrounds")
    return path, footer


def _sizes(path: str, footer: pq.FileMetaData) -> list[tuple[int, int]]:
    """Shorter and longer side of the pictures of each row group, px, by the statistics of its columns."""
    places = {footer.schema.column(place).path: place for place in range(footer.num_columns)}
    found = []
    for group in map(footer.row_group, range(footer.num_row_groups)):
        sides = [group.column(places[name]).statistics for name in ("width", "height")]
        if not all(side is not None and side.has_min_max for side in sides):
            raise InputError(f"{path}: no statistics of width and height; compose it again, with another --out")
        found.append((min(side.min for side in sides), max(side.max for side in sides)))
    return found


@contextmanager
def _parquet(path: str) -> Iterator[pq.ParquetFile]:
    if "://" not in path or path.partition("://")[0] in STORES:
        with parquet(Path(path)) as file:
            yield file
        return
    storage, inside = _storage(path)
    with storage.open(inside, "rb") as stream, pq.ParquetFile(stream, pre_buffer=True) as file:
        yield file
