"""Inputs in a bucket."""

from __future__ import annotations

from pathlib import Path

from rssn.storage.cache_folder import own_folder
from rssn.storage.location import BucketPath, Location
from rssn.storage.remote import list_source


def source(place: Location, cache: Path) -> Path:
    """The path of an input; of a URL what lies there is listed.

    Raises:
        InputError: If a URL leads to nothing, or the cache is somebody else's folder.
        RemoteError: If the bucket does not answer.
    """
    if not isinstance(place, BucketPath):
        return place
    own_folder(cache.resolve())
    return list_source(place.url, cache.resolve())
