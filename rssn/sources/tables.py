"""Tables of paths, CSV or Parquet: how people who keep their own lists hand us pairs and backgrounds.

The first line of a CSV file names the columns, as the schema does in Parquet; columns that nobody asks for are ignored.
Paths are relative to the table's folder, or absolute.
"""

from __future__ import annotations

import codecs
import csv
import io
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from rssn.errors import InputError, Rejected, first_line
from rssn.sources.folder_walk import Problem
from rssn.sources.matting import Pair
from rssn.storage.remote import content, parquet

TABLE = "table"
"""The name of the layout, for `--matting-format`."""

_SUFFIXES = (".csv", ".parquet")
_ALIASES = {"license": "licence"}
_PAIR_COLUMNS = ("image", "alpha", "foreground", "licence", "name")
_BYTE_ORDERS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True)
class TableRow:
    """One row: text by column, an empty text where there is nothing."""

    table: Path
    number: int  # from 1, the header not counted
    cells: dict[str, str]
    surplus: int = 0  # cells beyond the last column

    @property
    def label(self) -> str:
        """`pairs.csv, row 3`."""
        return f"{self.table.name}, row {self.number}"

    def text(self, column: str) -> str:
        """A cell, or an empty text where the table has no such column."""
        return self.cells.get(column, "")

    def file(self, column: str) -> Path:
        """The file that a cell names.

        Raises:
            Rejected: stage `pair`: `surplus_cells`, `missing_value`, `missing_file` or `unreadable`.
        """
        if self.surplus:
            words = f"{self.surplus} more cells than columns; put quotes around a path that holds a comma"
            raise Rejected("pair", "surplus_cells", words)
        if not self.text(column):
            raise Rejected("pair", "missing_value", f"the column {column} is empty")
        path = self.table.parent / self.text(column)
        forms = [path, *(self.table.parent / unicodedata.normalize(form, self.text(column)) for form in ("NFC", "NFD"))]
        try:
            found = next((one for one in forms if one.is_file()), None)
        except OSError as error:
            raise Rejected("pair", "unreadable", f"{column}: {path}: {error.strerror}") from error
        if found is None:
            what = "a folder, a pipe or a device, not a file" if path.exists() else "no such file"
            raise Rejected("pair", "missing_file", f"{column}: {path}: {what}")
        return found


@dataclass(frozen=True)
class Table:
    """The columns that a table has, and its rows with those that were asked for."""

    path: Path
    columns: tuple[str, ...]
    rows: list[TableRow]


def is_table(path: Path) -> bool:
    """Whether a path is a file that is named like a table."""
    return path.suffix.lower() in _SUFFIXES and path.is_file()


def table_pairs(path: Path) -> tuple[list[Pair], list[Problem]]:
    """The pairs of a table with the columns `alpha`, `image` or `foreground` or both, and perhaps `licence` and `name`.

    A row may leave `image` or `foreground` empty, not both. A row whose alpha is the same file as its image or
    foreground takes that file's alpha channel. A row that cannot be used is a problem: `missing_value`, `missing_file`,
    `unreadable` or `surplus_cells`.

    Raises:
        InputError: If the file is no such table, or has not one row that can be used.
    """
    table = read_table(path, _PAIR_COLUMNS)
    if "alpha" not in table.columns or not {"image", "foreground"} & set(table.columns):
        needed = "a table of pairs needs the columns alpha and image or foreground"
        raise InputError(f"{path}: {needed}; it has {', '.join(table.columns)}")
    pairs: list[Pair] = []
    problems: list[Problem] = []
    for row in table.rows:
        try:
            pairs.append(_pair(row))
        except Rejected as error:
            problems.append(Problem(row.label, error.reason, error.message))
    if not pairs:
        raise InputError(f"{path}: {nothing_usable(problems)}")
    return pairs, problems


def nothing_usable(problems: Sequence[Problem]) -> str:
    """Why a table gives nothing, in words."""
    if not problems:
        return "the table has no rows"
    return f"none of its {len(problems)} rows can be used; {problems[0].source}: {problems[0].message}"


def read_table(path: Path, columns: Sequence[str]) -> Table:
    """Read the text columns of a CSV or Parquet file.

    CSV files are UTF-8, with or without a byte order mark, or UTF-16 with one; comma separated, cells that hold commas,
    quotes or line ends in double quotes. Blank lines do not count; `license` is read as `licence`.

    Args:
        path: The table.
        columns: Those to read, of which the table may lack any.

    Raises:
        InputError: If the file cannot be read as such a table, or names a column twice.
    """
    if path.suffix.lower() == ".csv":
        return _read_csv(path, columns)
    schema = read_parquet_schema(path)
    names = column_names(path, schema.names)
    wanted = {name: column for name, column in zip(names, schema.names, strict=True) if name in columns}
    for name, column in wanted.items():
        if not _is_text(schema.field(column).type):
            raise InputError(f"{path}: the column {name} holds {schema.field(column).type}, not text")
    rows = [
        TableRow(path, number, {name: (row[column] or "").strip() for name, column in wanted.items()})
        for number, row in enumerate(_read_parquet(path, list(wanted.values())), 1)
    ]
    return Table(path, tuple(names), rows)


def read_parquet_schema(path: Path) -> pa.Schema:
    """The columns of a Parquet file.

    Raises:
        InputError: If it is none.
    """
    try:
        with parquet(path) as file:
            return file.schema_arrow
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a Parquet file: {first_line(error)}") from error


def _read_parquet(path: Path, columns: list[str]) -> list[dict[str, Any]]:
    try:
        with parquet(path) as file:
            rows: list[dict[str, Any]] = file.read(columns=columns).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: the table is damaged: {first_line(error)}") from error
    return rows


def _pair(row: TableRow) -> Pair:
    image, foreground = (row.file(column) if row.text(column) else None for column in ("image", "foreground"))
    alpha = row.file("alpha")
    named = Path(row.text("image") or row.text("foreground"))
    if image is None and foreground is None:
        raise Rejected("pair", "missing_value", "the columns image and foreground are both empty")
    name = row.text("name") or named.with_suffix("").as_posix()
    return Pair(name, image, alpha, foreground, named.as_posix(), row.text("licence"), row.label)


def _read_csv(path: Path, columns: Sequence[str]) -> Table:
    reader = csv.reader(io.StringIO(_decode(path), newline=""), strict=True, skipinitialspace=True)
    try:
        lines = [cells for line in reader if (cells := [cell.strip() for cell in line]) not in ([], [""])]
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num} is not CSV: {error}") from error
    if not lines:
        raise InputError(f"{path}: the table is empty; its first line has to name the columns")
    names = column_names(path, lines[0])
    rows = []
    for number, line in enumerate(lines[1:], 1):
        wanted = {name: text for name, text in zip(names, line, strict=False) if name in columns}
        rows.append(TableRow(path, number, wanted, surplus=max(0, len(line) - len(names))))
    return Table(path, tuple(names), rows)


def _decode(path: Path) -> str:
    try:
        data = content(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    encoding = next((name for mark, name in _BYTE_ORDERS.items() if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(f"{path}: line {line} is not {encoding.upper()}; save the table as UTF-8") from error


def column_names(path: Path, names: Iterable[str]) -> list[str]:
    """Names as we look for them: without blanks around them, `license` as `licence`.

    Raises:
        InputError: If a name occurs twice.
    """
    found = [_ALIASES.get(name.strip(), name.strip()) for name in names]
    twice = sorted(name for name, count in Counter(found).items() if count > 1)
    if twice:
        raise InputError(f"{path}: the column {twice[0]} occurs twice")
    return found


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind))
