"""Parquet tables that hold the pictures themselves, in columns of bytes.

A column is `struct<bytes, path>`, as Hugging Face writes it, or plain binary. Light columns are streamed without the
pictures, and a picture is read with those before it in its row group, so small row groups are better.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rssn.dataset.rows import places
from rssn.errors import InputError, Rejected, RemoteError, first_line
from rssn.storage.location import Location
from rssn.storage.remote import opened, parquet, written_lately

PICTURES = ("image", "bytes")
"""The columns that hold the photographs of a crawl, or backgrounds; one of them."""

_ALIASES = {"license": "licence"}
_LIGHT_ROWS = 4096
_PICTURES_AT_A_TIME = 4
_BUFFER = 1 << 20  # bytes of a column that are read at a time


def read_parquet_schema(path: Location) -> pa.Schema:
    """The columns of a Parquet file.

    Raises:
        InputError: If it is none.
        RemoteError: If the bucket does not give it.
    """
    try:
        with parquet(path) as file:
            return file.schema_arrow
    except RemoteError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a Parquet file: {first_line(error)}") from error


def column_names(path: Location, names: Iterable[str]) -> list[str]:
    """Names as we look for them: without blanks around them, `license` as `licence`.

    Raises:
        InputError: If a name occurs twice.
    """
    found = [_ALIASES.get(name.strip(), name.strip()) for name in names]
    twice = sorted(name for name, count in Counter(found).items() if count > 1)
    if twice:
        raise InputError(f"{path}: the column {twice[0]} occurs twice")
    return found


def picture_columns(table: Location) -> dict[str, str]:
    """The columns that hold pictures, and what Parquet calls their bytes; none where the file is no Parquet by name.

    Raises:
        InputError: If it is no Parquet file, or names a column twice.
    """
    if table.suffix.lower() != ".parquet":
        return {}
    schema = read_parquet_schema(table)
    names = column_names(table, schema.names)
    found = {name: _bytes_of(field) for name, field in zip(names, schema, strict=True)}
    return {name: column for name, column in found.items() if column}


def one_of(table: Location, found: Mapping[str, str], names: Sequence[str], what: str) -> str:
    """What Parquet calls the one column of pictures that has one of some names; empty where none has.

    Raises:
        InputError: If more than one has.
    """
    held = [name for name in names if name in found]
    if len(held) > 1:
        words = f"the columns {' and '.join(held)} both hold pictures that can be the {what}"
        raise InputError(f"{table}: {words}; give a table with one of them")
    return found[held[0]] if held else ""


def embedded_rows(
    table: Location, columns: Sequence[str], batch: int = _LIGHT_ROWS
) -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
    """Place (row group, row in it) and light cells of every row, in order; a batch of rows is in memory.

    Args:
        table: The Parquet file.
        columns: Names as `column_names` gives them, or `image.path` of a struct; those that the
            table lacks are left out.
        batch: Rows read at a time.

    Raises:
        InputError: If the table is damaged.
    """
    schema = read_parquet_schema(table)
    actual = dict(zip(column_names(table, schema.names), schema.names, strict=True))
    wanted = {name: _leaf(schema, actual, name) for name in columns}
    leaves = [leaf for leaf in wanted.values() if leaf]
    where = places(table)
    if not leaves:
        yield from ((place, {}) for place in where)
        return
    try:
        with parquet(table) as file:
            for part in file.iter_batches(batch_size=batch, columns=leaves):
                for row in part.to_pylist():
                    yield next(where), {name: _cell(row, leaf) for name, leaf in wanted.items() if leaf}
    except RemoteError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{table}: the table is damaged: {first_line(error)}") from error


def cell_text(cell: Any) -> str:
    """A cell as text, empty where it is null."""
    return "" if cell is None else str(cell)


def read_cell(table: Location, column: str, place: tuple[int, int], max_bytes: int) -> bytes:
    """The bytes of a picture in a table; pages that have a checksum are compared with it.

    Args:
        table: The Parquet file.
        column: As `picture_columns` gives it.
        place: Row group, and the row in it.
        max_bytes: More are refused.

    Raises:
        Rejected: stage `read`, reason `unreadable`, `too_many_bytes` or `empty`: the cell holds none.
    """
    try:
        data = _opened(table, column).read(*place)
    except (OSError, pa.ArrowException, LookupError, ValueError) as error:
        raise Rejected("read", "unreadable", f"{table}: {first_line(error)}") from error
    if data is None:
        raise Rejected("read", "empty", "the row has no picture")
    if len(data) > max_bytes:
        raise Rejected("read", "too_many_bytes", f"{len(data)} bytes; the limit is {max_bytes}")
    return data


def read_beside(table: Location, column: str, place: tuple[int, int], name: str) -> str:
    """A text in the row of a picture; empty where there is none.

    Args:
        table: The Parquet file.
        column: The picture's, of which the file is held open.
        place: Row group, and the row in it.
        name: The text's column.

    Raises:
        Rejected: stage `read`, reason `unreadable`: the bucket does not give it.
    """
    try:
        return _opened(table, column).text(*place, name)
    except RemoteError as error:
        raise Rejected("read", "unreadable", str(error)) from error
    except (OSError, pa.ArrowException, LookupError, ValueError):
        return ""


def _opened(table: Location, column: str) -> _Column:
    return _column(table, column, written_lately(table))


class _Column:
    """A column of pictures at the place where it was last read; the rows that follow are read on from there."""

    def __init__(self, table: Location, column: str) -> None:
        stream = table if isinstance(table, Path) else opened(table)
        self._file = pq.ParquetFile(stream, buffer_size=_BUFFER, page_checksum_verification=True)
        self._column = column
        self._lock = Lock()  # Parquet's reader is one thread's at a time
        self._group, self._next = -1, 0
        self._cells: Iterator[pa.Scalar] = iter(())

    def read(self, group: int, row: int) -> bytes | None:
        with self._lock:
            return self._read(group, row)

    def text(self, group: int, row: int, name: str) -> str:
        with self._lock:
            return cell_text(self._file.read_row_group(group, columns=[name]).column(name)[row].as_py())

    def _read(self, group: int, row: int) -> bytes | None:
        if group != self._group or row < self._next:
            self._group, self._next, self._cells = group, 0, self._read_group(group)
        try:
            for cell in self._cells:
                self._next += 1
                if self._next > row:
                    return _picture(cell.as_py())
        except BaseException:
            self._group = -1  # what broke off does not go on
            raise
        raise LookupError("the row is gone")

    def _read_group(self, group: int) -> Iterator[pa.Scalar]:
        if not 0 <= group < self._file.num_row_groups:
            raise LookupError("the row is gone")
        parts = self._file.iter_batches(_PICTURES_AT_A_TIME, row_groups=[group], columns=[self._column])
        for part in parts:
            if not part.num_columns:
                raise LookupError(f"the column {self._column} is gone")
            yield from part.column(0)


@lru_cache(maxsize=4)  # photograph, F and matte of a foreground, and a background
def _column(table: Location, column: str, _written_ns: int) -> _Column:
    return _Column(table, column)


def _picture(cell: Any) -> bytes | None:
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    return None if data is None else bytes(data)


def _bytes_of(field: pa.Field) -> str:
    kind, name = field.type, field.name
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind, name = kind.field("bytes").type, f"{name}.bytes"
    return name if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) else ""


def _leaf(schema: pa.Schema, actual: Mapping[str, str], name: str) -> str:
    """What Parquet calls a column, or a field of a struct; empty where the table lacks it."""
    column, _, part = name.partition(".")
    if column not in actual:
        return ""
    kind = schema.field(actual[column]).type
    if part:
        return f"{actual[column]}.{part}" if pa.types.is_struct(kind) and kind.get_field_index(part) >= 0 else ""
    return actual[column]


def _cell(row: Mapping[str, Any], leaf: str) -> Any:
    if leaf in row:
        return row[leaf]
    column, _, part = leaf.rpartition(".")
    return (row[column] or {}).get(part)
