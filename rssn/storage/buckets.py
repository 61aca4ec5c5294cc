"""Buckets: objects listed, fetched, written and removed by their URLs.

All of it is fsspec's, with the package of each store, see `stores`. What they give up is an error that names the URL
and the remedy.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from rssn.errors import DependencyError, InputError, RemoteError
from rssn.storage.stores import STORES, status_of, store
from rssn.storage.urls import scrub

AT_A_TIME = 16
"""Requests that are on their way to a bucket together."""


class FileFacts(NamedTuple):
    """What a listing says of a file or an object."""

    size: int  # bytes
    written_ns: int  # since 1970; 0 where the store does not say


def list_objects(url: str) -> dict[str, int]:
    """Bytes of every object below a URL; see `stat_objects`."""
    return {name: facts.size for name, facts in stat_objects(url).items()}


def stat_objects(url: str) -> dict[str, FileFacts]:
    """Size and time of every object below a URL, by its name from there on; of the object itself, its name is empty.

    Objects that stand for folders, as consoles make them, are left out.

    Raises:
        RemoteError: If the bucket does not say.
    """
    base = url.partition("://")[2]
    with suppress(FileNotFoundError), translate_errors(url):
        storage = store(url)
        found = storage.find(url, detail=True)
        if isinstance(found, list):  # adlfs, of the object itself
            found = {name: storage.info(name) for name in found}
        below = {name.removeprefix(base): _facts(each) for name, each in found.items()}
        return _without_markers({name.lstrip("/"): facts for name, facts in below.items() if not name.endswith("/")})
    return {}


def _without_markers(found: dict[str, FileFacts]) -> dict[str, FileFacts]:
    """Without the empty objects that consoles make for folders; of their names adlfs leaves the last slash out."""
    empty, folders = {name for name, facts in found.items() if not facts.size}, set[str]()
    for name in found if empty else ():
        folder = name.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    markers = empty & folders
    return {name: facts for name, facts in found.items() if name not in markers}


def _facts(said: Mapping[str, Any]) -> FileFacts:
    times = {name.lower().replace("_", ""): value for name, value in said.items()}
    written = next((times[name] for name in ("lastmodified", "mtime", "updated") if times.get(name)), None)
    if isinstance(written, str):
        written = datetime.fromisoformat(written.replace("Z", "+00:00"))
    seconds = written.timestamp() if isinstance(written, datetime) else float(written or 0)
    return FileFacts(int(said["size"] or 0), round(seconds * 1e3) * 1_000_000)


def object_facts(url: str) -> FileFacts | None:
    """Size and time of an object; None where there is none.

    Raises:
        RemoteError: If the bucket does not say.
    """
    said = _said_of(url)
    return _facts(said) if said and said["type"] == "file" else None


def is_folder(url: str) -> bool:
    """Whether objects lie below a URL; one request, however many they are.

    Raises:
        RemoteError: If the bucket does not say.
    """
    said = _said_of(url)
    return said is not None and said["type"] == "directory"


def is_there(url: str) -> bool:
    """Whether there is an object, or objects lie below; likewise.

    Raises:
        RemoteError: If the bucket does not say.
    """
    return _said_of(url) is not None


def _said_of(url: str) -> Mapping[str, Any] | None:
    with suppress(FileNotFoundError), translate_errors(url):
        return dict(store(url).info(url))
    return None


def version_of(url: str) -> str:
    """What changes when an object is written anew: its size and the store's tag, or date.

    Raises:
        FileNotFoundError: If it is not there.
        RemoteError: If the bucket does not say.
    """
    with translate_errors(url):
        facts = {name.lower().replace("_", ""): value for name, value in store(url).info(url).items()}
    tag = next((facts[name] for name in ("etag", "md5hash", "lastmodified", "mtime") if facts.get(name)), "")
    return f"{facts['size']} {tag}"


def upload(path: Path, url: str) -> None:
    """Copy a file to an object, which is there whole or not at all.

    Raises:
        RemoteError: If the bucket does not take it.
    """
    with _writing(url):
        store(url).put_file(str(path), url)


def fetch(url: str, path: Path) -> None:
    """Copy an object to a file.

    Raises:
        FileNotFoundError: If it is not there.
        RemoteError: If the bucket does not give it.
    """
    with translate_errors(url):
        store(url).get_file(url, str(path))


def write(url: str, data: bytes, *, new: bool = False) -> None:
    """Write a small object.

    Raises:
        FileExistsError: If it is to be new, and there is one.
        RemoteError: If the bucket does not take it.
    """
    with _writing(url):
        store(url).pipe_file(url, data, mode="create" if new else "overwrite")


def remove(urls: Sequence[str]) -> None:
    """Remove objects, several at a time; those that are not there are none the worse.

    Raises:
        RemoteError: If the bucket refuses.
    """

    def one(url: str) -> None:
        with suppress(FileNotFoundError), translate_errors(url):
            store(url).rm_file(url)

    if len(urls) == 1:
        one(urls[0])
        return
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        for _ in pool.map(one, urls):
            pass


def abort_uploads(url: str, ours: Callable[[str], bool] = lambda _: True) -> None:
    """Give up the uploads below a URL that a killed process left half-done, where that may be done.

    Args:
        url: A folder.
        ours: Whether an object of a name, from there on, is one of ours.

    Raises:
        RemoteError: If the bucket does not answer.
    """
    protocol, _, place = url.partition("://")
    bucket, _, key = place.partition("/")
    prefix = f"{key}/" if key else ""
    try:
        with translate_errors(url):
            STORES[protocol].abort_uploads(store(url), bucket, prefix, lambda name: ours(name[len(prefix) :]))
    except RemoteError as error:
        if not is_refused(error.__cause__):  # who may write need not be allowed to list uploads
            raise


@contextmanager
def translate_errors(url: str) -> Iterator[None]:
    """Turn what goes wrong with an object into an error that names it and the remedy, without a secret."""
    try:
        yield
    except (InputError, DependencyError, RemoteError):
        raise
    except FileExistsError:
        raise
    except Exception as error:  # each package and each store has its own
        if isinstance(error, FileNotFoundError) or status_of(error) == 404:
            raise FileNotFoundError(errno.ENOENT, "no such object", url) from error
        raise RemoteError(f"{url}: {_words(error, url)}") from error


@contextmanager
def _writing(url: str) -> Iterator[None]:
    try:
        with translate_errors(url):
            yield
    except FileNotFoundError as error:
        raise RemoteError(f"{url}: no such bucket; create it first") from error


def is_refused(error: BaseException | None) -> bool:
    """Whether a store says that one may not do it."""
    return error is not None and (isinstance(error, PermissionError) or status_of(error) in (401, 403))


def _words(error: Exception, url: str) -> str:
    first = scrub((str(error) or type(error).__name__).splitlines()[0])
    if is_refused(error) or "credentials" in first.lower():
        return f"access is refused ({first}); check the credentials in the environment, and what they may do"
    row = STORES.get(url.partition("://")[0])
    where = f"the URL and {row.variable}" if row else "it"
    return f"the store did not answer as expected ({first}); check {where}, or run it again later"
