"""Photographs as a crawl brings them: a folder with all below it, archives in it or alone, or a table.

Listing streams: a folder takes no memory, an archive or a table of paths that of its names' hashes. What cannot be read
is listed too, with its reason, so that nothing is lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from rssn.errors import InputError, Rejected
from rssn.image.picture_files import archive_format, suffix_of
from rssn.sources.embedded import PICTURES, cell_text, embedded_rows, one_of, picture_columns
from rssn.sources.names import is_utf8, printable
from rssn.sources.picture_ref import PictureRef, read_pictures
from rssn.sources.tables import TableRow, is_table, read_table
from rssn.sources.tree import Entry, archive_entries, entries, file_ref
from rssn.storage.location import BucketPath, Location
from rssn.storage.remote import facts_of, stamp

_LIGHT = ("source", "licence")


@dataclass(frozen=True, slots=True)
class Photograph:
    """A photograph of a crawl, not read yet.

    Attributes:
        source: Its name, unique in the crawl: a path below the folder, `<archive>/<member>`, or the path or number of
            a table's row.
        picture: Where it is; None where nothing says it.
        origin: The table's column `source`: where the photograph came from; empty where nobody said.
        licence: Likewise.
        reason: Why it cannot be read, a stable name; empty where it can.
        message: The same in words.
    """

    source: str
    picture: PictureRef | None = None
    origin: str = ""
    licence: str = ""
    reason: str = ""
    message: str = ""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Photograph:
        """What `to_row` gave."""
        picture = row["picture"] and PictureRef.from_row(row["picture"])
        return cls(row["source"], picture, row["origin"], row["licence"], row["reason"], row["message"])

    def to_row(self) -> dict[str, Any]:
        """A row of `rssn.dataset.schema.PLANNED_PHOTOS`."""
        return {
            "source": self.source,
            "picture": self.picture and self.picture.to_row(),
            "origin": self.origin,
            "licence": self.licence,
            "reason": self.reason,
            "message": self.message,
        }

    @property
    def facts(self) -> tuple[str, ...]:
        """What tells it from another one that nobody has read: name, kind, size, origin and licence."""
        kind = self.picture.kind if self.picture and not self.reason else "none"
        return self.source, kind, str(self.picture.size if self.picture else -1), self.origin, self.licence


def list_photographs(
    root: Location, without: Location | None = None, unread: Counter[str] | None = None
) -> Iterator[Photograph]:
    """Every photograph of a crawl, in an order that depends on its names alone.

    Args:
        root: A folder, with the archives and the Parquet tables of pictures in it; a `.tar`, `.tar.gz`, `.tgz` or
            `.zip` file; a `.csv` or `.parquet` table with a column `path`, or a Parquet table with the pictures in
            `image` or `bytes`; `source` and `licence` are carried along. Any of them here or in a bucket.
        without: A folder that does not count, wherever it lies: where results go.
        unread: Counts the visible files that are no pictures, by suffix.

    Raises:
        InputError: If it is nothing of the kind, or the table cannot be read.
    """
    unread = Counter() if unread is None else unread
    if is_table(root):
        column = one_of(root, picture_columns(root), PICTURES, "photograph")
        return _in_table(_whole(root), root.name, column) if column else _unique(_listed(root))
    if isinstance(root, Path) and not root.is_dir():
        if archive_format(root) and root.is_file():
            return _unique(_in_archive(file_ref(root), "", unread))
        if not root.exists():
            raise InputError(f"{root}: no such folder, archive or table")
        kinds = "a folder, an archive (.tar, .tar.gz, .zip) or a table (.csv, .parquet)"
        raise InputError(f"{root}: no photographs there; give {kinds}")
    found = _in_folder(entries(root, without), unread)
    return _unique(found) if archive_format(PurePosixPath(root.name)) else found


def read_photographs(photographs: Iterable[Photograph], max_bytes: int) -> Iterator[bytes | Rejected]:
    """The bytes of photographs, one after the other, or why they cannot be had; see `read_pictures`.

    Args:
        photographs: In the order of `list_photographs`.
        max_bytes: Larger ones are refused before they are read.
    """
    photographs = list(photographs)
    data = read_pictures([one.picture for one in photographs if one.picture and not one.reason], max_bytes)
    for one in photographs:
        yield next(data) if one.picture and not one.reason else Rejected("read", one.reason, one.message)


def _unique(photographs: Iterable[Photograph]) -> Iterator[Photograph]:
    """Rename photographs whose name was there already: `a.jpg`, `a.jpg#2`, ...; archives and tables may repeat one."""
    seen: set[int] = set()  # hashes: the names of millions would take gigabytes
    copies: Counter[str] = Counter()
    for photograph in photographs:
        name = photograph.source
        while hash(name) in seen:
            copies[photograph.source] += 1
            name = f"{photograph.source}#{copies[photograph.source] + 1}"
        seen.add(hash(name))
        yield photograph if name == photograph.source else replace(photograph, source=name)


def _in_folder(found: Iterable[Entry], unread: Counter[str]) -> Iterator[Photograph]:
    for entry in found:
        if entry.reason:
            yield Photograph(entry.name, entry.ref, reason=entry.reason, message=entry.message)
        elif entry.kind == "picture" and entry.ref:
            yield _placed(entry.ref, entry.name)
        elif entry.kind == "archive" and entry.ref:
            yield from _unique(_in_archive(entry.ref, f"{entry.name}/", unread))
        else:
            yield from _of_other(entry, unread)


def _of_other(entry: Entry, unread: Counter[str]) -> Iterator[Photograph]:
    """The rows of a table that holds pictures; nothing, of another file, which is counted."""
    try:
        column = entry.ref and one_of(entry.ref.location, picture_columns(entry.ref.location), PICTURES, "photograph")
    except InputError as error:
        yield Photograph(printable(entry.name), reason="unreadable", message=str(error))
        return
    if entry.ref and column:
        yield from _in_table(entry.ref, entry.name, column)
    else:
        unread[suffix_of(entry.name)] += 1


def _whole(table: Location) -> PictureRef:
    found = facts_of(table) if isinstance(table, BucketPath) else None
    return file_ref(table, found.size, str(found.written_ns)) if found else file_ref(table)


def _in_archive(archive: PictureRef, prefix: str, unread: Counter[str]) -> Iterator[Photograph]:
    placed = _placed(archive, printable(prefix.rstrip("/") or archive.location.name))
    if placed.reason or placed.picture is None:
        yield placed
        return
    yield from _in_folder(archive_entries(placed.picture, prefix), unread)


def _in_table(table: PictureRef, name: str, column: str) -> Iterator[Photograph]:
    """The rows of a table that holds the pictures."""
    placed = _placed(table, printable(name))
    if placed.reason or placed.picture is None:
        yield placed
        return
    of = placed.picture
    for number, ((group, row), cells) in enumerate(embedded_rows(of.location, _LIGHT), 1):
        origin, licence = (cell_text(cells.get(light)) for light in _LIGHT)
        ref = PictureRef(of.path, "row", row, group, column, stamp=of.stamp)
        yield Photograph(f"{name}, row {number}", ref, origin, licence)


def _placed(ref: PictureRef, name: str) -> Photograph:
    """A picture with size and stamp; of a file on this disk by the name that workers find it under."""
    path = ref.location
    if ref.place >= 0 or isinstance(path, BucketPath):
        return Photograph(name, ref)
    try:
        real = path.resolve()
        if not is_utf8(str(real)):
            words = "its name, or that of what it links to, is not UTF-8; rename it"
            return Photograph(printable(name), reason="unsafe_path", message=words)
        size, written = path.stat().st_size, stamp(path)
        return Photograph(name, replace(ref, path=str(real), size=size, stamp=written))
    except OSError as error:
        return Photograph(name, reason="unreadable", message=f"{path}: {error.strerror or error}")


def _listed(root: Location) -> Iterator[Photograph]:
    table = read_table(root, ("path", *_LIGHT))
    if "path" not in table.columns:
        needed = "a table of photographs needs the column path, or pictures in image or bytes of a Parquet file"
        raise InputError(f"{root}: {needed}; it has {', '.join(table.columns)}")
    return (_named(row) for row in table.rows)


def _named(row: TableRow) -> Photograph:
    origin, licence = row.text("source"), row.text("licence")
    try:
        return replace(_placed(row.picture("path"), row.name_of("path")), origin=origin, licence=licence)
    except Rejected as error:
        return Photograph(row.label, None, origin, licence, error.reason, error.message)
