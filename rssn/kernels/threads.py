"""Threads that work on one picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any, TypeAlias

from rssn.errors import InputError, first_line

Each: TypeAlias = Callable[[Callable[[Any], Any], Iterable[Any]], list[Any]]
"""What a function makes of each item, in their order."""


def alone(work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """One item after the other."""
    return [work(item) for item in items]


@contextmanager
def sharing(threads: int) -> Iterator[Each]:
    """Let so many threads take item after item; if there are as many items, all are worked on at once.

    Raises:
        InputError: If so many threads cannot be started.
    """
    if threads == 1:
        yield alone
        return
    with ThreadPoolExecutor(threads) as pool:
        _start(pool, threads)
        yield lambda work, items: list(pool.map(work, items))


def _start(pool: ThreadPoolExecutor, threads: int) -> None:
    """Start all threads of a pool: whoever waits for one that the system does not grant later would wait for ever."""
    meeting = Barrier(threads)
    try:
        for _ in range(threads):
            pool.submit(meeting.wait)
    except BaseException as error:
        meeting.abort()
        if isinstance(error, RuntimeError):
            words = f"{threads} threads cannot be started; give a smaller number"
            raise InputError(f"{words} ({first_line(error)})") from error
        raise
