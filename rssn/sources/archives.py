"""Pictures inside `.tar`, `.tar.gz` and `.zip` archives, read where they lie: nothing is unpacked to disk.

Member names are labels and never become paths. What cannot be read as it stands (a link, an encrypted member, a name
that would leave the folder) is listed with its reason. A compressed tar is unpacked in memory from its beginning to the
member that is asked for; those who ask in the order of the members unpack it once, those who ask for two of its folders
in turn twice.
"""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import PurePosixPath, PureWindowsPath
from threading import Lock
from typing import BinaryIO, cast

from rssn.errors import Rejected, first_line
from rssn.image.picture_files import HEAD_BYTES, ArchiveFormat, FileKind, file_kind, is_hidden
from rssn.sources.names import printable
from rssn.sources.tar_headers import SwollenError, TarError, TarMember, read_members
from rssn.storage.location import Location
from rssn.storage.remote import opened, size_of, written_lately

_AHEAD = 1 << 20  # bytes of an archive in a bucket that are fetched at a time
_SWELLS = 100  # times that a compressed tar may grow when it is unpacked; pictures shrink little
_SMALL = 1 << 30  # bytes that it may have in any case
_STREAMS = 3  # places of a compressed tar that are read in turn: a photograph, its F and its matte


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an archive.

    Attributes:
        name: Its name in the archive; cut to what can be printed.
        kind: What it is, see `rssn.image.picture_files.file_kind`.
        place: Where its bytes begin in a tar file, unpacked; its number in the directory of a zip file.
        size: Bytes, unpacked, as the archive's header says.
        reason: Why it cannot be read, a stable name; empty where it can.
        message: The same in words.
    """

    name: str
    kind: FileKind
    place: int
    size: int
    reason: str = ""
    message: str = ""


def list_members(path: Location, packed: ArchiveFormat) -> Iterator[Member]:
    """The regular members of an archive of a format in their order; folders are left out.

    A damaged archive ends with a member of the reason `damaged_archive` that stands for the rest.
    """
    try:
        yield from _zip_members(path) if packed == "zip" else _tar_members(path, compressed=packed == "tgz")
    except (OSError, zipfile.BadZipFile, ValueError, EOFError, zlib.error) as error:
        words = f"the archive is damaged or of another format; the rest of it cannot be listed: {first_line(error)}"
        if packed == "tar":
            words += "; a compressed one is to be named .tar.gz"
        yield Member("", "other", -1, 0, "damaged_archive", words)


def read_tar_member(path: Location, offset: int, size: int, *, compressed: bool = False) -> bytes:
    """The bytes of a member of a tar file.

    Raises:
        Rejected: stage `read`, reason `unreadable`.
    """
    try:
        if compressed:
            data = _unpacked(path, written_lately(path)).read(offset, size)
        else:
            with opened(path) as stream:
                data = _read_at(stream, offset, size)
    except (OSError, EOFError, zlib.error) as error:
        raise Rejected("read", "unreadable", f"{path}: {first_line(error)}") from error
    if len(data) != size:
        raise Rejected("read", "unreadable", f"{path}: the archive ends inside this member")
    return data


def read_zip_member(path: Location, number: int, max_bytes: int) -> bytes:
    """The bytes of a member of a zip file; no more than `max_bytes` are unpacked, whatever its header says.

    Raises:
        Rejected: stage `read`, reason `unreadable` or `too_many_bytes`.
    """
    try:
        archive = _opened(path, written_lately(path))
        with archive.open(archive.infolist()[number]) as stream:
            data = stream.read(max_bytes + 1)
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, LookupError) as error:
        raise Rejected("read", "unreadable", f"{path}: member {number}: {first_line(error)}") from error
    except Exception as error:  # bz2 and lzma raise errors of their own
        raise Rejected("read", "unreadable", f"{path}: member {number}: {type(error).__name__}") from error
    if len(data) > max_bytes:
        raise Rejected("read", "too_many_bytes", f"unpacks to more than {max_bytes} bytes, the limit")
    return data


def _read_at(stream: BinaryIO, offset: int, size: int) -> bytes:
    stream.seek(offset)
    return stream.read(size)


@lru_cache(maxsize=2)
def _opened(path: Location, _written_ns: int) -> zipfile.ZipFile:
    """An archive with its directory read; kept open, for a directory of 50,000 members takes a second."""
    return zipfile.ZipFile(opened(path, _AHEAD))


class _Unpacked:
    """A compressed tar at the places where it was last read; what follows one of them costs no second pass."""

    def __init__(self, path: Location) -> None:
        self._path = path
        self._lock = Lock()
        self._streams: list[BinaryIO] = []  # the one that was last read is the last

    def read(self, offset: int, size: int) -> bytes:
        with self._lock:
            return _read_at(self._stream_for(offset), offset, size)

    def _stream_for(self, offset: int) -> BinaryIO:
        before = [stream for stream in self._streams if stream.tell() <= offset]
        if before:
            stream = max(before, key=lambda one: one.tell())
            self._streams.remove(stream)
        elif len(self._streams) < _STREAMS:
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=opened(self._path, _AHEAD)))
        else:
            stream = self._streams.pop(0)
        self._streams.append(stream)
        return stream


@lru_cache(maxsize=2)
def _unpacked(path: Location, _written_ns: int) -> _Unpacked:
    return _Unpacked(path)


def _tar_members(path: Location, *, compressed: bool) -> Iterator[Member]:
    with opened(path, _AHEAD) as packed:
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=packed)) if compressed else packed
        most = max(_SMALL, _SWELLS * (size_of(path) or 0)) if compressed else float("inf")
        try:
            for found in read_members(stream, most):
                if not found.folder:
                    yield _tar_member(found, stream)
        except SwollenError as error:
            raise TarError(f"it unpacks to more than {_SWELLS} times its size") from error


def _tar_member(found: TarMember, stream: BinaryIO) -> Member:
    reason, message = _unsafe(found.name)
    if not found.regular:
        reason, message = "not_a_file", "a link, a device or a sparse file in the archive"
    head = partial(_read_at, stream, found.place, min(HEAD_BYTES, found.size))
    kind = _kind(found.name, (lambda: b"") if reason else head)
    return Member(_printable(found.name), kind, found.place, found.size, reason, message)


def _zip_members(path: Location) -> Iterator[Member]:
    with opened(path, _AHEAD) as stream, zipfile.ZipFile(stream) as archive:
        for number, info in enumerate(archive.infolist()):
            if info.is_dir():
                continue
            reason, message = _unsafe(info.filename)
            if info.flag_bits & 1:
                reason, message = "encrypted", "the member is encrypted; unpack the archive first"
            kind = _kind(info.filename, (lambda: b"") if reason else partial(_zip_head, archive, info))
            yield Member(_printable(info.filename), kind, number, info.file_size, reason, message)


def _zip_head(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(info) as stream:
            return stream.read(HEAD_BYTES)
    except Exception:  # as in `read_zip_member`: nobody promised that it is a picture
        return b""


def _kind(name: str, head: Callable[[], bytes]) -> FileKind:
    folder, _, own = name.rstrip("/").rpartition("/")
    return "hidden" if _is_hidden_folder(folder) else file_kind(own, head)


@lru_cache(maxsize=4096)
def _is_hidden_folder(folder: str) -> bool:
    return any(is_hidden(part) for part in folder.split("/") if part not in ("", ".", ".."))


def _unsafe(name: str) -> tuple[str, str]:
    """Reason and message for a name that would leave the folder it is unpacked to; empty for others."""
    if not name.startswith("/") and ".." not in name and "\\" not in name and ":" not in name:  # nearly all
        return "", ""
    windows = PureWindowsPath(name)
    if name.startswith("/") or windows.drive or ".." in PurePosixPath(name).parts or ".." in windows.parts:
        return "unsafe_path", "its name leaves the archive; such archives are made to overwrite files"
    return "", ""


def _printable(name: str) -> str:
    """A name that every table can hold; what cannot be printed is escaped."""
    return printable(name).replace("\0", "\\0")[:1000]
