"""Reading rows back: in order, or one at a time by its place in a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rssn.remote import parquet


def read_footer(path: Path) -> pq.FileMetaData:
    """The footer of a Parquet file."""
    with parquet(path) as file:
        return file.metadata


def is_parquet(path: Path) -> bool:
    """Whether a file is Parquet, by its footer."""
    try:
        read_footer(path)
    except (pa.ArrowInvalid, OSError):
        return False
    return True


def iter_rows(path: Path, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file, one row group in memory at a time.

    Args:
        path: The file. One that does not exist has no rows: a shard without rows or rejects leaves no file.
        columns: Names to read; None reads all.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(parquet(path))
        except FileNotFoundError:
            return
        for group in range(file.num_row_groups):
            yield from file.read_row_group(group, columns=columns).to_pylist()


def read_row(path: Path, place: tuple[int, int], columns: Sequence[str] | None = None) -> dict[str, Any]:
    """One row by its place: the row group and the row's number inside it."""
    group, number = place
    with parquet(path) as file:
        row: dict[str, Any] = file.read_row_group(group, columns=columns).slice(number, 1).to_pylist()[0]
    return row


def places(path: Path) -> Iterator[tuple[int, int]]:
    """The place of each row of a file, in order; reads the footer only."""
    metadata = read_footer(path)
    for group in range(metadata.num_row_groups):
        yield from ((group, number) for number in range(metadata.row_group(group).num_rows))


def place_of(path: Path, number: int) -> tuple[int, int]:
    """The place of the `number`-th row of a file, counted from 0; reads the footer only."""
    metadata = read_footer(path)
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if number < rows:
            return group, number
        number -= rows
    raise IndexError(f"{path} has only {metadata.num_rows} rows")


def read_range(path: Path, start: int, stop: int) -> list[dict[str, Any]]:
    """The rows `start` to `stop - 1` of a file; reads the row groups that hold them only."""
    rows: list[dict[str, Any]] = []
    with parquet(path) as file:
        before = 0
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            first, last = max(start - before, 0), min(stop - before, count)
            if first < last:
                rows += file.read_row_group(group).slice(first, last - first).to_pylist()
            before += count
    return rows
