"""Photographs as a crawl brings them: a folder with all below it, archives in it or alone, or a table.

Listing streams: a folder takes no memory, an archive or a table of paths that of its names' hashes. A place says where
the bytes of one photograph are; what cannot be read is a place too, with its reason, so that nothing is lost.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Literal, TypeAlias

from rssn.archives import ARCHIVE_SUFFIXES, archive_format, list_members, read_tar_member, read_zip_member
from rssn.embedded import cell_text, embedded_rows, picture_bytes, picture_column
from rssn.errors import InputError, Rejected
from rssn.images import SUFFIXES, read_bytes
from rssn.remote import ahead
from rssn.tables import Table, TableRow, is_table, read_table
from rssn.urls import shown, url_of

CRAWL_SUFFIXES = SUFFIXES | {".gif", ".jfif", ".jpe", ".heic", ".heif", ".avif", ".jxl", ".jp2"}
"""Names that are taken for photographs. Of some formats the reader refuses every file: a verdict, not a silence."""

Kind: TypeAlias = Literal["file", "tar", "zip", "row", "none"]

_LIGHT = ("source", "licence")
_PICTURES = ("image", "bytes")
_PICTURES_AT_A_TIME = 4


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bytes of a photograph are.

    Attributes:
        source: Its name, unique in the crawl: a path below the folder, `<archive>/<member>`, or the path or number of
            a table's row.
        kind: A file, a member of a tar or zip file, a row of a Parquet file; `none` where it cannot be read.
        path: The file, archive or table.
        place: The byte at which a tar member begins, the number of a zip member, the row in its row group; else -1.
        row_group: Of a table's row; else -1.
        size: Bytes as the file system or the header says; -1 where nothing says it.
        origin: The table's column `source`: where the photograph came from; empty where nobody said.
        licence: Likewise.
        reason: Why it cannot be read, a stable name; empty where it can.
        message: The same in words.
    """

    source: str
    kind: Kind
    path: str
    place: int = -1
    row_group: int = -1
    size: int = -1
    origin: str = ""
    licence: str = ""
    reason: str = ""
    message: str = ""


def list_photographs(root: Path) -> Iterator[Place]:
    """Every photograph of a crawl, in an order that depends on its names alone.

    Args:
        root: A folder; a `.tar` or `.zip` file; a `.csv` or `.parquet` table with a column `path`, or a Parquet table
            with the pictures in `image` or `bytes`; `source` and `licence` are carried along.

    Raises:
        InputError: If it is nothing of the kind, or the table cannot be read.
    """
    return _found(root)


def read_photographs(places: Sequence[Place], max_bytes: int) -> Iterator[bytes | Rejected]:
    """The bytes of photographs, one after the other, or why they cannot be had.

    Rows of one table that follow each other are read in one pass.

    Args:
        places: In the order of `list_photographs`.
        max_bytes: Larger ones are refused before they are read.
    """
    for (kind, path), group in groupby(
        places, key=lambda place: (place.kind, place.path if place.kind == "row" else "")
    ):
        if kind == "row":
            yield from _read_rows(Path(path), list(group), max_bytes)
        else:
            members = list(group)
            remote = kind == "file" and url_of(Path(members[0].path)) is not None
            yield from ahead(partial(_read_one, max_bytes=max_bytes), members, remote=remote)


def _found(root: Path) -> Iterator[Place]:
    if root.is_dir():
        return _folder(root)
    if archive_format(root) and root.is_file():
        return _unique(_archive(root, ""))
    if is_table(root):
        return _embedded(root) if picture_column(root, _PICTURES) else _unique(_listed(root))
    if not root.exists():
        raise InputError(f"{root}: no such folder, archive or table")
    kinds = "a folder, an archive (.tar, .zip) or a table (.csv, .parquet)"
    raise InputError(f"{root}: no photographs there; give {kinds}")


def _unique(places: Iterable[Place]) -> Iterator[Place]:
    """Rename places whose name was there already: `a.jpg`, `a.jpg#2`, ...; archives and tables may repeat one."""
    seen: set[int] = set()  # hashes: the names of millions would take gigabytes
    copies: Counter[str] = Counter()
    for place in places:
        name = place.source
        while hash(name) in seen:
            copies[place.source] += 1
            name = f"{place.source}#{copies[place.source] + 1}"
        seen.add(hash(name))
        yield place if name == place.source else replace(place, source=name)


