"""Locks on files, and what a lease is: a small record of who works on a data set.

A lease is a small file, `.lease.json`, that names its owner and is renewed every few seconds. Its owner also holds a
lock on it, which the kernel releases when the process ends, however it ends. Where the kernel can be asked, only that
lock counts: a run that was killed is followed at once, and one that is alive (suspended, or in another container) is
never taken for dead. Elsewhere, as on another machine, a lease that was not renewed for a minute is stale. A process id
proves nothing: in another namespace it means another process, or none. Of two runs that try to take over a stale lease
at once, one gets it; see `rssn.storage.lease`.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from rssn.storage.files import is_count, is_time, parse_json

STALE_SECONDS = 60.0
LEASE = ".lease.json"

_CLOCKS_SECONDS = 5.0  # that two clocks may be apart


def lock_file(descriptor: int, *, wait: bool = False, shared: bool = False) -> bool | None:
    """Lock an open file until it is closed, here and in all processes that inherited it, or they end.

    Args:
        descriptor: The open file.
        wait: Whether to wait for another process to release it.
        shared: Whether others may hold a shared lock on it too.

    Returns:
        Whether it is locked; None where the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@dataclass(frozen=True)
class Lease:
    """Who works on a folder."""

    host: str  # empty where the lease is damaged
    pid: int
    since: float  # seconds since 1970
    lock: str = ""  # name of the file that its owner has locked, see `FileLock`; empty where there are no locks
    age: float = 0.0  # seconds since it was renewed; not stored
    alive: bool | None = None  # what the kernel says of the owner; None where it cannot be asked; not stored

    @property
    def stale(self) -> bool:
        """Whether its owner is gone."""
        return self.age > STALE_SECONDS if self.alive is None else not self.alive

    @property
    def owner(self) -> tuple[str, int, float]:
        """Which run it belongs to."""
        return self.host, self.pid, self.since

    @property
    def facts(self) -> dict[str, str | int | float]:
        """What is stored."""
        return {"host": self.host, "pid": self.pid, "since": self.since, "lock": self.lock}

    @property
    def words(self) -> str:
        """Owner and age."""
        renewed = f"renewed {max(0.0, self.age):.0f} s ago"
        if self.age < -_CLOCKS_SECONDS:
            renewed = f"renewed {-self.age:.0f} s from now: one of the clocks is wrong"
        if not self.host:
            return f"its lease is damaged and does not name its owner, {renewed}"
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"process {self.pid} on {self.host}, since {since}, {renewed}"


def parse_lease(data: bytes, age: float, lock: Path) -> Lease:
    """A stored lease, with what the kernel says of its owner; a damaged one has an owner, too.

    Args:
        data: Its content.
        age: Seconds since it was written, where it does not say so itself.
        lock: The file on this machine that its owner would have locked.
    """
    lease = _parse(data, age)
    if lease is None:
        return Lease("", 0, 0.0, age=age, alive=FileLock.is_held(lock, None) or None)
    return replace(lease, alive=FileLock.is_held(lock, lease.lock))


def _parse(data: bytes, age: float) -> Lease | None:
    """What the content says; None where it is damaged."""
    try:
        facts = parse_json(data)
        lease = Lease(facts["host"], facts["pid"], facts["since"], facts.get("lock", ""), age)
        renewed = facts.get("renewed", 0)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    texts = isinstance(lease.host, str) and isinstance(lease.lock, str)
    if not (texts and is_count(lease.pid) and is_time(lease.since) and is_time(renewed)):
        return None
    return replace(lease, age=time.time() - renewed) if renewed else lease


def is_lease(path: Path) -> bool:
    """Whether a file is a lease, or one half-written: a folder that holds nothing else is free."""
    return path.name == LEASE or path.match(f".{LEASE}.*.tmp")


class FileLock:
    """A lock on a file, held until it is released or the process ends.

    Attributes:
        name: Tells this file of this kernel from all others; empty where the file system has no locks. Two containers
            on one machine have the same kernel, and see one file under the same device and inode number.
    """

    def __init__(self, path: Path) -> None:
        """Create the file, or open the existing one, and lock it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        self.name = _inode_name(self._descriptor) if lock_file(self._descriptor) else ""

    def release(self) -> None:
        """Release it."""
        os.close(self._descriptor)

    @staticmethod
    def is_held(path: Path, name: str | None) -> bool | None:
        """Whether the lock of a name is held; None where that is not known, since another file is at the path.

        Without a name: whether any process has locked the file.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError:
            return None
        try:
            same = name == _inode_name(descriptor)
            match lock_file(descriptor, shared=True):
                case False:
                    return True if same or name is None else None
                case True:
                    return False if same else None
            return None
        finally:
            os.close(descriptor)


def _inode_name(descriptor: int) -> str:
    status = os.fstat(descriptor)
    return f"{_kernel()} {status.st_dev} {status.st_ino}"


@lru_cache(maxsize=1)
def _kernel() -> str:
    """What differs between two machines, and is the same in all containers of one."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return socket.gethostname()  # macOS, which has no process namespaces


class LeasePlace(Protocol):
    """Where a lease is stored: in a folder, or in a bucket (`rssn.storage.bucket_lease`)."""

    @property
    def name(self) -> str:
        """What is leased, for messages."""
        ...

    @property
    def work(self) -> str:
        """What the owner does, in a word."""
        ...

    @property
    def lock_path(self) -> Path:
        """The file to lock for a lease that is about to be taken."""
        ...

    def exclusive(self) -> AbstractContextManager[None]:
        """Keep other processes from looking at the lease meanwhile, where that is possible."""
        ...

    def read(self) -> Lease | None:
        """The lease, stale or not; None where there is none."""
        ...

    def take(self, mine: Lease, stale: Lease | None) -> bool:
        """Write a lease where there is none or a stale one; whether it was written."""
        ...

    def renew(self, mine: Lease) -> None:
        """Say that the owner is alive."""
        ...

    def remove(self) -> None:
        """Delete it."""
        ...


@dataclass(frozen=True)
class FolderLease:
    """The lease of a folder, a file in it."""

    root: Path

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.root)

    @property
    def work(self) -> str:
        """A run that writes the folder."""
        return "run"

    @property
    def lock_path(self) -> Path:
        """The lease is locked before it gets its name, so that it is never seen without its lock."""
        return self.root / f".{LEASE}.{os.getpid()}.tmp"

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold a lock on the folder."""
        folder = os.open(self.root, os.O_RDONLY)
        try:
            lock_file(folder, wait=True)  # without locks, two that come at the same instant are not told apart
            yield
        finally:
            os.close(folder)

    def read(self) -> Lease | None:
        """The lease, stale or not; None where there is none."""
        path = self.root / LEASE
        try:
            return parse_lease(path.read_bytes(), time.time() - path.stat().st_mtime, path)
        except FileNotFoundError:
            return None

    def take(self, mine: Lease, stale: Lease | None) -> bool:
        """Write it; nobody else does meanwhile."""
        self.lock_path.write_text(json.dumps(mine.facts), encoding="utf-8")
        self.lock_path.replace(self.root / LEASE)
        return True

    def renew(self, mine: Lease) -> None:
        """Say that the owner is alive."""
        os.utime(self.root / LEASE)

    def remove(self) -> None:
        """Delete it."""
        (self.root / LEASE).unlink(missing_ok=True)
