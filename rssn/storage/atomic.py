"""Files and objects that readers see whole or not at all, also where their writer was killed."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from filecmp import cmp
from pathlib import Path
from shutil import copyfile

from rssn.storage.buckets import upload, write
from rssn.storage.location import BucketPath, Location, scratch_of

_OLD_SECONDS = 24 * 3600.0
_NO_FOLDER_FLUSH = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES})
"""What file systems answer that cannot flush a folder; the file itself is flushed by then."""


@contextmanager
def atomic_path(
    path: Location, *, durable: bool = True, only_writer: bool = False, suffix: str = ".tmp"
) -> Iterator[Path]:
    """A temporary path beside `path`, whose file is renamed to `path` when the block ends; an object is then uploaded.

    If the block fails or writes no file, whatever was at `path` stays. The folder is created.

    Args:
        path: The file or object to write.
        durable: Whether it must survive a crash of the machine; flushing it to the disk takes time.
        only_writer: Whether no other process writes this file at the same time. The temporary name is then always the
            same, so that a killed writer leaves one file and the next one overwrites it.
        suffix: What the temporary name ends with, for libraries that go by it.

    Raises:
        RemoteError: If the bucket does not take the object.
    """
    beside = scratch_of(path) if isinstance(path, BucketPath) else path
    beside.parent.mkdir(parents=True, exist_ok=True)
    temporary = beside.with_name(f".{path.name}{'' if only_writer else f'.{os.getpid()}'}{suffix}")
    if isinstance(path, BucketPath):
        _remove_old(beside.parent)
    try:
        yield temporary
        if temporary.exists() and isinstance(path, BucketPath):
            upload(temporary, path.url)
        elif temporary.exists():
            _publish(temporary, beside, durable=durable)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_old(folder: Path) -> None:
    """What writers that were killed on this machine left on its way to a bucket: nobody else looks here."""
    for left in folder.glob(".*.tmp"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _OLD_SECONDS:
                left.unlink()


def write_bytes(path: Location, data: bytes, *, durable: bool = True, only_writer: bool = False) -> None:
    """Write a file or an object; see `atomic_path`."""
    if isinstance(path, BucketPath):
        write(path.url, data)
        return
    with atomic_path(path, durable=durable, only_writer=only_writer) as temporary:
        temporary.write_bytes(data)


def copy_file(source: Path, target: Location) -> None:
    """Copy a file, see `atomic_path`, unless the same is there already; objects are not read to see."""
    if isinstance(target, BucketPath) or not target.is_file() or not cmp(source, target, shallow=False):
        with atomic_path(target) as temporary:
            copyfile(source, temporary)


def sweep(folder: Path, *names: str) -> None:
    """Remove what killed writers of files of these names left behind; call it only while no other process writes there.

    Args:
        folder: Where they were written.
        names: Of the files; may hold wildcards.
    """
    for name in names:
        for path in folder.glob(f".{name}.*.tmp"):
            path.unlink(missing_ok=True)


def _publish(temporary: Path, path: Path, *, durable: bool) -> None:
    if durable:
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
    temporary.replace(path)
    if not durable:
        return
    try:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        if error.errno not in _NO_FOLDER_FLUSH:
            raise
