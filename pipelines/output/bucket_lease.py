"""The lease of a data set in a bucket: an object, made only if there is none, and written again while its owner lives.

A stale one is overwritten by whoever makes the claim to it, an object too that is made only if there is none. Of a run
on this machine, with the same cache, the kernel knows whether it lives: it holds a lock on a file beside its folder.
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

from pipelines.output.lease import STALE_SECONDS, Lease, parse_lease
from rssn.storage.buckets import remove, upload, write
from rssn.storage.files import write_json
from rssn.storage.remote import content

_CLAIM = ".lease-claim.json"


@dataclass(frozen=True)
class BucketLease:
    """Where the lease of a data set in a bucket lies, and the folder that stands for the data set here.

    With each renewal the state of the run goes to the bucket too, for `rssn status`.
    """

    url: str
    root: Path
    object_name: str = ".lease.json"

    @property
    def name(self) -> str:
        """Of the data set, for people."""
        return self.url

    @property
    def lock_file(self) -> Path:
        """Beside the folder, which is emptied by whoever takes the lease."""
        return self.root.with_name(f".{self.root.name}.lease")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody can be kept out of a bucket; `take` and `renew` look again."""
        yield

    def read(self) -> Lease | None:
        """The lease; None where there is none. Clocks are taken to agree within seconds."""
        with suppress(FileNotFoundError):
            return parse_lease(content(self._object), math.inf, self.lock_file)
        return None

    def take(self, mine: Lease, stale: Lease | None) -> bool:
        """Write a lease where there is none or a stale one; whether it was written."""
        if stale is None:
            return self._make(mine)
        claim = replace(self, object_name=_CLAIM)
        if not claim._make(mine):
            other = claim.read()
            if (
                other and other.age > STALE_SECONDS
            ):  # its owner died within a second of it: the next one who comes is free to claim
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
        """Say that the owner lives, and how far it is."""
        write(self._url, self._bytes(mine))
        for name in (".run.json", "candidates/.run.json"):
            if (self.root / name).is_file():
                upload(self.root / name, f"{self.url}/{name}")

    def remove(self) -> None:
        """Give it up."""
        remove([self._url])
        self.lock_file.unlink(missing_ok=True)

    def copy(self) -> None:
        """Have the lease in the folder, as old as it is, for those who look there."""
        held = self.read()
        if held:
            path = self.root / ".lease.json"
            write_json(path, held.facts)
            os.utime(path, (time.time() - held.age,) * 2)

    @property
    def _url(self) -> str:
        return f"{self.url}/{self.object_name}"

    def _make(self, lease: Lease) -> bool:
        """Write it if there is none; whether it was written, be it that the store's first answer was lost."""
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
