"""Files that are there whole or not at all, and names for what they hold."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from rssn.errors import DamagedError, first_line
from rssn.storage.remote import READ_AHEAD, content, opened

Row: TypeAlias = Mapping[str, Any]


_NO_FOLDERS = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES})
"""What file systems say that cannot flush a folder; the file itself is flushed by then."""

ROW_GROUP_BYTES = 8 << 20
"""A row group closes at about this size, so that a reader can fetch one row without reading a whole shard."""

ROW_GROUP_ROWS = 8192
"""Or at so many rows: they are held as objects until then, and who wants a shard's verdicts reads whole groups."""


def write_parquet(path: Path, schema: pa.Schema, rows: Iterable[Row]) -> int:
    """Stream rows to a temporary file beside `path`, flush, rename; returns their count.

    Without rows no file is left. Picture columns are stored as they are: they are compressed already.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        count = 0
        with pq.ParquetWriter(temporary, schema, compression="none", write_page_checksum=True) as writer:
            for group in _row_groups(rows):
                writer.write_table(pa.Table.from_pylist([dict(row) for row in group], schema=schema))
                count += len(group)
        if count:
            _publish(temporary, path)
        else:
            path.unlink(missing_ok=True)
        return count
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON so that a reader sees the old file or the whole new one, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True, default=str) + "\n", encoding="utf-8")
        _publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that a kill leaves out rather than half-written; its folder is made, its next writer tidies up."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)


def sweep(folder: Path, *names: str) -> None:
    """Remove what killed writers of files of these names left behind; call it only while nobody else writes there."""
    for name in names:
        for path in folder.glob(f".{name}.*.tmp"):
            path.unlink(missing_ok=True)


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


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """A JSON object that this package wrote.

    Args:
        path: The file, or see `rssn.storage.urls`.
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


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    digest = hashlib.sha256()
    with opened(path, READ_AHEAD) as stream:
        while part := stream.read(READ_AHEAD):
            digest.update(part)
    return digest.hexdigest()


def content_id(*parts: bytes) -> str:
    """A name for bytes that depends on nothing but the bytes: 20 hex digits of sha256."""
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:20]


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


def _publish(temporary: Path, path: Path) -> None:
    """Flush a finished temporary file and give it its name, durably."""
    with temporary.open("rb") as stream:
        os.fsync(stream.fileno())
    temporary.replace(path)
    try:
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        if error.errno not in _NO_FOLDERS:
            raise
