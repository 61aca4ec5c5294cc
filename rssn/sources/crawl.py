"""Photographs as a crawl brings them: a folder with all below it, archives in it or alone, or a table.

Listing streams: a folder takes no memory, an archive or a table of paths that of its names' hashes. A place says where
the bytes of one photograph are; what cannot be read is a place too, with its reason, so that nothing is lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Literal, TypeAlias

from rssn.errors import InputError, Rejected
from rssn.image.arrays import read_bytes
from rssn.image.picture_files import archive_format, suffix_of
from rssn.sources.archives import list_members, read_tar_member, read_zip_member
from rssn.sources.embedded import cell_text, embedded_rows, picture_bytes, picture_column
from rssn.sources.folder_walk import is_utf8, printable, walk
from rssn.sources.tables import Table, TableRow, is_table, read_table
from rssn.storage.remote import ahead, stamp
from rssn.storage.urls import shown, url_of

Kind: TypeAlias = Literal["file", "tar", "tgz", "zip", "row", "none"]

_LIGHT = ("source", "licence")
_PICTURES = ("image", "bytes")
_PICTURES_AT_A_TIME = 4


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bytes of a photograph are.

    Attributes:
        source: Its name, unique in the crawl: a path below the folder, `<archive>/<member>`, or the path or number of
            a table's row.
        kind: A file, a member of a tar (compressed: `tgz`) or zip file, a row of a Parquet file; `none` where it cannot
            be read.
        path: The file, archive or table.
        place: The byte at which a tar member begins, unpacked; the number of a zip member; the row in its row group;
            else -1.
        row_group: Of a table's row; else -1.
        size: Bytes as the file system or the header says; -1 where nothing says it.
        origin: The table's column `source`: where the photograph came from; empty where nobody said.
        licence: Likewise.
        reason: Why it cannot be read, a stable name; empty where it can.
        message: The same in words.
        stamp: Changes when file, archive or table is replaced, see `storage.remote.stamp`; empty where there is none.
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
    stamp: str = ""


def list_photographs(root: Path, without: Path | None = None, unread: Counter[str] | None = None) -> Iterator[Place]:
    """Every photograph of a crawl, in an order that depends on its names alone.

    Args:
        root: A folder; a `.tar`, `.tar.gz`, `.tgz` or `.zip` file; a `.csv` or `.parquet` table with a column `path`,
            or a Parquet table with the pictures in `image` or `bytes`; `source` and `licence` are carried along.
        without: A folder that does not count, wherever it lies: where results go.
        unread: Counts the visible files that are no pictures, by suffix.

    Raises:
        InputError: If it is nothing of the kind, or the table cannot be read.
    """
    return _found(root, without, Counter() if unread is None else unread)


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


def _found(root: Path, without: Path | None, unread: Counter[str]) -> Iterator[Place]:
    if root.is_dir():
        return _folder(root, without, unread)
    if archive_format(root) and root.is_file():
        return _unique(_archive(root, "", unread))
    if is_table(root):
        return _embedded(root) if picture_column(root, _PICTURES) else _unique(_listed(root))
    if not root.exists():
        raise InputError(f"{root}: no such folder, archive or table")
    kinds = "a folder, an archive (.tar, .tar.gz, .zip) or a table (.csv, .parquet)"
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


def _folder(root: Path, without: Path | None, unread: Counter[str]) -> Iterator[Place]:
    for found in walk(root, without):
        if found.kind == "problem":
            yield Place(found.name, "none", "", reason=found.reason, message=found.message)
        elif found.kind == "picture":
            yield _file(found.path, found.name)
        elif found.kind == "archive":
            yield from _unique(_archive(found.path, f"{found.name}/", unread))
        else:
            unread[suffix_of(found.path.name)] += 1


def _file(path: Path, source: str) -> Place:
    try:
        real = path.resolve()
        if not is_utf8(str(real)):
            words = "its name, or that of what it links to, is not UTF-8; rename it"
            return Place(printable(source), "none", "", reason="unsafe_path", message=words)
        return Place(source, "file", shown(str(real)), size=path.stat().st_size, stamp=stamp(path))
    except OSError as error:
        return Place(source, "none", "", reason="unreadable", message=f"{path}: {error.strerror or error}")


def _archive(path: Path, prefix: str, unread: Counter[str]) -> Iterator[Place]:
    real = path.resolve()
    if not is_utf8(str(real)):
        whole, words = printable(prefix.rstrip("/") or path.name), "what the archive's name links to is not UTF-8"
        yield Place(whole, "none", "", reason="unsafe_path", message=f"{words}; rename it")
        return
    written = stamp(path)
    for member in list_members(path):
        source, where = f"{prefix}{member.name}", (member.place, -1, member.size)
        if member.reason == "damaged_archive":
            whole = prefix.rstrip("/") or path.name
            yield Place(whole, "none", shown(str(real)), reason=member.reason, message=member.message)
        elif member.kind == "picture" and member.reason:
            yield Place(source, "none", shown(str(real)), *where, reason=member.reason, message=member.message)
        elif member.kind == "picture":
            yield Place(source, archive_format(path) or "none", shown(str(real)), *where, stamp=written)
        elif member.kind != "hidden":
            unread[suffix_of(member.name)] += 1


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
    path, written = shown(str(root.resolve())), stamp(root)
    for number, ((group, row), cells) in enumerate(embedded_rows(root, _LIGHT, 4096), 1):
        origin, licence = (cell_text(cells.get(name)) for name in _LIGHT)
        yield Place(f"{root.name}, row {number}", "row", path, row, group, -1, origin, licence, stamp=written)


def _read_one(place: Place, max_bytes: int) -> bytes | Rejected:
    try:
        if place.kind == "none":
            raise Rejected("read", place.reason, place.message)
        if place.size > max_bytes:
            raise Rejected("read", "too_many_bytes", f"{place.size} bytes; the limit is {max_bytes}")
        if place.kind != "file" and url_of(Path(place.path)) is None and stamp(Path(place.path)) != place.stamp:
            raise Rejected("read", "changed", f"{place.path}: the archive was replaced after the run was planned")
        if place.kind in ("tar", "tgz"):
            return read_tar_member(Path(place.path), place.place, place.size, compressed=place.kind == "tgz")
        if place.kind == "zip":
            return read_zip_member(Path(place.path), place.place, max_bytes)
        return read_bytes(Path(place.path), max_bytes)
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