def _folder(root: Path) -> Iterator[Place]:
    for folder, below, names in os.walk(root):
        below.sort()
        for name in sorted(names):
            path = Path(folder) / name
            if path.suffix.lower() in CRAWL_SUFFIXES:
                yield _file(path, path.relative_to(root).as_posix())
            elif path.suffix.lower() in ARCHIVE_SUFFIXES:
                yield from _unique(_archive(path, f"{path.relative_to(root).as_posix()}/"))


def _file(path: Path, source: str) -> Place:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        name = os.fsencode(source).decode("utf-8", "backslashreplace")
        return Place(name, "none", "", reason="unsafe_path", message="the file's name is not UTF-8; rename it")
    try:
        return Place(source, "file", shown(str(path.resolve())), size=path.stat().st_size)
    except OSError as error:
        return Place(source, "none", str(path), reason="unreadable", message=f"{path}: {error.strerror or error}")


def _archive(path: Path, prefix: str) -> Iterator[Place]:
    kind: Kind = archive_format(path) or "none"
    for member in list_members(path):
        if member.reason == "damaged_archive":
            whole = prefix.rstrip("/") or path.name
            yield Place(whole, "none", str(path), reason=member.reason, message=member.message)
        elif Path(member.name).suffix.lower() in CRAWL_SUFFIXES:
            source, where = f"{prefix}{member.name}", (member.place, -1, member.size)
            kept = (kind, "", "") if not member.reason else ("none", member.reason, member.message)
            yield Place(source, kept[0], shown(str(path.resolve())), *where, reason=kept[1], message=kept[2])


def _listed(root: Path) -> Iterator[Place]:
    table = read_table(root, ("path", *_LIGHT))
    if "path" not in table.columns:
        needed = "a table of photographs needs the column path, or pictures in image or bytes of a Parquet file"
        raise InputError(f"{root}: {needed}; it has {', '.join(table.columns)}")
    return _table_rows(table)


def _table_rows(table: Table) -> Iterator[Place]:
    for row in table.rows:
        origin, licence = row.text("source"), row.text("licence")
        yield replace(_table_file(row), origin=origin, licence=licence)


def _table_file(row: TableRow) -> Place:
    try:
        return _file(row.file("path"), Path(row.text("path")).as_posix())
    except Rejected as error:
        return Place(row.label, "none", "", reason=error.reason, message=error.message)


def _embedded(root: Path) -> Iterator[Place]:
    path = shown(str(root.resolve()))
    for number, ((group, row), cells) in enumerate(embedded_rows(root, _LIGHT, 4096), 1):
        origin, licence = (cell_text(cells.get(name)) for name in _LIGHT)
        yield Place(f"{root.name}, row {number}", "row", path, row, group, origin=origin, licence=licence)


def _read_one(place: Place, max_bytes: int) -> bytes | Rejected:
    try:
        if place.kind == "none":
            raise Rejected("read", place.reason, place.message)
        if place.size > max_bytes:
            raise Rejected("read", "too_many_bytes", f"{place.size} bytes; the limit is {max_bytes}")
        if place.kind == "tar":
            return read_tar_member(Path(place.path), place.place, place.size)
        if place.kind == "zip":
            return read_zip_member(Path(place.path), place.place, max_bytes)
        return read_bytes(Path(place.path))
    except Rejected as error:
        return error


def _read_rows(table: Path, places: Sequence[Place], max_bytes: int) -> Iterator[bytes | Rejected]:
    """Rows of a table that were planned, in order; the table is read from the first row's group on."""
    column = picture_column(table, _PICTURES) or ""
    rows = embedded_rows(table, (column,), _PICTURES_AT_A_TIME, places[0].row_group)
    for place in places:
        try:
            cells = next(cells for where, cells in rows if where == (place.row_group, place.place))
            data = picture_bytes(cells[column])
            if len(data) > max_bytes:
                raise Rejected("read", "too_many_bytes", f"{len(data)} bytes; the limit is {max_bytes}")
            yield data
        except Rejected as error:
            yield error
        except (InputError, StopIteration) as error:
            yield Rejected("read", "unreadable", f"{table}: {error or 'the row is gone'}")
