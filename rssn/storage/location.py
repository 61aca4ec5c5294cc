"""Where something lies: a path on this disk, or an object or a folder in a bucket, used in the same way.

A `BucketPath` has the part of pathlib's interface that this project uses. It is not a path of this machine: what takes
paths alone, such as `open`, refuses it.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from rssn.storage.buckets import is_folder, is_there, list_objects, object_facts, remove
from rssn.storage.machine import private_folder
from rssn.storage.stores import STORES
from rssn.storage.urls import checked_url, is_plain, is_url


@dataclass(frozen=True, order=True, slots=True)
class BucketPath:
    """An object in a bucket, or a folder of objects: those whose names begin alike.

    Attributes:
        url: `s3://bucket/folder/name`, see `rssn.storage.urls.checked_url`.
    """

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str | PurePosixPath) -> BucketPath:
        if not is_plain(str(name)):
            raise ValueError(f"{name!r} is not the name of an object in {self.url}")
        return BucketPath(f"{self.url}/{name}")

    @property
    def _key(self) -> PurePosixPath:
        return PurePosixPath(self.url.partition("://")[2])

    @property
    def name(self) -> str:
        """What follows the last slash."""
        return self._key.name

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self._key.stem

    @property
    def suffix(self) -> str:
        """What follows the name's last dot, with it."""
        return self._key.suffix

    @property
    def parent(self) -> BucketPath:
        """The folder; of a bucket, itself."""
        return self if len(self._key.parts) == 1 else BucketPath(self.url.rpartition("/")[0])

    def with_name(self, name: str) -> BucketPath:
        """Another object in the same folder."""
        return self.parent / name

    def with_suffix(self, suffix: str) -> BucketPath:
        """The same with another suffix."""
        return self.with_name(self._key.with_suffix(suffix).name)

    def is_relative_to(self, other: Location) -> bool:
        """Whether it is another one, or lies below it."""
        return isinstance(other, BucketPath) and f"{self.url}/".startswith(f"{other.url}/")

    def relative_to(self, other: Location) -> PurePosixPath:
        """Its name from a folder on.

        Raises:
            ValueError: If it does not lie there.
        """
        if not self.is_relative_to(other):
            raise ValueError(f"{self.url} does not lie in {other}")
        return PurePosixPath(self.url[len(str(other)) + 1 :])

    def resolve(self) -> BucketPath:
        """Itself: there are no links and nothing it is relative to."""
        return self

    def is_file(self) -> bool:
        """Whether there is an object of this name."""
        return object_facts(self.url) is not None

    def is_dir(self) -> bool:
        """Whether there are objects below it."""
        return is_folder(self.url)

    def exists(self) -> bool:
        """Whether it is a file or a folder."""
        return is_there(self.url)

    def iterdir(self) -> Iterator[BucketPath]:
        """The objects and folders in it, in order of name."""
        return (self / name for name in sorted({name.partition("/")[0] for name in self._names()}))

    def glob(self, pattern: str) -> Iterator[BucketPath]:
        """The objects below it whose names match as pathlib's do; one listing, in order of name."""
        depth = pattern.count("/")
        found = (name for name in sorted(self._names()) if name.count("/") == depth)
        return (self / name for name in found if PurePosixPath(name).match(pattern))

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing is to be made: folders are parts of names."""

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Remove the object.

        Raises:
            FileNotFoundError: If there is none, unless it may be missing.
        """
        if not missing_ok and not self.is_file():
            raise FileNotFoundError(errno.ENOENT, "no such object", self.url)
        remove([self.url])

    def _names(self) -> Iterator[str]:
        return filter(None, list_objects(self.url))


Location: TypeAlias = Path | BucketPath
"""A place on this disk or in a bucket."""


def lies_in(place: Location, other: Location) -> bool:
    """Whether a place is another one, or lies below it; both resolved."""
    return isinstance(place, BucketPath) == isinstance(other, BucketPath) and place.is_relative_to(other)  # type: ignore[arg-type]  # of one kind


def scratch_of(place: BucketPath) -> Path:
    """The folder on this machine, this user's alone, of what is on its way to a place in a bucket."""
    protocol, _, name = place.url.partition("://")
    server = os.environ.get(STORES[protocol].variable, "")
    store = f"{protocol}-{hashlib.sha256(server.encode()).hexdigest()[:8]}" if server else protocol
    return private_folder("scratch") / store / name


def parse_location(text: str) -> Location:
    """The place that a text names: a URL with `://` in it, or a path.

    Raises:
        InputError: As `rssn.storage.urls.checked_url` does.
    """
    return BucketPath(checked_url(text)) if is_url(text) else Path(text)
