"""Reading rows of files that this package wrote: in order, or one at a time by its place in a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rssn.errors import DamagedError, RemoteError, first_line
from rssn.storage.location import Location
from rssn.storage.remote import parquet

_REMEDY = "run the command that made the data set again, it repairs what is damaged"


@contextmanager
def own_parquet(path: Location) -> Iterator[pq.ParquetFile]:
    """A Parquet file that this package wrote; each page that is read is compared with its checksum.

    Raises:
        FileNotFoundError: If it is not there.
        DamagedError: If it, or what is read of it meanwhile, is not as it was written.
    """
    try:
        with parquet(path, checked=True) as file:
            yield file
    except RemoteError:
        raise
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's, not the file's
            raise
        raise DamagedError(f"{path}: damaged, no longer what was written ({first_line(error)}); {_REMEDY}") from error


def read_footer(path: Location) -> pq.FileMetaData:
    """The footer of a Parquet file; see `own_parquet` for what it raises, as for all that follow."""
    with own_parquet(path) as file:
        return file.metadata


def damage(path: Location) -> str | None:
    """What is wrong with a file that no mark vouches for, in words, or None; all of it is read."""
    try:
        for _ in iter_rows(path):
            pass
    except DamagedError as error:
        return str(error)
    return None


def iter_rows(path: Location, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file, one row group in memory at a time.

    Args:
        path: The file. One that does not exist has no rows: a shard without rows or rejects leaves no file.
        columns: Names to read; None reads all.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(own_parquet(path))
        except FileNotFoundError:
            return
        _refuse_without(file, path, columns)
        for group in range(file.num_row_groups):
            yield from file.read_row_group(group, columns=columns).to_pylist()


def read_row(path: Location, place: tuple[int, int], columns: Sequence[str] | None = None) -> dict[str, Any]:
    """One row by its place: the row group and the row's number inside it."""
    group, number = place
    with own_parquet(path) as file:
        row: dict[str, Any] = file.read_row_group(group, columns=columns).slice(number, 1).to_pylist()[0]
    return row


def _refuse_without(file: pq.ParquetFile, path: Location, columns: Sequence[str] | None) -> None:
    """Reading a column that is not there would give rows without it, and say nothing."""
    found = file.schema_arrow.names
    missing = [name for name in columns or () if name.partition(".")[0] not in found]
    if missing:
        raise DamagedError(f"{path}: no column {missing[0]}: damaged, or made by an earlier version; {_REMEDY}")


def places(path: Location) -> Iterator[tuple[int, int]]:
    """The place of each row of a file, in order; reads the footer only."""
    return places_in(read_footer(path))


def places_in(metadata: pq.FileMetaData) -> Iterator[tuple[int, int]]:
    """Likewise, of a file whose footer is read."""
    for group in range(metadata.num_row_groups):
        yield from ((group, number) for number in range(metadata.row_group(group).num_rows))


def place_of(path: Location, number: int) -> tuple[int, int]:
    """The place of the `number`-th row of a file, counted from 0; reads the footer only."""
    metadata = read_footer(path)
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if number < rows:
            return group, number
        number -= rows
    raise IndexError(f"{path} has only {metadata.num_rows} rows")


def read_range(path: Location, start: int, stop: int) -> list[dict[str, Any]]:
    """The rows `start` to `stop - 1` of a file; reads the row groups that hold them only."""
    rows: list[dict[str, Any]] = []
    with own_parquet(path) as file:
        before = 0
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            first, last = max(start - before, 0), min(stop - before, count)
            if first < last:
                rows += file.read_row_group(group).slice(first, last - first).to_pylist()
            before += count
    return rows
