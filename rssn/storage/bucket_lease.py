"""The lease of a data set in a bucket: an object that is created only if there is none, and renewed by its owner.

A stale lease is overwritten by the run that creates a claim to it, also an object that is created only if there is
none. For a run of the same user on this machine the kernel knows whether it is alive: the run holds a lock on a file.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from rssn.storage.buckets import remove, write
from rssn.storage.location import BucketPath, scratch_of
from rssn.storage.lock import LEASE, STALE_SECONDS, Lease, parse_lease
from rssn.storage.remote import content


@dataclass(frozen=True)
class BucketLease:
    """The lease of a data set in a bucket, an object in its folder.

    Attributes:
        root: The data set's folder.
        object_name: Of the lease: works that may go on side by side hold one each.
        work: What its owner does, in a word.
    """

    root: BucketPath
    object_name: str = LEASE
    work: str = "run"

    @property
    def name(self) -> str:
        """The URL of the data set."""
        return str(self.root)

    @property
    def lock_path(self) -> Path:
        """Beside the folder of what is on its way there, which is removed when the run ends."""
        scratch = scratch_of(self.root)
        return scratch.with_name(f".{scratch.name}{Path(self.object_name).stem}")

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """A bucket cannot be locked; `take` and `renew` check again."""
        yield

    def read(self) -> Lease | None:
        """The lease; None where there is none. Clocks are assumed to agree within seconds."""
        with suppress(FileNotFoundError):
            return parse_lease(content(self.root / self.object_name), math.inf, self.lock_path)
        return None

    def take(self, mine: Lease, stale: Lease | None) -> bool:
        """Write a lease where there is none or a stale one; whether it was written."""
        if stale is None:
            return self._make(mine)
        claim = replace(self, object_name=f"{Path(self.object_name).stem}-claim.json")
        if not claim._make(mine):
            other = claim.read()
            if other and other.age > STALE_SECONDS:  # its owner died a moment later: the next run is free to claim
                remove([claim._url])
            return False
        try:
            now = self.read()
            free = now is not None and now.owner == stale.owner
            if free:
                write(self._url, self._bytes(mine))
            return free
        finally:
            remove([claim._url])

    def renew(self, mine: Lease) -> None:
        """Say that the owner is alive."""
        write(self._url, self._bytes(mine))

    def remove(self) -> None:
        """Delete it."""
        remove([self._url])
        self.lock_path.unlink(missing_ok=True)

    @property
    def _url(self) -> str:
        return str(self.root / self.object_name)

    def _make(self, lease: Lease) -> bool:
        """Write it if there is none; whether it was written, even if the store's first answer was lost."""
        try:
            write(self._url, self._bytes(lease), new=True)
        except FileExistsError:
            now = self.read()
            return now is not None and now.owner == lease.owner
        return True

    @staticmethod
    def _bytes(lease: Lease) -> bytes:
        return json.dumps(lease.facts | {"renewed": time.time()}).encode()
