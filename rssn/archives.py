"""Pictures inside `.tar` and `.zip` archives, read where they lie: nothing is unpacked to disk.

Member names are labels and never become paths. What cannot be read as it stands (a link, an encrypted member, a name
that would leave the folder) is listed with its reason.
"""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Literal, TypeAlias

from rssn.errors import Rejected, first_line
from rssn.remote import opened
from rssn.urls import url_of

ARCHIVE_SUFFIXES = frozenset({".tar", ".zip"})

_AHEAD = 1 << 20  # bytes of an archive in a bucket that are fetched at a time

Format: TypeAlias = Literal["tar", "zip"]


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an archive.

    Attributes:
        name: Its name in the archive; cut to what can be printed.
        place: Where its bytes begin in a tar file; its number in the directory of a zip file.
        size: Bytes, unpacked, as the archive's header says.
        reason: Why it cannot be read, a stable name; empty where it can.
        message: The same in words.
    """

    name: str
    place: int
    size: int
    reason: str = ""
    message: str = ""


def archive_format(path: Path) -> Format | None:
    """The kind of archive that a file is named as."""
    return {".tar": "tar", ".zip": "zip"}.get(path.suffix.lower())  # type: ignore[return-value]


def list_members(path: Path) -> Iterator[Member]:
    """The regular members of an archive in their order; folders are left out.

    A damaged archive ends with a member of the reason `damaged_archive` that stands for the rest.
    """
    try:
        if archive_format(path) == "tar":
            yield from _tar_members(path)
        else:
            yield from _zip_members(path)
    except (OSError, tarfile.TarError, zipfile.BadZipFile, ValueError, EOFError, zlib.error) as error:
        words = f"the archive is damaged or of another format; what comes after cannot be listed: {first_line(error)}"
        if archive_format(path) == "tar":
            words += "; a compressed one has to be unpacked first (gunzip)"
        yield Member("", -1, 0, "damaged_archive", words)


def read_tar_member(path: Path, offset: int, size: int) -> bytes:
    """The bytes of a member of a tar file.

    Raises:
        Rejected: stage `read`, reason `unreadable`.
    """
    try:
        with opened(path) as stream:
            stream.seek(offset)
            data = stream.read(size)
    except OSError as error:
        raise Rejected("read", "unreadable", f"{path}: {first_line(error)}") from error
    if len(data) != size:
        raise Rejected("read", "unreadable", f"{path}: the archive ends inside this member")
    return data


def read_zip_member(path: Path, number: int, max_bytes: int) -> bytes:
    """The bytes of a member of a zip file; no more than `max_bytes` are unpacked, whatever its header says.

    Raises:
        Rejected: stage `read`, reason `unreadable` or `too_many_bytes`.
    """
    try:
        archive = _opened(path, path.stat().st_mtime_ns if url_of(path) is None else 0)
        with archive.open(archive.infolist()[number]) as stream:
            data = stream.read(max_bytes + 1)
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, LookupError) as error:
        raise Rejected("read", "unreadable", f"{path}: member {number}: {first_line(error)}") from error
    except Exception as error:  # bz2 and lzma raise errors of their own
        raise Rejected("read", "unreadable", f"{path}: member {number}: {type(error).__name__}") from error
    if len(data) > max_bytes:
        raise Rejected("read", "too_many_bytes", f"unpacks to more than {max_bytes} bytes, the limit")
    return data


@lru_cache(maxsize=2)
def _opened(path: Path, _written_ns: int) -> zipfile.ZipFile:
    """An archive with its directory read; kept open, for a directory of 50,000 members takes a second."""
    return zipfile.ZipFile(opened(path, _AHEAD))


def _tar_members(path: Path) -> Iterator[Member]:
    end: int | None = 0
    with opened(path, _AHEAD) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
        for info in archive:
            end = info.offset_data + -(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE if info.isreg() else None
            archive.members.clear()  # type: ignore[attr-defined]  # or it keeps every header
            if info.isdir():
                continue
            reason, message = _unsafe(info.name)
            if not info.isreg() or info.sparse is not None:
                reason, message = "not_a_file", "a link, a device or a sparse file in the archive"
            yield Member(_printable(info.name), info.offset_data, info.size, reason, message)
    if not _ends_at(path, end):  # tarfile takes a broken header for the end
        raise tarfile.ReadError("no end-of-archive mark after the last member")


def _ends_at(path: Path, end: int | None) -> bool:
    """Whether a tar file has its end mark, a block of zeros, at a place; None: where no file's data tells the place."""
    if end is None:
        return True
    with opened(path) as stream:
        stream.seek(end)
        return stream.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)


def _zip_members(path: Path) -> Iterator[Member]:
    with opened(path, _AHEAD) as stream, zipfile.ZipFile(stream) as archive:
        for number, info in enumerate(archive.infolist()):
            if info.is_dir():
                continue
            reason, message = _unsafe(info.filename)
            if info.flag_bits & 1:
                reason, message = "encrypted", "the member is encrypted; unpack the archive first"
            yield Member(_printable(info.filename), number, info.file_size, reason, message)


def _unsafe(name: str) -> tuple[str, str]:
    """Reason and message for a name that would leave the folder it is unpacked to; empty for others."""
    windows = PureWindowsPath(name)
    if name.startswith("/") or windows.drive or ".." in PurePosixPath(name).parts or ".." in windows.parts:
        return "unsafe_path", "its name leaves the archive; such archives are made to overwrite files"
    return "", ""


def _printable(name: str) -> str:
    """A name that every table can hold; what cannot be printed is escaped."""
    return name.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")[:1000]
