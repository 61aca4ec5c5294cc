"""Reading and listing what lies here or in a bucket."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import pyarrow.parquet as pq

from rssn.storage.buckets import AT_A_TIME, FileFacts, object_facts, stat_objects, translate_errors, version_of
from rssn.storage.location import BucketPath, Location
from rssn.storage.stores import status_of, store

READ_AHEAD = 4 << 20
"""Bytes that are fetched at a time where a whole object is read bit by bit."""

_NO_SUCH_RANGE = 416  # of HTTP

NOT_A_FILE = errno.ENOTSUP
"""The error number of what is a pipe, a device or a socket."""

_LATELY = 2.0  # seconds that the time of an object is believed: parts of one are read in quick succession

S = TypeVar("S")
R = TypeVar("R")


def opened(path: Location, ahead: int = 0) -> BinaryIO:
    """A file for reading, or an object, of which no more is fetched than is read.

    Args:
        path: Where it is.
        ahead: Bytes of an object that are fetched at a time, for many small reads; 0: each read for itself.

    Raises:
        FileNotFoundError: If it is not there.
        OSError: If it is a pipe, a device or a socket: those are not waited for.
        RemoteError: If the bucket does not give it.
    """
    if isinstance(path, Path):
        return _regular(path)
    cache = {"cache_type": "readahead", "block_size": ahead} if ahead else {"cache_type": "none"}
    with translate_errors(path.url):
        return cast(BinaryIO, _TranslatedFile(store(path.url).open(path.url, "rb", **cache), path.url))


def content(path: Location, most: int | None = None) -> bytes:
    """All bytes of a file or an object, which may be written anew at any moment.

    Args:
        path: Where it is.
        most: Bytes that it may have; None: any number.

    Raises:
        FileNotFoundError: If it is not there.
        OSError: If it is a pipe, a device or a socket, or (`errno.EFBIG`) has more bytes than it may.
        RemoteError: If the bucket does not give it.
    """
    if isinstance(path, Path):
        with _regular(path) as stream:
            size = _checked_size(os.fstat(stream.fileno()).st_size, path, most)
            return stream.read(size + 1 if size else most or -1)  # what says it is empty may be the system's own file
    with translate_errors(path.url):
        try:
            data = bytes(store(path.url).cat_file(path.url, end=None if most is None else most + 1))
        except Exception as error:
            if _NO_SUCH_RANGE not in (status_of(error), status_of(error.__cause__ or error)):  # s3fs translates it
                raise
            data = b""  # an empty object has no first byte
    if most is not None and len(data) > most:
        raise OSError(errno.EFBIG, f"more than {most} bytes; the limit is {most}", str(path))
    return data


def contents(paths: Iterable[Location]) -> Iterator[bytes | None]:
    """All bytes of small files or objects, in order; None for one that is not there. Of a bucket several at a time.

    Raises:
        OSError: As `content` does otherwise.
        RemoteError: If the bucket does not give one.
    """

    def read(path: Location) -> bytes | None:
        with suppress(FileNotFoundError):
            return content(path)
        return None

    for remote, some in groupby(paths, key=lambda path: isinstance(path, BucketPath)):
        yield from ahead(read, some, remote=remote)


@contextmanager
def parquet(path: Location, *, checked: bool = False) -> Iterator[pq.ParquetFile]:
    """A Parquet file, here or in a bucket, of which no more is fetched than is read; see `opened`.

    Args:
        path: Where it is.
        checked: Compare each page with its checksum, where it has one.
    """
    if isinstance(path, Path):
        with pq.ParquetFile(path, page_checksum_verification=checked) as file:
            yield file
        return
    with (
        opened(path) as stream,
        pq.ParquetFile(stream, pre_buffer=True, page_checksum_verification=checked) as file,
    ):
        yield file


def ahead(read: Callable[[S], R], items: Iterable[S], *, remote: bool) -> Iterator[R]:
    """What `read` gives of each item, in order; where it waits for a bucket, several are on their way at a time."""
    if not remote:
        yield from map(read, items)
        return
    pool, flying = ThreadPoolExecutor(AT_A_TIME), deque[Future[R]]()
    try:
        for item in items:
            flying.append(pool.submit(read, item))
            if len(flying) == AT_A_TIME:
                yield flying.popleft().result()
        while flying:
            yield flying.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def list_files(root: Location) -> dict[str, FileFacts]:
    """Every file or object below a folder, by its name from there on; nothing where there is no folder.

    Links to folders are not followed.

    Raises:
        RemoteError: If the bucket does not say.
    """
    if isinstance(root, BucketPath):
        return {name: facts for name, facts in stat_objects(root.url).items() if name}
    facts: dict[str, FileFacts] = {}
    waiting = [(str(root), "")]
    while waiting:
        folder, prefix = waiting.pop()
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, f"{prefix}{entry.name}/"))
                    continue
                with suppress(FileNotFoundError):  # removed meanwhile
                    status = entry.stat()
                    facts[f"{prefix}{entry.name}"] = FileFacts(status.st_size, status.st_mtime_ns)
    return facts


def facts_of(path: Location) -> FileFacts | None:
    """Size and time of a file or an object; None where there is none.

    Raises:
        RemoteError: If the bucket does not say.
    """
    if isinstance(path, BucketPath):
        return object_facts(path.url)
    status = path.stat() if path.is_file() else None
    return FileFacts(status.st_size, status.st_mtime_ns) if status else None


def size_of(path: Location) -> int | None:
    """Bytes of a file or an object; None where there is none."""
    found = facts_of(path)
    return found.size if found else None


def stamp(path: Location) -> str:
    """What changes when a file is replaced, though it keep its name and its size: its time, and its number on the disk.

    Of an object in a bucket its size and the store's tag, or date.
    """
    if isinstance(path, BucketPath):
        return version_of(path.url)
    status = path.stat()
    return f"{status.st_mtime_ns} {status.st_ino}"


def written_lately(path: Location) -> int:
    """When a file or an object was written, ns since 1970; what is said of an object may be two seconds old.

    Raises:
        FileNotFoundError: If it is not there.
        RemoteError: If the bucket does not say.
    """
    return path.stat().st_mtime_ns if isinstance(path, Path) else _written(path, int(time.monotonic() / _LATELY))


@lru_cache(maxsize=64)
def _written(path: BucketPath, _moment: int) -> int:
    found = object_facts(path.url)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, "no such object", path.url)
    return found.written_ns


class _TranslatedFile:
    """An open object whose errors are those of `translate_errors`."""

    def __init__(self, stream: Any, url: str) -> None:
        self._stream = stream
        self._url = url

    def read(self, size: int = -1) -> bytes:
        with translate_errors(self._url):
            return bytes(self._stream.read(size))

    def __enter__(self) -> _TranslatedFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _regular(path: Path) -> BinaryIO:
    """Open a file, which must be one: a pipe without a writer would be waited for, a device may have no end."""
    if stat.S_ISDIR(mode := path.stat().st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if stat.S_ISREG(mode):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):  # and not put into its place since
            return os.fdopen(descriptor, "rb")
        os.close(descriptor)
    raise OSError(NOT_A_FILE, "a pipe, a device or a socket, not a file", str(path))


def _checked_size(size: int, path: Location, most: int | None) -> int:
    if most is not None and size > most:
        raise OSError(errno.EFBIG, f"{size} bytes; the limit is {most}", str(path))
    return size
