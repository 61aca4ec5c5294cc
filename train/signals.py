"""Ctrl-C and SIGTERM end a run after the step at hand."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Protocol


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
        path: The file, on storage that all of them see.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def received(self) -> signal.Signals | None:
        """The signal in the file; None without one, or while it is being written."""
        try:
            return signal.Signals(int(self._path.read_text(encoding="ascii")))
        except (OSError, ValueError):
            return None

    def write(self, number: signal.Signals) -> None:
        """Ask for the end."""
        self._path.write_text(str(int(number)), encoding="ascii")

    def clear(self) -> None:
        """Forget an earlier one."""
        self._path.unlink(missing_ok=True)
