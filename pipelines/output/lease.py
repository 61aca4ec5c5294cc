"""One driver per data set: a lease with its owner, renewed while the driver lives; here it is a file in the folder.

A lease is stale when it was not renewed for a minute. Where the kernel can be asked, its word counts instead: the owner
holds a lock on the lease, which the system gives back when the process ends, however. So a run that was killed is
followed at once, and one that lives (in another container, or suspended) is never taken for dead. A process id says
nothing: it means another process, or none, in another namespace. A stale lease is taken over; of two drivers that try
at once, one gets it. A driver whose lease was taken over stops at its next renewal.
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
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from rssn.errors import InputError
from rssn.storage.files import is_count, is_time, parse_json

RENEWED_SECONDS = 5.0
STALE_SECONDS = 60.0
_NAME = ".lease.json"
_LOST = signal.SIGUSR1  # a run in the background may ignore SIGINT


@dataclass(frozen=True)
class Lease:
    """Who works on a folder."""

    host: str  # empty where the lease is damaged
    pid: int
    since: float  # seconds since 1970
    lock: str = ""  # the file that its owner holds a lock on, see `KernelLock`; empty where it has none
    age: float = 0.0  # seconds since it was renewed; not stored
    lives: bool | None = None  # what the kernel says of the owner; None where it cannot be asked; not stored

    @property
    def stale(self) -> bool:
        """Whether nobody is behind it any more."""
        return self.age > STALE_SECONDS if self.lives is None else not self.lives

    @property
    def owner(self) -> tuple[str, int, float]:
        """Which run it is of."""
        return self.host, self.pid, self.since

    @property
    def facts(self) -> dict[str, str | int | float]:
        """What is stored of it."""
        return {"host": self.host, "pid": self.pid, "since": self.since, "lock": self.lock}

    @property
    def words(self) -> str:
        """Owner and age."""
        renewed = f"renewed {max(0.0, self.age):.0f} s ago"
        if not self.host:
            return f"its lease is damaged and does not say whose it is, {renewed}"
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"process {self.pid} on {self.host}, since {since}, {renewed}"


def parse_lease(data: bytes, age: float, lock: Path) -> Lease:
    """A lease as it was stored, with what the kernel says of its owner; a damaged one is somebody's, too.

    Args:
        data: Its content.
        age: Seconds since it was written, where it does not say so itself.
        lock: The file on this machine that its owner would hold a lock on.
    """
    lease = _stored(data, age)
    if lease is None:
        unknown = Lease("", 0, 0.0, age=age)
        return replace(unknown, lives=KernelLock.lives(lock, None) or None)
    return replace(lease, lives=KernelLock.lives(lock, lease.lock))


def _stored(data: bytes, age: float) -> Lease | None:
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


def read_lease(root: Path) -> Lease | None:
    """The lease in an output folder, stale or not; None where there is none."""
    path = root / _NAME
    try:
        return parse_lease(path.read_bytes(), time.time() - path.stat().st_mtime, path)
    except FileNotFoundError:
        return None


class KernelLock:
    """A lock on a file, held until it is given back or the process ends.

    Attributes:
        name: Tells this very file of this very kernel from all others; empty where the file system has no locks. Two
            containers of one machine have the same kernel, and see one file under the same device and number.
    """

    def __init__(self, path: Path) -> None:
        """Make the file, or take the one that is there, and lock it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.name = _file_name(self._descriptor)
        except OSError:
            self.name = ""

    def release(self) -> None:
        """Give it back."""
        os.close(self._descriptor)

    @staticmethod
    def lives(path: Path, name: str | None) -> bool | None:
        """Whether the lock of a name is held; None where that is not known, for the file at the path is another one.

        Without a name: whether anybody holds a lock on the file.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError:
            return None
        try:
            own = name == _file_name(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True if own or name is None else None
        except OSError:
            return None
        else:
            return False if own else None
        finally:
            os.close(descriptor)


def _file_name(descriptor: int) -> str:
    status = os.fstat(descriptor)
    return f"{_kernel()} {status.st_dev} {status.st_ino}"


@lru_cache(maxsize=1)
def _kernel() -> str:
    """What differs between two machines, and is the same in all containers of one."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return socket.gethostname()  # macOS, which has no namespaces of processes


