"""Ctrl-C and SIGTERM end a command in the same way: what it began is tidied up, and it says what was done."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


_came: list[signal.Signals] = []
"""Beside the exception, for Ray turns any into a KeyboardInterrupt of its own."""


def received() -> signal.Signals | None:
    """The signal that stops this command, if one came."""
    return _came[-1] if _came else None


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise KeyboardInterrupt in the main thread at the first SIGINT or SIGTERM; a second one has its usual effect.

    A signal that this process was started to ignore, as `nohup` and shells do, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.getsignal(each) for each in SIGNALS}
    heard = [each for each in SIGNALS if before[each] is not signal.SIG_IGN]
    for each in heard:
        signal.signal(each, _stop)
    _came.clear()
    try:
        yield
    finally:
        for each in heard:
            signal.signal(each, before[each] or signal.SIG_DFL)


@contextmanager
def kept() -> Iterator[None]:
    """Have `stoppable`'s handlers again after a library has put others in their place."""
    before = {each: signal.getsignal(each) for each in SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            if handler is _stop:
                signal.signal(each, _stop)


@contextmanager
def block_signals() -> Iterator[None]:
    """Block SIGINT and SIGTERM, for processes that are started inside, too; the handler of SIGCHLD stays.

    Ctrl-C reaches the whole process group, and so does what ends a job on a cluster; this process alone answers.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    handler = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if signal.getsignal(signal.SIGCHLD) is not handler:  # torch's would raise wherever we are
            signal.signal(signal.SIGCHLD, handler)


def exit_with_parent() -> None:
    """For a process that multiprocessing started: end when the one that started it is gone."""
    if parent := multiprocessing.parent_process():
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(0)


class Resumable(KeyboardInterrupt):
    """A stop of a command that starts over as a rule, in a case in which it resumes."""


def farewell(number: int, done: KeyboardInterrupt | str, *, resumes: bool) -> tuple[str, int]:
    """The last line of a command that was stopped, and its exit code: 128 and the signal's number.

    Args:
        number: The signal's.
        done: What was done until then, if that can be said; or the exception that says it.
        resumes: Whether the same command, run again, continues or starts over.
    """
    again = "the same command starts over"
    if resumes or isinstance(done, Resumable):
        again = "run the same command again to resume"
    return f"stopped by {signal.Signals(number).name}{f': {done}' if str(done) else ''}; {again}", 128 + number


def _stop(number: int, _: FrameType | None) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _came.append(signal.Signals(number))
    raise KeyboardInterrupt
