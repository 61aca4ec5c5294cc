"""Where a picture is, and its bytes: a file, an object in a bucket, a member of an archive, a cell of a Parquet table.

Whoever reads pictures of a user's reads them through a `PictureRef`, whatever they lie in. A plan stores references as
one column (`to_row`, `from_row`), so that workers on other machines read what the driver found.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias

from rssn.errors import Rejected
from rssn.image.arrays import MAX_BYTES, read_bytes
from rssn.sources.archives import read_tar_member, read_zip_member
from rssn.sources.embedded import read_cell
from rssn.storage.location import Location, parse_location
from rssn.storage.remote import ahead, opened, stamp, written_lately
from rssn.storage.urls import is_url

Kind: TypeAlias = Literal["file", "tar", "tgz", "zip", "row"]

_AHEAD = 1 << 16  # bytes of an object that are fetched at a time by who reads a header


@dataclass(frozen=True, slots=True)
class PictureRef:
    """Where a picture is.

    Attributes:
        path: The file, the object's URL, the archive or the table.
        kind: A file or an object; a member of a tar (compressed: `tgz`) or zip file; a row of a Parquet table.
        place: The byte at which a tar member begins, unpacked; the number of a zip member; the row in its row group;
            else -1.
        row_group: Of a table's row; else -1.
        column: Of a table's row, as Parquet calls it: `image`, or `image.bytes` of a struct; else empty.
        size: Bytes as a listing or a header says; -1 where nothing said it.
        stamp: Changes when file, archive or table is replaced, see `rssn.storage.remote.stamp`; of objects the time
            that a listing says; empty where the reader knows the content by its id.
    """

    path: str
    kind: Kind = "file"
    place: int = -1
    row_group: int = -1
    column: str = ""
    size: int = -1
    stamp: str = ""

    @classmethod
    def of(cls, path: Location) -> PictureRef:
        """A file or an object."""
        return cls(str(path))

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> PictureRef:
        """What `to_row` gave."""
        return cls(**row)

    def to_row(self) -> dict[str, Any]:
        """The value of a column of the type `rssn.dataset.schema.PICTURE_REF`."""
        return {name: getattr(self, name) for name in _FIELDS}

    @property
    def location(self) -> Location:
        """The file, the object, the archive or the table."""
        return parse_location(self.path)

    @property
    def in_bucket(self) -> bool:
        """Whether it lies in a bucket."""
        return is_url(self.path)

    @property
    def is_object(self) -> bool:
        """Whether it is an object in a bucket: such are read several at a time, parts of a file one after the other."""
        return self.kind == "file" and self.in_bucket

    @property
    def where(self) -> str:
        """Where it is, in words: the path or URL, and the place in it."""
        if self.kind == "row":
            return f"{self.path}, column {self.column}, row {self.place} of row group {self.row_group}"
        return self.path if self.kind == "file" else f"{self.path}, member at {self.place}"

    def read(self, max_bytes: int = MAX_BYTES) -> bytes:
        """The encoded picture.

        Who reads several of one archive or table in their order unpacks it once; see `read_pictures`.

        Args:
            max_bytes: Larger ones are refused, before they are read where their size is known.

        Raises:
            Rejected: stage `read`, reason `unreadable`, `not_a_file`, `too_many_bytes`, `changed` (the archive or table
                was replaced since) or `empty` (the row has no picture).
        """
        if self.size > max_bytes:
            raise Rejected("read", "too_many_bytes", f"{self.size} bytes; the limit is {max_bytes}")
        location = self.location
        if self.kind == "file":
            return read_bytes(location, max_bytes)
        if self.stamp:
            _refuse_replaced(location, self.stamp)
        if self.kind == "zip":
            return read_zip_member(location, self.place, max_bytes)
        if self.kind == "row":
            return read_cell(location, self.column, (self.row_group, self.place), max_bytes)
        return read_tar_member(location, self.place, self.size, compressed=self.kind == "tgz")

    def open(self) -> BinaryIO:
        """The encoded picture for who reads its header; of a file or an object no more is read than is asked for.

        Raises:
            Rejected: As `read` does, unless it is a file or an object.
            OSError: If that cannot be opened.
        """
        return opened(self.location, _AHEAD) if self.kind == "file" else io.BytesIO(self.read())


_FIELDS = tuple(field.name for field in fields(PictureRef))


def read_pictures(refs: Iterable[PictureRef], max_bytes: int = MAX_BYTES) -> Iterator[bytes | Rejected]:
    """Pictures one after the other, or why they cannot be had; several objects of a bucket are on their way at a time.

    Args:
        refs: Those of an archive or a table are best in their order there.
        max_bytes: As for `PictureRef.read`.
    """
    for remote, some in groupby(refs, key=lambda ref: ref.is_object):
        yield from ahead(partial(_read_or_reject, max_bytes=max_bytes), some, remote=remote)


def _read_or_reject(ref: PictureRef, max_bytes: int) -> bytes | Rejected:
    try:
        return ref.read(max_bytes)
    except Rejected as error:
        return error


def _refuse_replaced(path: Location, written: str) -> None:
    try:
        now = stamp(path) if isinstance(path, Path) else str(written_lately(path))
    except OSError as error:
        raise Rejected("read", "unreadable", f"{path}: {error.strerror or error}") from error
    if now != written:
        raise Rejected("read", "changed", f"{path}: it was replaced after the run was planned")
