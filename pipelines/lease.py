"""One driver per data set: a lease with its owner, renewed while the driver lives; here it is a file in the folder.

A lease is stale when its owner's process is gone (on this machine), or when it was not renewed for a minute. A stale
one is taken over; of two drivers that try at once, one gets it. A driver whose lease was taken over (it was suspended,
say) stops at its next renewal.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from rssn.errors import InputError, RemoteError
from rssn.files import write_json

RENEWED_SECONDS = 5.0
STALE_SECONDS = 60.0
_NAME = ".lease.json"
_LOST = signal.SIGUSR1  # a run in the background may ignore SIGINT


@dataclass(frozen=True)
class Lease:
    """Who works on a folder."""

    host: str
    pid: int
    since: float  # seconds since 1970
    age: float = 0.0  # seconds since it was renewed; not stored

    @property
    def stale(self) -> bool:
        """Whether nobody is behind it any more."""
        return self.age > STALE_SECONDS or (self.host == socket.gethostname() and not _runs(self.pid))

    @property
    def owner(self) -> tuple[str, int, float]:
        """Which run it is of."""
        return self.host, self.pid, self.since

    @property
    def words(self) -> str:
        """Owner and age."""
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"process {self.pid} on {self.host}, since {since}, renewed {max(0.0, self.age):.0f} s ago"


def read_lease(root: Path) -> Lease | None:
    """The lease in an output folder, stale or not; None where there is none, or it is damaged."""
    path = root / _NAME
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return Lease(facts["host"], facts["pid"], facts["since"], time.time() - path.stat().st_mtime)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_lease(path: Path) -> bool:
    """Whether a file is a lease, or one half-written: such files alone do not make a folder somebody's."""
    return path.name == _NAME or path.match(f".{_NAME}.*.tmp")


class LeasePlace(Protocol):
    """Where the lease of a data set lies."""

    @property
    def name(self) -> str:
        """Of the data set, for people."""
        ...

    def alone(self) -> AbstractContextManager[None]:
        """Nobody else looks at the lease meanwhile, where that can be had."""
        ...

    def read(self) -> Lease | None:
        """The lease, stale or not; None where there is none, or it is damaged."""
        ...

    def take(self, mine: Lease, stale: Lease | None) -> bool:
        """Write a lease where there is none or a stale one; whether it was written."""
        ...

    def renew(self, mine: Lease) -> None:
        """Say that the owner lives."""
        ...

    def remove(self) -> None:
        """Give it up."""
        ...


@dataclass(frozen=True)
class _FolderLease:
    root: Path

    @property
    def name(self) -> str:
        return str(self.root)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """The system releases the lock of a process that dies."""
        folder = os.open(self.root, os.O_RDONLY)
        try:
            with suppress(OSError):  # a file system without locks: two that come at the same instant are not told apart
                fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def read(self) -> Lease | None:
        return read_lease(self.root)

    def take(self, mine: Lease, stale: Lease | None) -> bool:
        write_json(self.root / _NAME, {key: value for key, value in asdict(mine).items() if key != "age"})
        return True

    def renew(self, mine: Lease) -> None:
        os.utime(self.root / _NAME)

    def remove(self) -> None:
        (self.root / _NAME).unlink(missing_ok=True)


@contextmanager
def leased(root: Path) -> Iterator[None]:
    """Hold the lease of an output folder.

    Raises:
        InputError: If another driver holds it, or took it over meanwhile.
    """
    made = not root.exists()
    root.mkdir(parents=True, exist_ok=True)
    try:
        with held(_FolderLease(root)):
            yield
    finally:
        if made:
            with suppress(OSError):  # not empty
                root.rmdir()


@contextmanager
def held(place: LeasePlace) -> Iterator[threading.Event]:
    """Hold the lease of a data set, wherever it lies; gives what is set as soon as another driver took it over.

    Raises:
        InputError: If another driver holds it, or took it over meanwhile.
    """
    mine = Lease(socket.gethostname(), os.getpid(), time.time())
    with place.alone():
        other = place.read()
        free = other is None or other.stale
        if not free or not place.take(mine, other) or not _is_mine(place, mine):
            other = place.read() or other
            owner = other.words if other else "it came at the same moment"
            remedy = "wait for it, or stop it; a lease that is not renewed for a minute is taken over"
            raise InputError(f"{place.name}: another run works on it ({owner}); {remedy}")
    done, lost = threading.Event(), threading.Event()
    chief = threading.current_thread() is threading.main_thread()
    before = signal.signal(_LOST, signal.default_int_handler) if chief else None
    renewal = threading.Thread(target=_renew, args=(place, mine, done, lost), daemon=True)
    renewal.start()
    try:
        yield lost
    except KeyboardInterrupt:
        if lost.is_set():
            raise InputError(f"{place.name}: another run took the folder over, because this one stood still") from None
        raise
    finally:
        done.set()
        renewal.join()
        if chief:
            signal.signal(_LOST, before)
        with suppress(RemoteError), place.alone():  # a bucket that does not answer: it is stale in a minute
            if _is_mine(place, mine):
                place.remove()


def _renew(place: LeasePlace, mine: Lease, done: threading.Event, lost: threading.Event) -> None:
    while not done.wait(RENEWED_SECONDS):
        with suppress(OSError), place.alone():
            if not _is_mine(place, mine):
                lost.set()
                if signal.getsignal(_LOST) is signal.default_int_handler:
                    signal.pthread_kill(threading.main_thread().ident or 0, _LOST)  # out of whatever it waits for
                return
            place.renew(mine)


def _is_mine(place: LeasePlace, mine: Lease) -> bool:
    now = place.read()
    return now is not None and now.owner == mine.owner


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with suppress(OSError):  # dead, and nobody has asked for its exit code yet
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    return True
