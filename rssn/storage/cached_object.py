"""Objects that are fetched once for each of their versions: for what is read as a file, such as networks."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from rssn.errors import InputError
from rssn.storage.atomic import atomic_path
from rssn.storage.buckets import fetch, version_of
from rssn.storage.files import content_id
from rssn.storage.location import BucketPath, Location
from rssn.storage.machine import cache_home

_KEPT_SECONDS = 7 * 24 * 3600.0


def local_copy(place: Location) -> Path:
    """A file of this disk as it is; of an object a copy in `~/.cache/rssn-objects`.

    A copy stays for a week after its last use; older ones are removed when another object is fetched.

    Raises:
        FileNotFoundError: If the object is not there.
        InputError: If it was replaced meanwhile.
        RemoteError: If the bucket does not give it.
    """
    if not isinstance(place, BucketPath):
        return place
    folder = cache_home() / "rssn-objects"
    version, name = version_of(place.url), content_id(place.url.encode())
    copy = folder / f"{name}-{content_id(version.encode())}"
    if not _is_there(copy):
        with atomic_path(copy, durable=False) as temporary:
            fetch(place.url, temporary)
            if version_of(place.url) != version:
                raise InputError(f"{place}: it was replaced while it was read; run the same command again")
        _sweep(folder)
    return copy


def _is_there(copy: Path) -> bool:
    """Whether there is a copy, which then counts as used now: no other process removes it before it is opened."""
    with suppress(FileNotFoundError, PermissionError):  # none; or a cache that others fill
        os.utime(copy)
    return copy.is_file()


def _sweep(folder: Path) -> None:
    """Remove what was not used for long, also of downloads that were killed."""
    for old in folder.iterdir():
        with suppress(FileNotFoundError):  # another process sweeps too
            if time.time() - old.stat().st_mtime > _KEPT_SECONDS:
                old.unlink()