def is_lease(path: Path) -> bool:
    """Whether a file is a lease, or one half-written: such files alone do not make a folder somebody's."""
    return path.name == _NAME or path.match(f".{_NAME}.*.tmp")


class LeasePlace(Protocol):
    """Where the lease of a data set lies."""

    @property
    def name(self) -> str:
        """Of the data set, for people."""
        ...

    @property
    def lock_file(self) -> Path:
        """The file that is locked for a lease that is to be taken."""
        ...

    def alone(self) -> AbstractContextManager[None]:
        """Nobody else looks at the lease meanwhile, where that can be had."""
        ...

    def read(self) -> Lease | None:
        """The lease, stale or not; None where there is none."""
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

    @property
    def lock_file(self) -> Path:
        """The lease is locked before it has its name, so that nobody ever sees it without its lock."""
        return self.root / f".{_NAME}.{os.getpid()}.tmp"

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
        self.lock_file.write_text(json.dumps(mine.facts), encoding="utf-8")
        self.lock_file.replace(self.root / _NAME)
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
    mine, lock = _take(place)
    done, lost = threading.Event(), threading.Event()
    chief = threading.current_thread() is threading.main_thread()
    before = signal.signal(_LOST, signal.default_int_handler) if chief else None
    renewal = threading.Thread(target=_renew, args=(place, mine, done, lost), daemon=True)
    renewal.start()
    try:
        yield lost
    except KeyboardInterrupt:
        if lost.is_set():
            taken = "another run took the folder over, because this one stood still"
            gone = "removed while this run was at work; run the same command again, it makes what is missing"
            raise InputError(f"{place.name}: {taken if place.read() else gone}") from None
        raise
    finally:
        done.set()
        renewal.join()
        if chief:
            signal.signal(_LOST, before)
        with suppress(OSError), place.alone():  # it is gone; or a bucket does not answer: it is stale in a minute
            if _is_mine(place, mine):
                place.remove()
        lock.release()


def _take(place: LeasePlace) -> tuple[Lease, KernelLock]:
    with place.alone():
        other = place.read()
        if other is None or other.stale:
            lock = KernelLock(place.lock_file)
            with ExitStack() as stack:
                stack.callback(lock.release)
                mine = Lease(socket.gethostname(), os.getpid(), time.time(), lock.name)
                if place.take(mine, other) and _is_mine(place, mine):
                    stack.pop_all()
                    return mine, lock
        other = place.read() or other
    owner = other.words if other else "it came at the same moment"
    later = "; a lease that is not renewed for a minute is taken over" if other and other.lives is None else ""
    raise InputError(f"{place.name}: another run works on it ({owner}); wait for it, or stop it{later}")


def _renew(place: LeasePlace, mine: Lease, done: threading.Event, lost: threading.Event) -> None:
    while not done.wait(RENEWED_SECONDS):
        if not _renewed(place, mine):
            lost.set()
            if signal.getsignal(_LOST) is signal.default_int_handler:
                signal.pthread_kill(threading.main_thread().ident or 0, _LOST)  # out of whatever it waits for
            return


def _renewed(place: LeasePlace, mine: Lease) -> bool:
    """Whether the lease is still this run's; a disk or bucket that does not answer is asked again."""
    try:
        with place.alone():
            if not _is_mine(place, mine):
                return False
            place.renew(mine)
    except FileNotFoundError:
        return False
    except OSError:
        pass
    return True


def _is_mine(place: LeasePlace, mine: Lease) -> bool:
    now = place.read()
    return now is not None and now.owner == mine.owner
