"""The lease of a data set in a bucket: an object that is created only if there is none, and renewed by its owner.

A stale lease is overwritten by the run that creates a claim to it, also an object that is created only if there is
none. For a run on this machine with the same cache, the kernel knows whether it is alive: the run holds a lock on a
file beside its folder.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from rssn.storage.buckets import remove, upload, write
from rssn.storage.files import write_json
from rssn.storage.lock import LEASE, STALE_SECONDS, Lease, parse_lease
from rssn.storage.remote import content

_CLAIM = ".lease-claim.json"


@dataclass(frozen=True)
class BucketLease:
    """Where the lease of a data set in a bucket is, and the local folder of the data set.

    With each renewal the progress of the run is uploaded too, for `rssn status`.
    """

    url: str
    root: Path
    object_name: str = LEASE

    @property
    def name(self) -> str:
        """The URL of the data set."""
        return self.url

    @property
    def lock_path(self) -> Path:
        """Beside the folder, which is emptied by the run that takes the lease."""
        return self.root.with_name(f".{self.root.name}.lease")

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """A bucket cannot be locked; `take` and `renew` check again."""
        yield

    def read(self) -> Lease | None:
        """The lease; None where there is none. Clocks are assumed to agree within seconds."""
        with suppress(FileNotFoundError):
            return parse_lease(content(self._object), math.inf, self.lock_path)
        return None

    def take(self, mine: Lease, stale: Lease | None) -> bool:
        """Write a lease where there is none or a stale one; whether it was written."""
        if stale is None:
            return self._make(mine)
        claim = replace(self, object_name=_CLAIM)
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
        """Say that the owner is alive, and how far it is."""
        write(self._url, self._bytes(mine))
        for name in (".run.json", "candidates/.run.json"):
            if (self.root / name).is_file():
                upload(self.root / name, f"{self.url}/{name}")

    def remove(self) -> None:
        """Delete it."""
        remove([self._url])
        self.lock_path.unlink(missing_ok=True)

    def copy(self) -> None:
        """Copy the lease into the folder, with its age, for those who look there."""
        held = self.read()
        if held:
            path = self.root / LEASE
            write_json(path, held.facts)
            os.utime(path, (time.time() - held.age,) * 2)

    @property
    def _url(self) -> str:
        return f"{self.url}/{self.object_name}"

    def _make(self, lease: Lease) -> bool:
        """Write it if there is none; whether it was written, even if the store's first answer was lost."""
        try:
            write(self._url, self._bytes(lease), new=True)
        except FileExistsError:
            now = self.read()
            return now is not None and now.owner == lease.owner
        return True

    @property
    def _object(self) -> Path:
        return Path(self._url)

    @staticmethod
    def _bytes(lease: Lease) -> bytes:
        return json.dumps(lease.facts | {"renewed": time.time()}).encode()
