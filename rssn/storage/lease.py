"""One run at a time: the lease that a run holds on its output, here or in a bucket, while it works.

It is renewed every few seconds; a run whose lease was taken over stops at its next renewal.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType

from rssn.errors import InputError
from rssn.storage.bucket_lease import BucketLease
from rssn.storage.location import BucketPath, Location
from rssn.storage.lock import LEASE, STALE_SECONDS, FileLock, FolderLease, Lease, LeasePlace

RENEWED_SECONDS = 5.0

_LOST = signal.SIGUSR1  # a run in the background may ignore SIGINT


def read_lease(root: Location) -> Lease | None:
    """The lease of an output, stale or not; None where there is none."""
    return _place_of(root).read()


@contextmanager
def hold_lease(root: Location) -> Iterator[None]:
    """Hold the lease of an output; a folder is created if need be.

    Raises:
        InputError: If another run holds it, or took it over meanwhile.
    """
    if isinstance(root, BucketPath):
        with hold_lease_at(_place_of(root)):
            yield
        return
    created = not root.exists()
    root.mkdir(parents=True, exist_ok=True)
    try:
        with hold_lease_at(_place_of(root)):
            yield
    finally:
        if created:
            with suppress(OSError):  # not empty
                root.rmdir()


@contextmanager
def hold_lease_at(place: LeasePlace) -> Iterator[threading.Event]:
    """Hold a lease, wherever it is stored; yields an event that is set once another run took it over.

    Raises:
        InputError: If another run holds it, or took it over meanwhile.
    """
    lost = threading.Event()
    try:
        with ExitStack() as ends:  # all of it, also where a signal comes meanwhile
            mine, lock = _take(place)
            ends.callback(lock.release)
            ends.callback(_give_back, place, mine)
            done = threading.Event()
            is_main = threading.current_thread() is threading.main_thread()
            if is_main:
                ends.callback(signal.signal, _LOST, signal.signal(_LOST, _stopper(done, lost)))
            renewal = threading.Thread(target=_keep_renewing, args=(place, mine, done, lost, is_main), daemon=True)
            renewal.start()
            ends.callback(renewal.join)
            ends.callback(done.set)
            yield lost
    except KeyboardInterrupt:
        if lost.is_set():
            taken = f"another {place.work} took over, because this one did not renew its lease"
            removed = (
                f"removed while this {place.work} was at work; run the same command again, it makes what is missing"
            )
            raise InputError(f"{place.name}: {taken if place.read() else removed}") from None
        raise


def _stopper(done: threading.Event, lost: threading.Event) -> Callable[[int, FrameType | None], None]:
    """What ends the work when its lease is lost, and does nothing once the work has ended."""
    outer = signal.getsignal(_LOST)  # of a lease that is held around this one

    def stop(number: int, frame: FrameType | None) -> None:
        if not done.is_set():
            raise KeyboardInterrupt
        if not lost.is_set() and callable(outer):
            outer(number, frame)

    return stop


def _give_back(place: LeasePlace, mine: Lease) -> None:
    with suppress(OSError), place.exclusive():  # already gone; or a bucket does not answer: stale in a minute
        if _is_mine(place, mine):
            place.remove()


def _take(place: LeasePlace) -> tuple[Lease, FileLock]:
    with place.exclusive():
        other = place.read()
        if other is None or other.stale:
            lock = FileLock(place.lock_path)
            with ExitStack() as stack:
                stack.callback(lock.release)
                mine = Lease(socket.gethostname(), os.getpid(), time.time(), lock.name)
                if place.take(mine, other) and _is_mine(place, mine):
                    stack.pop_all()
                    return mine, lock
        other = place.read() or other
    owner = other.words if other else "it started at the same moment"
    later = "; a lease that is not renewed for a minute is taken over" if other and other.alive is None else ""
    if other and other.age < -STALE_SECONDS:
        later = f"; if nothing works there, set the clock right, or remove its {LEASE}"
    raise InputError(f"{place.name}: another {place.work} is at work here ({owner}); wait for it, or stop it{later}")


def _keep_renewing(place: LeasePlace, mine: Lease, done: threading.Event, lost: threading.Event, is_main: bool) -> None:
    while not done.wait(RENEWED_SECONDS):
        if not _renew(place, mine):
            lost.set()
            if is_main and signal.getsignal(_LOST) is not signal.SIG_DFL:
                signal.pthread_kill(threading.main_thread().ident or 0, _LOST)  # out of whatever it waits for
            return


def _renew(place: LeasePlace, mine: Lease) -> bool:
    """Whether the lease is still this run's; a disk or bucket that does not answer is asked again later."""
    try:
        with place.exclusive():
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


def _place_of(root: Location) -> LeasePlace:
    return BucketLease(root) if isinstance(root, BucketPath) else FolderLease(root)
