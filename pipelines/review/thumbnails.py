"""The pictures of a review: found by source, made small when they are asked for, kept in a bounded memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeAlias

import pyarrow as pa

from rssn.dataset.rows import places_in, read_row
from rssn.errors import InputError, Rejected, RemoteError, first_line
from rssn.image.arrays import encode_jpeg, fit_inside
from rssn.image.decoding import decode_pixels
from rssn.storage.location import BucketPath, Location
from rssn.storage.remote import ahead, parquet

THUMBNAIL_SIDE = 512  # px
CACHE_BYTES = 96 << 20  # some 2,000 thumbnails

_JPEG = b"\xff\xd8\xff"
Place: TypeAlias = tuple[Location, tuple[int, int], str]
"""A Parquet file, the row's place in it, and the column of the picture."""


class Pictures:
    """The pictures of a curated set, by source.

    Examined photographs have their resized picture in `candidates/`, kept ones in `data/`; of the others `rejects/` may
    hold a thumbnail. The largest one that is there is taken, so a set without its working folder can be reviewed too.

    Args:
        root: The curated set.

    Raises:
        InputError: If one of its files is damaged.
        RemoteError: If the bucket does not give one.
    """

    def __init__(self, root: Location) -> None:
        self._places: dict[str, Place] = {}
        folders = (("rejects", "thumbnail"), ("data", "image"), ("candidates/data", "image"))
        files: list[tuple[Location, str]] = []
        for folder, column in folders:
            shards: list[Location] = [*(root / folder).glob("*.parquet")]
            files += ((path, column) for path in sorted(shards, key=str))
        for found in ahead(_find, files, remote=isinstance(root, BucketPath)):
            self._places.update(found)
        self._small = _ByteCache(CACHE_BYTES)

    def thumbnail(self, source: str) -> bytes | None:
        """A JPEG of at most 512 px on its longer side; None where there is no picture."""
        return self._small.get(source, self._make)

    def picture(self, source: str) -> bytes | None:
        """The JPEG as it is stored; None where there is none."""
        place = self._places.get(source)
        data = place and _read(place)
        return data if data and data.startswith(_JPEG) else None

    def _make(self, source: str) -> bytes | None:
        data = self.picture(source)
        try:
            return data and encode_jpeg(fit_inside(decode_pixels(data), THUMBNAIL_SIDE), 85)
        except Rejected:
            return None


def _find(file: tuple[Location, str]) -> dict[str, Place]:
    """The place of every row that has a picture, by source; reads names and sizes, no picture."""
    path, column = file
    try:
        with parquet(path) as shard:
            rows = shard.read(columns=["source", f"{column}.path"]).to_pylist()
            found = zip(rows, places_in(shard.metadata), strict=True)
    except RemoteError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: damaged: {first_line(error)}; run rssn build-bg20k again") from error
    return {row["source"]: (path, place, column) for row, place in found if row[column] is not None}


def _read(place: Place) -> bytes | None:
    path, where, column = place
    try:
        data: bytes | None = read_row(path, where, [column])[column]["bytes"]
    except (OSError, LookupError, pa.ArrowException):  # replaced by a run of build-bg20k that goes on meanwhile
        return None
    return data


class _ByteCache:
    """The most recently asked for values, up to a number of bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, key: str, make: Callable[[str], bytes | None]) -> bytes | None:
        """The value of a key, made where it is not held; None is made again each time."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        value = make(key)
        if value is not None:
            self._hold(key, value)
        return value

    def _hold(self, key: str, value: bytes) -> None:
        with self._lock:
            self._size += len(value) - len(self._held.pop(key, b""))
            self._held[key] = value
            while self._size > self._limit:
                self._size -= len(self._held.popitem(last=False)[1])
