"""Reading and listing what lies here or in a bucket; see `urls` for the paths that stand for objects."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import pyarrow.parquet as pq

from rssn.errors import InputError
from rssn.storage.atomic import atomic_path
from rssn.storage.buckets import FileFacts, object_facts, stat_objects, translate_errors, version_of
from rssn.storage.location import BucketPath, Location
from rssn.storage.stores import store
from rssn.storage.urls import OUTPUTS, SOURCES, is_listed, is_plain, path_of, url_of

READ_AHEAD = 4 << 20
"""Bytes that are fetched at a time where a whole object is read bit by bit."""

NOT_A_FILE = errno.ENOTSUP
"""The error number of what is a pipe, a device or a socket."""

_AT_A_TIME = 16

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
    place = _place(path)
    if isinstance(place, Path):
        return _regular(place)
    cache = {"cache_type": "readahead", "block_size": ahead} if ahead else {"cache_type": "none"}
    with translate_errors(place.url):
        return cast(BinaryIO, _TranslatedFile(store(place.url).open(place.url, "rb", **cache), place.url))


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
    place = _place(path)
    if isinstance(place, Path):
        with _regular(place) as stream:
            size = _checked_size(os.fstat(stream.fileno()).st_size, path, most)
            return stream.read(size + 1 if size else most or -1)  # what says it is empty may be the system's own file
    if is_listed(path):
        _checked_size(Path(str(path)).stat().st_size, path, most)
    with translate_errors(place.url):
        data = bytes(store(place.url).cat_file(place.url, end=None if most is None else most + 1))
    _checked_size(len(data), path, most)
    return data


def contents(paths: Sequence[Location]) -> Iterator[bytes | None]:
    """All bytes of small files or objects, in order; None for one that is not there. Of a bucket several at a time.

    Raises:
        OSError: As `content` does otherwise.
        RemoteError: If the bucket does not give one.
    """

    def read(path: Location) -> bytes | None:
        with suppress(FileNotFoundError):
            return content(path)
        return None

    return ahead(read, paths, remote=any(isinstance(path, BucketPath) for path in paths))


@contextmanager
def parquet(path: Location, *, checked: bool = False) -> Iterator[pq.ParquetFile]:
    """A Parquet file, here or in a bucket, of which no more is fetched than is read; see `opened`.

    Args:
        path: Where it is.
        checked: Compare each page with its checksum, where it has one.
    """
    place = _place(path)
    if isinstance(place, Path):
        with pq.ParquetFile(place, page_checksum_verification=checked) as file:
            yield file
        return
    with (
        opened(place) as stream,
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


def list_files(root: Location) -> dict[str, FileFacts]:
    """Every file or object below a folder, by its name from there on; nothing where there is no folder.

    Links to folders are not followed.

    Raises:
        RemoteError: If the bucket does not say.
    """
    if isinstance(root, BucketPath):
        found = stat_objects(root.url)
        return {name: facts for name, facts in found.items() if name and not name.endswith("/")}
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
    place = _place(path)
    if isinstance(place, Path) or path.is_file():  # a listing has the sizes
        status = path.stat() if path.is_file() else None
        return FileFacts(status.st_size, status.st_mtime_ns) if status else None
    return object_facts(place.url)


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
    return str(status.st_mtime_ns) if is_listed(path) else f"{status.st_mtime_ns} {status.st_ino}"


def download(url: str, root: Path, names: list[str]) -> None:
    """Copy objects below a URL to files of the same names below a folder, several at a time.

    Raises:
        FileNotFoundError: If one is not there.
        RemoteError: If the bucket does not give them.
    """
    with ExitStack() as stack:
        temporary = [str(stack.enter_context(atomic_path(root / name, durable=False))) for name in names]
        with translate_errors(url):
            if names:
                store(url).get([f"{url}/{name}" for name in names], temporary)


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


def _checked_size(size: int, path: Location, most: int | None) -> int:
    if most is not None and size > most:
        raise OSError(errno.EFBIG, f"{size} bytes; the limit is {most}", str(path))
    return size


def _place(path: Location) -> Location:
    """Where something is, unless a path stands for it."""
    if isinstance(path, BucketPath):
        return path
    url = url_of(path)
    if url is None or is_listed(path):
        return BucketPath(url) if url else path
    here = OUTPUTS in path.parts and (path.parent.name != "data" or path.is_file())
    return path if here or (SOURCES in path.parts and path.suffix == ".json") else BucketPath(url)


def _lay_out(url: str, root: Path, name: str, facts: FileFacts) -> None:
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
