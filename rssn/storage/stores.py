"""The stores that we know, each with its package (s3fs, gcsfs, adlfs) over fsspec: a store is a row here.

The packages differ in what they take for granted; a row makes them alike. All of them try again with growing pauses
what was throttled, answered with 5xx or cut; all write an object whole or not at all, and one that must be new only if
there is none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rssn.errors import DependencyError

_PARTS = 2  # of 50 MB, of a shard that are on their way at once; with s3fs' ten a worker took 0.5 GB for them
_SILENT_SECONDS = 30.0
"""How long a store may be silent before a request is made again; the packages' own are 15 s, 300 s for all of a
request, and 60 s, the age of a stale lease."""


def _nothing(*_: object) -> None:
    """Where half-done uploads are no matter: nobody sees them, and the store drops them after a week."""


@dataclass(frozen=True)
class Store:
    """What is special about a store.

    Attributes:
        extra: Of our package; installs the store's.
        variable: Of the environment; leads to another server than the store's own.
        loggers: Of its package, which would print tracebacks where nobody has said what is to be logged.
        prepare: Readies its package; what its file system is made with.
        abort_uploads: Gives up uploads that a killed process left half-done: file system, bucket, what their keys begin
            with, and which of them are ours.
    """

    extra: str
    variable: str
    loggers: tuple[str, ...]
    prepare: Callable[[], Mapping[str, Any]]
    abort_uploads: Callable[[Any, str, str, Callable[[str], bool]], None] = _nothing


def store(url: str) -> Any:
    """The file system of a URL; one for each process.

    Raises:
        DependencyError: If its package is not installed.
    """
    import fsspec  # noqa: PLC0415  (those who use no bucket do not pay for it)

    protocol = url.partition("://")[0]
    row = STORES[protocol]
    for logger in map(logging.getLogger, row.loggers):
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
    try:
        return fsspec.filesystem(protocol, use_listings_cache=False, **row.prepare())
    except ImportError as error:
        words = f"{protocol}:// needs a package that is not installed"
        raise DependencyError(f"{words}; pip install 'rssn[{row.extra}]'") from error


def status_of(error: BaseException) -> int:
    """The HTTP status that an error stands for; 0 where none is known. Each package keeps it elsewhere."""
    answer = getattr(error, "response", None)
    said = answer.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(answer, Mapping) else None
    status = str(said or getattr(error, "status_code", None) or getattr(error, "code", None))
    return int(status) if status.isdecimal() else 403 if str(error).startswith("Forbidden") else 0


def _prepare_s3() -> dict[str, Any]:
    from s3fs.core import set_custom_error_handler  # noqa: PLC0415

    set_custom_error_handler(_is_temporary)
    return {"max_concurrency": _PARTS, "config_kwargs": {"read_timeout": _SILENT_SECONDS}}


def _is_temporary(error: Exception) -> bool:
    """Whether S3 failed within: s3fs tries throttled and cut requests again of itself, and these if it is told to."""
    return status_of(error) >= 500


def _abort_s3_uploads(storage: Any, bucket: str, prefix: str, ours: Callable[[str], bool]) -> None:
    """Those of S3 stay, and are paid for, until somebody gives them up."""
    page: Mapping[str, Any] = {"IsTruncated": True}
    after: dict[str, str] = {}
    while page["IsTruncated"]:
        page = storage.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix, **after)
        for one in page.get("Uploads", ()):
            if ours(one["Key"]):
                storage.abort_mpu(bucket, one["Key"], one["UploadId"])
        after = {"KeyMarker": page.get("NextKeyMarker", ""), "UploadIdMarker": page.get("NextUploadIdMarker", "")}


def _prepare_google() -> dict[str, Any]:
    from aiohttp import ClientTimeout  # noqa: PLC0415

    return {"requests_timeout": ClientTimeout(total=None, sock_connect=_SILENT_SECONDS, sock_read=_SILENT_SECONDS)}


def _prepare_azure() -> dict[str, Any]:
    return {"max_concurrency": _PARTS, "read_timeout": _SILENT_SECONDS}


STORES: Mapping[str, Store] = {
    "s3": Store("s3", "AWS_ENDPOINT_URL", ("s3fs", "botocore"), _prepare_s3, _abort_s3_uploads),
    "gs": Store("gcs", "STORAGE_EMULATOR_HOST", ("gcsfs", "google"), _prepare_google),
    "az": Store("azure", "AZURE_STORAGE_CONNECTION_STRING", ("adlfs", "azure"), _prepare_azure),
}
"""By what URLs of theirs begin with."""
