"""Ctrl-C and SIGTERM end a run after the step at hand."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Protocol

from rssn.storage.atomic import write_bytes
from rssn.storage.location import BucketPath, Location
from rssn.storage.remote import content

_LOOK_SECONDS = 5.0


class Stop(Protocol):
    """Where a run looks, after each step, whether it is to end."""

    @property
    def received(self) -> signal.Signals | None:
        """The signal that came, if any did."""


class _Never:
    """Nobody asks for the end."""

    received = None


NEVER: Stop = _Never()


class StopSignals:
    """Notes the first SIGINT or SIGTERM instead of dying of it; a second one has its usual effect.

    Only a main thread receives signals; elsewhere (in a worker of Ray Train) nothing is noted.
    """

    def __init__(self) -> None:
        self._received: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore_handlers()

    @property
    def received(self) -> signal.Signals | None:
        """The first signal, if any came."""
        return self._received

    def _note(self, number: int, _: FrameType | None) -> None:
        self._received = signal.Signals(number)
        self._restore_handlers()

    def _restore_handlers(self) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)  # type: ignore[arg-type]


class StopFile:
    """The same for processes that hear no signals: whoever started them writes the signal's number into a file.

    Args:
        path: The file, on storage that all of them see; in a bucket they look for it every few seconds.
    """

    def __init__(self, path: Location) -> None:
        self._path = path
        self._pause = _LOOK_SECONDS if isinstance(path, BucketPath) else 0.0
        self._due = 0.0

    @property
    def received(self) -> signal.Signals | None:
        """The signal in the file; None without one, or while it is being written."""
        if time.monotonic() < self._due:
            return None
        self._due = time.monotonic() + self._pause
        try:
            return signal.Signals(int(content(self._path)))
        except (OSError, ValueError):
            return None

    def write(self, number: signal.Signals) -> None:
        """Ask for the end."""
        write_bytes(self._path, b"%d" % number, durable=False)

    def clear(self) -> None:
        """Forget an earlier one."""
        self._path.unlink(missing_ok=True)
