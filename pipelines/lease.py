"""One driver per output folder: a lease file with its owner, renewed while the driver lives.

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
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from rssn.errors import InputError
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


@contextmanager
def leased(root: Path) -> Iterator[None]:
    """Hold the lease of an output folder.

    Raises:
        InputError: If another driver holds it, or took it over meanwhile.
    """
    made = not root.exists()
    root.mkdir(parents=True, exist_ok=True)
    mine = Lease(socket.gethostname(), os.getpid(), time.time())
    with _alone(root):
        other = read_lease(root)
        if other and not other.stale:
            remedy = "wait for it, or stop it; a lease that is not renewed for a minute is taken over"
            raise InputError(f"{root}: another run works on it ({other.words}); {remedy}")
        _write(root, mine)
    done, lost = threading.Event(), threading.Event()
    chief = threading.current_thread() is threading.main_thread()
    before = signal.signal(_LOST, signal.default_int_handler) if chief else None
    renewal = threading.Thread(target=_renew, args=(root, mine, done, lost), daemon=True)
    renewal.start()
    try:
        yield
    except KeyboardInterrupt:
        if lost.is_set():
            raise InputError(f"{root}: another run took the folder over, because this one stood still") from None
        raise
    finally:
        done.set()
        renewal.join()
        if chief:
            signal.signal(_LOST, before)
        with _alone(root):
            if _is_mine(root, mine):
                (root / _NAME).unlink(missing_ok=True)
        if made:
            with suppress(OSError):  # not empty
                root.rmdir()


def _renew(root: Path, mine: Lease, done: threading.Event, lost: threading.Event) -> None:
    while not done.wait(RENEWED_SECONDS):
        with suppress(OSError), _alone(root):
            if not _is_mine(root, mine):
                lost.set()
                if signal.getsignal(_LOST) is signal.default_int_handler:
                    signal.pthread_kill(threading.main_thread().ident or 0, _LOST)  # out of whatever it waits for
                return
            os.utime(root / _NAME)


def _is_mine(root: Path, mine: Lease) -> bool:
    held = read_lease(root)
    return held is not None and (held.host, held.pid, held.since) == (mine.host, mine.pid, mine.since)


def _write(root: Path, lease: Lease) -> None:
    write_json(root / _NAME, {key: value for key, value in asdict(lease).items() if key != "age"})


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Nobody else looks at the lease meanwhile; the system releases the lock of a process that dies."""
    folder = os.open(root, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks: two that come at the same instant are not told apart
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


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
