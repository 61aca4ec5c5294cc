"""Tells how far the steps are that are being made: each writes its progress into its log."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

from rssn.progress import read_progress

_TAIL = 4096  # bytes at the end of a log


class Watch:
    """While it is entered, a line from time to time: which steps are on their way, how far, and when all will be done.

    Args:
        logs: The logs of the steps by label.
        say: Hears the lines.
        every: Seconds between two.
    """

    def __init__(self, logs: dict[str, Path], say: Callable[[str], None], every: float = 30.0) -> None:
        self._logs = logs
        self._say = say
        self._every = every
        self._since = time.time()
        self._ended: set[str] = set()
        self._over = Event()
        self._thread = Thread(target=self._tell, daemon=True)

    def ended(self, label: str) -> None:
        """A step is done, or failed."""
        self._ended.add(label)

    def words(self) -> str:
        """How long it has taken, and about how long all will take by what is done."""
        return self._words(self._running())

    def _words(self, running: Mapping[str, tuple[float, str]]) -> str:
        done = len(self._ended) + sum(share for share, _ in running.values())
        passed = time.time() - self._since
        left = f", about {passed / done * (len(self._logs) - done) / 60:.1f} left" if done else ""
        return f"{passed / 60:.1f} min{left}"

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _tell(self) -> None:
        while not self._over.wait(self._every):
            if running := self._running():
                each = "; ".join(f"{label} {share:.0%} ({said})" for label, (share, said) in running.items())
                self._say(f"  {each}; {self._words(running)}")

    def _running(self) -> dict[str, tuple[float, str]]:
        """Steps that have written of their progress since this began, and have not ended."""
        found = {}
        for label, log in self._logs.items():
            with suppress(OSError):
                if label not in self._ended and log.stat().st_mtime >= self._since:
                    found[label] = progress_in(log)
        return {label: one for label, one in found.items() if one is not None}


def progress_in(log: Path) -> tuple[float, str] | None:
    """What the last line of progress in a log says, see `rssn.progress.read_progress`.

    Raises:
        OSError: If there is no log.
    """
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _TAIL))
        return read_progress(stream.read().decode(errors="replace"))
