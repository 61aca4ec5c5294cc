"""Parquet and JSON files as this package writes them, and digests of what files hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from rssn.errors import DamagedError, first_line
from rssn.storage.atomic import atomic_path, write_bytes
from rssn.storage.location import Location
from rssn.storage.remote import READ_AHEAD, content, opened

Row: TypeAlias = Mapping[str, Any]

ROW_GROUP_BYTES = 8 << 20
"""A row group closes at about this size, so that a reader can fetch one row without reading a whole shard."""

ROW_GROUP_ROWS = 8192
"""Or at so many rows: they are held as objects until then, and who wants a shard's verdicts reads whole groups."""


class Written(NamedTuple):
    """What a file holds that was written."""

    rows: int
    bytes: int
    sha256: str  # empty where no file was left


def write_parquet(path: Location, schema: pa.Schema, rows: Iterable[Row]) -> Written:
    """Stream rows to a file or an object, see `atomic_path`.

    Without rows none is left. Picture columns are stored as they are: they are compressed already.
    """
    with atomic_path(path) as temporary:
        count = 0
        with pq.ParquetWriter(temporary, schema, compression="none", write_page_checksum=True) as writer:
            for group in _row_groups(rows):
                writer.write_table(pa.Table.from_pylist([dict(row) for row in group], schema=schema))
                count += len(group)
        if not count:
            temporary.unlink()
            path.unlink(missing_ok=True)
            return Written(0, 0, "")
        return Written(count, temporary.stat().st_size, sha256(temporary))


def write_json(path: Location, value: Mapping[str, Any]) -> None:
    """Write JSON, see `atomic_path`."""
    write_bytes(path, (json.dumps(value, indent=2, sort_keys=True, default=str) + "\n").encode())


def parse_json(data: bytes | str) -> Any:
    """What JSON says.

    Raises:
        ValueError: If it is none, or nested so deeply that nobody here wrote it.
    """
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def is_count(value: object) -> bool:
    """Whether what a file holds is a whole number from 0 on, of a size that things have."""
    return type(value) is int and 0 <= value < 1 << 63


def is_time(value: object) -> bool:
    """Likewise a number of seconds, as long as a process may take or since 1970."""
    return type(value) in (int, float) and 0 <= value < 1 << 33  # type: ignore[operator]  # the first half says so


def read_json(path: Location, remedy: str) -> dict[str, Any]:
    """A JSON object that this package wrote.

    Args:
        path: Where it is.
        remedy: What to do where it is damaged, for the message.

    Raises:
        FileNotFoundError: If it is not there.
        DamagedError: If it is none.
    """
    try:
        values = parse_json(content(path))
    except ValueError as error:
        raise DamagedError(f"{path}: damaged, not JSON: {first_line(error)}; {remedy}") from error
    if not isinstance(values, dict):
        raise DamagedError(f"{path}: damaged, or not a file of ours; {remedy}")
    return values


def sha256(path: Location) -> str:
    """Hex digest of a file's content."""
    digest = hashlib.sha256()
    with opened(path, READ_AHEAD) as stream:
        while part := stream.read(READ_AHEAD):
            digest.update(part)
    return digest.hexdigest()


def content_id(*parts: bytes) -> str:
    """A name for bytes that depends on nothing but the bytes: 20 hex digits of sha256."""
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:20]


def list_digest(names: Iterable[str]) -> str:
    """One digest for a list of names, such as content ids, in their order: hex of sha256."""
    digest = hashlib.sha256()
    for number, name in enumerate(names):
        digest.update((f"\n{name}" if number else name).encode())
    return digest.hexdigest()


def _row_groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    size = 0
    for row in rows:
        group.append(row)
        size += sum(len(v["bytes"]) for v in row.values() if isinstance(v, Mapping) and "bytes" in v)
        if size >= ROW_GROUP_BYTES or len(group) >= ROW_GROUP_ROWS:
            yield group
            group, size = [], 0
    if group:
        yield group
