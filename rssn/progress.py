"""How far a piece of work is: a bar on a terminal; elsewhere, as in a log, a line now and then.

A bar is drawn again and again over itself, which a file keeps all of. So it gets whole lines, one every half minute,
the first at once, and a last one.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import IO, Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")

EVERY_SECONDS = 30.0
"""Between two lines."""

_REDRAWN_SECONDS = 0.2
_TELLING_SECONDS = 1.0  # that a rate is taken over, at least
_LOOKS_BACK = 10  # lines that the rate is taken over


class Progress:
    """Of items that are handled one after the other; to be entered, or closed in the end.

    Args:
        total: How many there will be; None where nobody knows yet, see `expect`.
        unit: What they are, in the plural.
        label: What is done with them, where that is not plain.
        stays: Whether it is still to be seen when all is done; if not, short work leaves no line in a log.
        silent: Show nothing at all.
    """

    def __init__(
        self, total: int | None, unit: str, label: str = "", *, stays: bool = True, silent: bool = False
    ) -> None:
        self._total, self._unit, self._label, self._stays = total, unit, label, stays
        self._stream: IO[str] = sys.stderr
        self._silent = silent
        self._bar: tqdm[Any] | None = None
        if self._stream.isatty() and not silent:
            self._bar = tqdm(
                desc=label or None, total=total, unit=f" {unit}", leave=stays, mininterval=_REDRAWN_SECONDS,
                smoothing=0.1, dynamic_ncols=True,
            )  # fmt: skip
        self._done, self._words = 0, ""
        self._told: int | None = None
        now = time.monotonic()
        self._since = now
        self._due = now if stays else now + EVERY_SECONDS
        self._marks = deque([(now, 0)], _LOOKS_BACK)

    def expect(self, total: int) -> None:
        """It is known how many there will be; those done so far do not count any more."""
        self._total = total
        if self._bar is not None:
            self._bar.reset(total=total)
        self.begin(0)

    def begin(self, done: int, spent: float = 0.0) -> None:
        """So many were done before the work began, which has taken so many seconds by now: they took no time of it."""
        self._done = done
        self._since = time.monotonic() - spent
        self._marks = deque([(self._since, done)], _LOOKS_BACK)
        if self._bar is not None:
            self._bar.initial = self._bar.n = self._bar.last_print_n = done

    def advance(self, count: int = 1) -> None:
        """So many more are done."""
        self.reach(self._done + count)

    def reach(self, done: int, words: str = "") -> None:
        """So many are done.

        Args:
            done: Of all.
            words: What else there is to say of the work now; empty: as before.
        """
        self._done, self._words = done, words or self._words
        if self._bar is not None:
            self._bar.set_postfix_str(self._words, refresh=False)
            self._bar.update(done - self._bar.n)
        elif time.monotonic() >= self._due:
            self._tell()

    def say(self, text: str, stream: IO[str] | None = None) -> None:
        """A line that has nothing to do with progress, on standard error unless another stream is given."""
        tqdm.write(text, file=stream or self._stream)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """The work is over, whether all is done or not."""
        if self._bar is not None:
            self._bar.close()
        elif self._stays and self._done and self._told != self._done:
            self._tell()

    def _tell(self) -> None:
        now = time.monotonic()
        self._told, self._due = self._done, now + EVERY_SECONDS
        if not self._silent:
            self._stream.write(f"{self._line(now)}\n")
            self._stream.flush()
        self._marks.append((now, self._done))

    def _line(self, now: float) -> str:
        label = f"{self._label}: " if self._label else ""
        parts = [self._rate(now), self._words, self._left(now)]
        return ", ".join([f"{label}{self._count()}", *(part for part in parts if part)])

    def _count(self) -> str:
        if self._total is None:
            return f"{self._done} {self._unit}"
        share = self._done / self._total if self._total else 1.0
        return f"{self._done} of {self._total} {self._unit} ({int(100 * share)} %)"

    def _speed(self, now: float) -> float:
        """Items a second of late; 0 where none were done, or nobody can tell yet."""
        since, before = self._marks[0]
        return max(0, self._done - before) / (now - since) if now - since >= _TELLING_SECONDS else 0.0

    def _rate(self, now: float) -> str:
        speed = self._speed(now)
        if not speed:
            return ""
        return f"{speed:.3g} {self._unit}/s" if speed >= 1 else f"{1 / speed:.3g} s each"

    def _left(self, now: float) -> str:
        speed = self._speed(now)
        if self._done == self._total:
            return f"{tqdm.format_interval(now - self._since)} in all"
        return f"{tqdm.format_interval((self._total - self._done) / speed)} left" if self._total and speed else ""


def progressing(items: Iterable[T], total: int, unit: str, label: str) -> Iterator[T]:
    """The items, while one sees how far whoever takes them is; nothing of it stays."""
    with Progress(total, unit, label, stays=False) as progress:
        for item in items:
            yield item
            progress.advance()
