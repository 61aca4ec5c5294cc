"""Parquet tables that hold the pictures themselves, in a column of bytes.

The column is `struct<bytes, ...>`, as Hugging Face writes it, or plain binary. Light columns are streamed without the
pictures, and pictures a few at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from rssn.dataset.rows import places
from rssn.errors import InputError, Rejected, first_line
from rssn.sources.tables import column_names, read_parquet_schema
from rssn.storage.remote import parquet

_ROWS_AT_A_TIME = 16


def picture_column(table: Path, names: Sequence[str]) -> str | None:
    """The first of some columns that holds pictures; None where none does, or the table is no Parquet file by name.

    Raises:
        InputError: If the file is no Parquet file.
    """
    if table.suffix.lower() != ".parquet":
        return None
    schema = read_parquet_schema(table)
    return next((name for name in names if name in schema.names and _is_binary(schema.field(name).type)), None)


def embedded_rows(
    table: Path, columns: tuple[str, ...], batch: int = _ROWS_AT_A_TIME, first_group: int = 0
) -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
    """Place (row group, row in it) and cells of every row, in order; a batch of rows is in memory.

    Args:
        table: The Parquet file.
        columns: Names as `rssn.sources.tables.column_names` gives them; those that the table lacks are left out.
        batch: Rows read at a time.
        first_group: The row group to begin with.

    Raises:
        InputError: If the table is damaged.
    """
    actual = read_parquet_schema(table).names
    names = dict(zip(actual, column_names(table, actual), strict=True))
    wanted = [column for column, name in names.items() if name in columns]
    where = (place for place in places(table) if place[0] >= first_group)
    if not wanted:
        yield from ((place, {}) for place in where)
        return
    try:
        with parquet(table) as file:
            groups = range(first_group, file.num_row_groups)
            for part in file.iter_batches(batch_size=batch, row_groups=list(groups), columns=wanted):
                for row in part.to_pylist():
                    yield next(where), {names[column]: cell for column, cell in row.items()}
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{table}: the table is damaged: {first_line(error)}") from error


def picture_bytes(cell: Any) -> bytes:
    """The bytes in a cell of a picture column.

    Raises:
        Rejected: stage `read`, reason `empty`, where the cell holds none.
    """
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if data is None:
        raise Rejected("read", "empty", "the row has no picture")
    return bytes(data)


def cell_text(cell: Any) -> str:
    """A cell as text, empty where it is null."""
    return "" if cell is None else str(cell)


def _is_binary(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        kind = kind.field("bytes").type if kind.get_field_index("bytes") >= 0 else pa.null()
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
