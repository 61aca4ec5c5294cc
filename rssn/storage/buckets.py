"""Buckets: objects listed, fetched, written and removed by their URLs.

All of it is fsspec's, with the package of each store (s3fs, gcsfs, adlfs), which try again with growing pauses what
was throttled, answered with 5xx or cut. What they give up is an error that names the URL and the remedy.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from rssn.errors import DependencyError, InputError, RemoteError
from rssn.storage.urls import PROTOCOLS, scrub

_PARTS = 2  # of 50 MB, of a shard that are on their way at once; with s3fs' ten a worker took 0.5 GB for them


class FileFacts(NamedTuple):
    """What a listing says of a file or an object."""

    size: int  # bytes
    written_ns: int  # since 1970; 0 where the store does not say


def list_objects(url: str) -> dict[str, int]:
    """Bytes of every object below a URL; see `stat_objects`."""
    return {name: facts.size for name, facts in stat_objects(url).items()}


def stat_objects(url: str) -> dict[str, FileFacts]:
    """Size and time of every object below a URL, by its name from there on; of the object itself, its name is empty.

    Raises:
        RemoteError: If the bucket does not say.
    """
    base = url.partition("://")[2]
    with suppress(FileNotFoundError), translate_errors(url):
        found = store(url).find(url, detail=True)
        return {name.removeprefix(base).lstrip("/"): _facts(each) for name, each in found.items()}
    return {}


def _facts(said: Mapping[str, Any]) -> FileFacts:
    times = {name.lower().replace("_", ""): value for name, value in said.items()}
    written = next((times[name] for name in ("lastmodified", "mtime", "updated") if times.get(name)), None)
    if isinstance(written, str):
        written = datetime.fromisoformat(written.replace("Z", "+00:00"))
    seconds = written.timestamp() if isinstance(written, datetime) else float(written or 0)
    return FileFacts(int(said["size"] or 0), round(seconds * 1e3) * 1_000_000)


def object_size(url: str) -> int | None:
    """Bytes of an object; None where there is none.

    Raises:
        RemoteError: If the bucket does not say.
    """
    with suppress(FileNotFoundError), translate_errors(url):
        facts = store(url).info(url)
        return int(facts["size"] or 0) if facts["type"] == "file" else None
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


def write(url: str, data: bytes, *, new: bool = False) -> None:
    """Write a small object.

    Raises:
        FileExistsError: If it is to be new, and there is one.
        RemoteError: If the bucket does not take it.
    """
    with _writing(url):
        store(url).pipe_file(url, data, mode="create" if new else "overwrite")


def remove(urls: list[str]) -> None:
    """Remove objects; those that are not there are none the worse.

    Raises:
        RemoteError: If the bucket refuses.
    """
    for url in urls:
        with suppress(FileNotFoundError), translate_errors(url):
            store(url).rm_file(url)


def abort_uploads(url: str) -> None:
    """Give up the uploads below a URL that a killed process left half-done; other stores than S3 do so themselves."""
    bucket, _, key = url.partition("://")[2].partition("/")
    if url.startswith("s3://"):
        with translate_errors(url):
            storage = store(url)
            for one in storage.list_multipart_uploads(bucket):
                if one["Key"].startswith(f"{key}/" if key else ""):
                    storage.abort_mpu(bucket, one["Key"], one["UploadId"])


def store(url: str) -> Any:
    """The file system of a URL; one for each process.

    Raises:
        DependencyError: If its package is not installed.
    """
    import fsspec  # noqa: PLC0415  (those who use no bucket do not pay for it)

    protocol = url.partition("://")[0]
    parts = {} if protocol == "gs" else {"max_concurrency": _PARTS}
    try:
        if protocol == "s3":
            from s3fs.core import set_custom_error_handler  # noqa: PLC0415

            set_custom_error_handler(_is_temporary)
        return fsspec.filesystem(protocol, use_listings_cache=False, **parts)
    except ImportError as error:
        words = f"{protocol}:// needs a package that is not installed"
        raise DependencyError(f"{words}; pip install 'rssn[{PROTOCOLS[protocol]}]'") from error


@contextmanager
def translate_errors(url: str) -> Iterator[None]:
    """Turn what goes wrong with an object into an error that names it and the remedy, without a secret."""
    try:
        yield
    except (InputError, DependencyError, RemoteError):
        raise
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, "no such object", url) from error
    except FileExistsError:
        raise
    except Exception as error:  # each package and each store has its own
        raise RemoteError(f"{url}: {_words(error)}") from error


@contextmanager
def _writing(url: str) -> Iterator[None]:
    try:
        with translate_errors(url):
            yield
    except FileNotFoundError as error:
        raise RemoteError(f"{url}: no such bucket; create it first") from error


def _is_temporary(error: Exception) -> bool:
    """Whether S3 failed within: s3fs tries throttled and cut requests again of itself, and these if it is told to."""
    answer = getattr(error, "response", None) or {}
    return bool(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500)


def _words(error: Exception) -> str:
    first = scrub((str(error) or type(error).__name__).splitlines()[0])
    if isinstance(error, PermissionError) or "credentials" in first.lower():
        return f"access is refused ({first}); check the credentials in the environment, and what they may do"
    return f"the store did not answer as expected ({first}); check the URL and AWS_ENDPOINT_URL, or run it again later"
