"""The listing of a crawl: made once, on this disk, whatever is asked of it afterwards."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rssn.dataset.rows import iter_rows
from rssn.dataset.schema import PLANNED_PHOTOS
from rssn.errors import InputError
from rssn.image.picture_files import unread_words
from rssn.sources.crawl import Photograph, list_photographs
from rssn.storage.files import Row, write_parquet
from rssn.storage.location import Location


@dataclass(frozen=True)
class CrawlListing:
    """The photographs of a crawl, in a scratch file."""

    photos: Location
    path: Path  # rows of PLANNED_PHOTOS
    count: int
    digest: str  # of names, kinds, sizes, origins and licences
    unread: Counter[str]  # visible files that are no pictures, by suffix

    @property
    def facts(self) -> dict[str, Any]:
        """What the manifest says of it."""
        return {"count": self.count, "digest": self.digest}

    def rows(self) -> Iterator[Row]:
        """The photographs as rows, a few thousand in memory at a time."""
        return iter_rows(self.path)


@contextmanager
def list_crawl(photos: Location, out: Location) -> Iterator[CrawlListing]:
    """List a crawl; the scratch file is removed at the end.

    Args:
        photos: See `rssn.sources.crawl.list_photographs`.
        out: A folder that does not count: where results go.

    Raises:
        InputError: If there are no photographs.
    """
    with TemporaryDirectory(prefix="rssn-crawl-") as scratch:
        path, unread, digest = Path(scratch) / "photos.parquet", Counter[str](), hashlib.sha256()
        count = write_parquet(path, PLANNED_PHOTOS, _digested(list_photographs(photos, out, unread), digest)).rows
        if not count:
            others = f"; {unread_words(unread)}" if unread else ""
            raise InputError(f"{photos}: no pictures found in it{others}")
        yield CrawlListing(photos, path, count, digest.hexdigest(), unread)


def _digested(photographs: Iterable[Photograph], digest: hashlib._Hash) -> Iterator[Row]:
    for photograph in photographs:
        digest.update(("\0".join(photograph.facts) + "\n").encode())
        yield photograph.to_row()
