"""Files that may lie in a bucket, read as if they were here; see `urls` for the paths that stand for objects."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import pyarrow.parquet as pq

from rssn.errors import InputError
from rssn.storage.buckets import ObjectFacts, download, stat_objects, store, translate_errors
from rssn.storage.urls import OUTPUTS, SOURCES, is_listed, is_plain, path_of, url_of

READ_AHEAD = 4 << 20
"""Bytes that are fetched at a time where a whole object is read bit by bit."""

NOT_A_FILE = errno.ENOTSUP
"""The error number of what is a pipe, a device or a socket."""

_AT_A_TIME = 16

S = TypeVar("S")
R = TypeVar("R")


def opened(path: Path, ahead: int = 0) -> BinaryIO:
    """A file for reading, or the object that the path stands for, of which no more is fetched than is read.

    Args:
        path: A file, or see `rssn.storage.urls`.
        ahead: Bytes of an object that are fetched at a time, for many small reads; 0: each read for itself.

    Raises:
        FileNotFoundError: If it is not there.
        OSError: If it is a pipe, a device or a socket: those are not waited for.
        RemoteError: If the bucket does not give it.
    """
    url = _remote(path)
    if url is None:
        return _regular(path)
    cache = {"cache_type": "readahead", "block_size": ahead} if ahead else {"cache_type": "none"}
    with translate_errors(url):
        return cast(BinaryIO, _TranslatedFile(store(url).open(url, "rb", **cache), url))


def content(path: Path, most: int | None = None) -> bytes:
    """All bytes of a file or of the object that a path stands for, which may be written anew at any moment.

    Args:
        path: A file, or see `rssn.storage.urls`.
        most: Bytes that it may have; None: any number.

    Raises:
        FileNotFoundError: If it is not there.
        OSError: If it is a pipe, a device or a socket, or (`errno.EFBIG`) has more bytes than it may.
        RemoteError: If the bucket does not give it.
    """
    if (url := _remote(path)) is None:
        with _regular(path) as stream:
            size = _checked_size(os.fstat(stream.fileno()).st_size, path, most)
            return stream.read(size + 1 if size else most or -1)  # what says it is empty may be the system's own file
    if is_listed(path):
        _checked_size(path.stat().st_size, path, most)
    with translate_errors(url):
        return bytes(store(url).cat_file(url))


@contextmanager
def parquet(path: Path, *, checked: bool = False) -> Iterator[pq.ParquetFile]:
    """A Parquet file, or the object that a path stands for, of which no more is fetched than is read; see `opened`.

    Args:
        path: A file, or see `rssn.storage.urls`.
        checked: Compare each page with its checksum, where it has one.
    """
    if _remote(path) is None:
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
    pool, flying = ThreadPoolExecutor(_AT_A_TIME), deque[Future[R]]()
    try:
        for item in items:
            flying.append(pool.submit(read, item))
            if len(flying) == _AT_A_TIME:
                yield flying.popleft().result()
        while flying:
            yield flying.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def size_of(path: Path) -> int | None:
    """Bytes of a file or of the object that a path stands for; None where there is none.

    Raises:
        RemoteError: If the bucket does not say.
    """
    if _remote(path) is None or path.is_file():  # a listing has the sizes
        return path.stat().st_size if path.is_file() else None
    url = _remote(path) or ""
    with suppress(FileNotFoundError), translate_errors(url):
        return int(store(url).info(url)["size"])
    return None


def stamp(path: Path) -> str:
    """What changes when a file is replaced, though it keep its name and its size: its time, and its number on the disk.

    Of an object in a bucket, as it was listed, the time when it was written.
    """
    status = path.stat()
    return str(status.st_mtime_ns) if is_listed(path) else f"{status.st_mtime_ns} {status.st_ino}"


def list_source(url: str, cache: Path) -> Path:
    """Lay out what lies below a URL as empty files of the right names, sizes and times; JSON files are fetched.

    Args:
        url: A folder in a bucket, or a file in one; of a table's neighbours all are listed, for it names them.
        cache: Where the listing goes; one that is there is brought up to date.

    Returns:
        The path that stands for it.

    Raises:
        InputError: If there is nothing, or an object's name cannot be a file's.
        RemoteError: If the bucket does not answer.
    """
    base, found = url, stat_objects(url)
    if "" in found:  # a file
        base, _, name = url.rpartition("/")
        found = stat_objects(base) if name.endswith((".csv", ".parquet")) else {name: found[""]}
    found = {name: facts for name, facts in found.items() if facts.size or not name.endswith("/")}
    if not found:
        raise InputError(f"{url}: no objects there; give a folder with objects, or a file")
    root = path_of(base, cache, SOURCES)
    for path in root.rglob("*"):
        if path.is_file() and path.relative_to(root).as_posix() not in found:
            path.unlink()
    for name, facts in found.items():
        _lay_out(base, root, name, facts)
    small = [name for name in found if name.endswith(".json")]
    download(base, root, small)
    for name in small:
        os.utime(root / name, ns=(found[name].written_ns,) * 2)
    return path_of(url, cache, SOURCES)


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


def _checked_size(size: int, path: Path, most: int | None) -> int:
    if most is not None and size > most:
        raise OSError(errno.EFBIG, f"{size} bytes; the limit is {most}", str(path))
    return size


def _remote(path: Path) -> str | None:
    """The URL of what a path stands for, unless the file itself is here or would be if there was one."""
    url = url_of(path)
    if url is None or is_listed(path):
        return url
    here = OUTPUTS in path.parts and (path.parent.name != "data" or path.is_file())
    return None if here or (SOURCES in path.parts and path.suffix == ".json") else url


def _lay_out(url: str, root: Path, name: str, facts: ObjectFacts) -> None:
    path = root / name
    if not is_plain(name):
        raise InputError(f"{url}/{name}: cannot be the name of a file; rename the object, or give a folder without it")
    if name.endswith(".json"):
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.stat().st_size != facts.size:
            with path.open("wb") as stream:
                stream.truncate(facts.size)
        os.utime(path, ns=(facts.written_ns, facts.written_ns))
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise InputError(f"{url}/{name}: an object and a folder of the same name; rename one of them") from error
