"""Tables, CSV or Parquet: how people who keep their own lists, or get one from Hugging Face, hand us pictures.

A table of paths names files: the first line of a CSV file names the columns, as the schema does in Parquet; columns
that nobody asks for are ignored. Paths are relative to the table's folder, or absolute, or URLs of objects. A Parquet
table may hold the pictures themselves, see `rssn.sources.embedded`.
"""

from __future__ import annotations

import codecs
import csv
import io
import posixpath
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from rssn.errors import InputError, Rejected, RemoteError, first_line
from rssn.sources.embedded import column_names, read_parquet_schema
from rssn.sources.folder_walk import Problem
from rssn.sources.picture_ref import PictureRef
from rssn.storage.buckets import FileFacts
from rssn.storage.location import BucketPath, Location, parse_location
from rssn.storage.remote import content, list_files, parquet
from rssn.storage.urls import is_url

_SUFFIXES = (".csv", ".parquet")
_BYTE_ORDERS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


class _Neighbours:
    """The files that the cells of a table name; of a table in a bucket its folder is listed, once."""

    def __init__(self, table: Location) -> None:
        self._folder = table.parent

    def find(self, column: str, text: str) -> PictureRef:
        """The file or object that a cell names; whether one is there that another URL names, is seen when it is read.

        Raises:
            Rejected: stage `pair`, reason `missing_file` or `unreadable`.
        """
        try:
            if is_url(text):
                return PictureRef.of(parse_location(text))
            folder = self._folder
            return self._object(folder, column, text) if isinstance(folder, BucketPath) else _file(folder, column, text)
        except InputError as error:
            raise Rejected("pair", "missing_file", f"{column}: {error}") from error

    def _object(self, folder: BucketPath, column: str, text: str) -> PictureRef:
        for form in _forms(text):
            name = posixpath.normpath(form)
            if name in self._listed:
                facts = self._listed[name]
                return PictureRef(str(folder / name), size=facts.size, stamp=str(facts.written_ns))
        bucket, _, key = str(folder).partition("://")[2].partition("/")
        name = posixpath.normpath(posixpath.join(key, text))
        if name.startswith(("/", "..")) or posixpath.join(name, "").startswith(posixpath.join(key, "")):
            raise Rejected("pair", "missing_file", f"{column}: {text}: no such object in {folder}")
        return PictureRef.of(parse_location(f"{str(folder).partition('://')[0]}://{bucket}/{name}"))

    @cached_property
    def _listed(self) -> Mapping[str, FileFacts]:
        return list_files(self._folder)


@dataclass(frozen=True)
class TableRow:
    """One row: text by column, an empty text where there is nothing."""

    table: Location
    number: int  # from 1, the header not counted
    cells: dict[str, str]
    neighbours: _Neighbours
    surplus: int = 0  # cells beyond the last column

    @property
    def label(self) -> str:
        """`pairs.csv, row 3`."""
        return f"{self.table.name}, row {self.number}"

    def text(self, column: str) -> str:
        """A cell, or an empty text where the table has no such column."""
        return self.cells.get(column, "")

    def picture(self, column: str) -> PictureRef:
        """The file or object that a cell names.

        Raises:
            Rejected: stage `pair`: `surplus_cells`, `missing_value`, `missing_file` or `unreadable`.
        """
        if self.surplus:
            words = f"{self.surplus} more cells than columns; put quotes around a path that holds a comma"
            raise Rejected("pair", "surplus_cells", words)
        if not self.text(column):
            raise Rejected("pair", "missing_value", f"the column {column} is empty")
        return self.neighbours.find(column, self.text(column))

    def name_of(self, column: str) -> str:
        """What a cell names, as it is written: a path, or a URL."""
        text = self.text(column)
        return text if is_url(text) else Path(text).as_posix()


@dataclass(frozen=True)
class Table:
    """The columns that a table has, and its rows with those that were asked for."""

    path: Location
    columns: tuple[str, ...]
    rows: list[TableRow]


def is_table(path: Location) -> bool:
    """Whether a path is a file that is named like a table; of an object its name is believed."""
    return path.suffix.lower() in _SUFFIXES and (isinstance(path, BucketPath) or path.is_file())


def nothing_usable(problems: Sequence[Problem]) -> str:
    """Why a table gives nothing, in words."""
    if not problems:
        return "the table has no rows"
    return f"none of its {len(problems)} rows can be used; {problems[0].source}: {problems[0].message}"


def read_table(path: Location, columns: Sequence[str]) -> Table:
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
    schema, neighbours = read_parquet_schema(path), _Neighbours(path)
    names = column_names(path, schema.names)
    wanted = {name: column for name, column in zip(names, schema.names, strict=True) if name in columns}
    for name, column in wanted.items():
        if not _is_text(schema.field(column).type):
            raise InputError(f"{path}: the column {name} holds {schema.field(column).type}, not text")
    rows = [
        TableRow(path, number, {name: (row[column] or "").strip() for name, column in wanted.items()}, neighbours)
        for number, row in enumerate(_read_parquet(path, list(wanted.values())), 1)
    ]
    return Table(path, tuple(names), rows)


def _file(folder: Path, column: str, text: str) -> PictureRef:
    path = folder / text
    try:
        found = next((one for form in _forms(text) if (one := folder / form).is_file()), None)
    except OSError as error:
        raise Rejected("pair", "unreadable", f"{column}: {path}: {error.strerror}") from error
    if found is None:
        what = "a folder, a pipe or a device, not a file" if path.exists() else "no such file"
        raise Rejected("pair", "missing_file", f"{column}: {path}: {what}")
    return PictureRef.of(found)


def _forms(text: str) -> tuple[str, ...]:
    """A name as it is written, and with its accents as one system or the other writes them."""
    return (text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD")))


def _read_parquet(path: Location, columns: list[str]) -> list[dict[str, Any]]:
    try:
        with parquet(path) as file:
            rows: list[dict[str, Any]] = file.read(columns=columns).to_pylist()
    except RemoteError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: the table is damaged: {first_line(error)}") from error
    return rows


def _read_csv(path: Location, columns: Sequence[str]) -> Table:
    reader = csv.reader(io.StringIO(_decode(path), newline=""), strict=True, skipinitialspace=True)
    try:
        lines = [cells for line in reader if (cells := [cell.strip() for cell in line]) not in ([], [""])]
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num} is not CSV: {error}") from error
    if not lines:
        raise InputError(f"{path}: the table is empty; its first line has to name the columns")
    names, neighbours = column_names(path, lines[0]), _Neighbours(path)
    rows = []
    for number, line in enumerate(lines[1:], 1):
        wanted = {name: text for name, text in zip(names, line, strict=False) if name in columns}
        rows.append(TableRow(path, number, wanted, neighbours, surplus=max(0, len(line) - len(names))))
    return Table(path, tuple(names), rows)


def _decode(path: Location) -> str:
    try:
        data = content(path)
    except RemoteError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    encoding = next((name for mark, name in _BYTE_ORDERS.items() if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(f"{path}: line {line} is not {encoding.upper()}; save the table as UTF-8") from error


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind))
