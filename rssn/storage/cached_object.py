"""Objects that are fetched once for each of their versions: for what is read as a file, such as networks."""

from __future__ import annotations

from pathlib import Path

from rssn.errors import InputError
from rssn.storage.atomic import atomic_path
from rssn.storage.buckets import fetch, version_of
from rssn.storage.files import content_id
from rssn.storage.location import BucketPath, Location
from rssn.storage.machine import cache_home


def local_copy(place: Location) -> Path:
    """A file of this disk as it is; of an object a copy in `~/.cache/rssn-objects`, where the newest version stays.

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
    if not copy.is_file():
        with atomic_path(copy, durable=False) as temporary:
            fetch(place.url, temporary)
            if version_of(place.url) != version:
                raise InputError(f"{place}: it was replaced while it was read; run the same command again")
        for old in folder.glob(f"{name}-*"):
            if old != copy:
                old.unlink(missing_ok=True)
    return copy
