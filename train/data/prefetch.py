"""What loader processes prepare, waited for with an end: a process that died, and a stop, are noticed while waiting.

A thread takes the batches over, for torch itself can wait for ever for one whose process is gone.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from multiprocessing import queues, resource_tracker, util
from multiprocessing.process import BaseProcess
from queue import Empty, Full, Queue
from typing import Any, Generic, TypeVar

from torch.utils.data import DataLoader

from rssn.errors import RssnError, first_line
from rssn.stopping import block_signals, exit_with_parent
from train.signals import Stop

T = TypeVar("T")

_LOOK_SECONDS = 0.2
_PATIENCE_SECONDS = 5.0  # with processes that are to end
_NOT_HANDED_OVER = 70  # exit code
_REMEDY = "give --workers 0 to prepare samples without other processes"


def prefetch(loader: DataLoader[Any], stop: Stop) -> Iterator[Any]:
    """The batches of a loader that has processes; ends early when a stop is asked for.

    Raises:
        RssnError: If a process dies, or cannot hand over a batch.
        Exception: What a process raised.
    """
    feed = _Prefetcher(*_started(loader))
    atexit.register(feed.close)  # multiprocessing's own end would send SIGTERM, which they do not hear, and wait
    try:
        while (batch := feed.next(stop)) is not None:
            yield batch
    finally:
        feed.close()
        atexit.unregister(feed.close)


def exit_with_trainer() -> None:
    """For a loader process: end when the trainer is gone, when a batch cannot be sent, and at once when all is done.

    torch asks every 5 s whether the process above is still the one that it was when it first looked, which may be after
    the trainer was killed. multiprocessing would print why a batch is not sent, and leave the trainer waiting.
    The interpreter's own end stops the thread that sends batches inside torch's code, which aborts the process.
    """
    exit_with_parent()
    util.Finalize(None, _leave, exitpriority=-100)  # after the queues' own
    queues.Queue._on_queue_feeder_error = staticmethod(_end)  # type: ignore[attr-defined]  # made to be overridden


def _end(error: Exception, _: object) -> None:
    sys.stderr.write(f"a batch could not be sent to the trainer: {first_line(error)}\n")
    sys.stderr.flush()
    os._exit(_NOT_HANDED_OVER)


def _leave() -> None:
    if sys.exc_info()[0] is None:  # else multiprocessing is about to say what it was
        os._exit(0)


def _check_alive(children: Sequence[BaseProcess]) -> None:
    code = next((child.exitcode for child in children if child.exitcode), 0)
    if code == -signal.SIGBUS:
        remedy = "a full /dev/shm, most likely; give it more room (docker run --shm-size 1g)"
    elif code == -signal.SIGKILL:
        remedy = "it was killed, or memory ran out; a smaller --batch-size needs less"
    else:
        remedy = "its own message is above"
    if code:
        how = f"of {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        raise RssnError(f"a process that prepares samples ended {how}: {remedy}, or {_REMEDY}")


class _Prefetcher(Generic[T]):
    """A thread that puts what a stream gives into a queue; None at its end, or what it raised.

    Args:
        stream: Nobody else's: the thread ends the processes when it drops it.
        children: The processes behind it.
    """

    def __init__(self, stream: Iterator[T], children: Sequence[BaseProcess]) -> None:
        self._children = children
        self._ready: Queue[T | Exception | None] = Queue(1)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=([stream],), daemon=True)
        self._thread.start()

    def next(self, stop: Stop) -> T | None:
        """What comes next; None at the end, or when a stop is asked for.

        Raises:
            RssnError: If a process died.
            Exception: What the stream raised.
        """
        while not stop.received:
            try:
                found = self._ready.get(timeout=_LOOK_SECONDS)
            except Empty:
                _check_alive(self._children)
                continue
            if isinstance(found, Exception):
                _check_alive(self._children)
                raise found
            return found
        return None

    def close(self) -> None:
        """End the thread and the processes, also one that waits for what does not come any more."""
        if not self._over.is_set():
            self._over.set()
            self._thread.join(_PATIENCE_SECONDS)
            for child in self._children:
                child.kill()
                child.join(_PATIENCE_SECONDS)

    def _run(self, streams: list[Iterator[T]]) -> None:
        try:
            for each in streams.pop():
                if not self._put(each):
                    return
            self._put(None)
        except Exception as error:
            self._put(error)

    def _put(self, item: T | Exception | None) -> bool:
        while not self._over.is_set():
            try:
                self._ready.put(item, timeout=_LOOK_SECONDS)
            except Full:
                continue
            return True
        return False


def _started(loader: DataLoader[Any]) -> tuple[Iterator[Any], list[BaseProcess]]:
    """Start the loader's processes with SIGINT and SIGTERM blocked, from their first instruction on.

    When the trainer is gone, they end by themselves.
    """
    resource_tracker.ensure_running()  # its start, which comes with the first process, would unblock them
    others = set(multiprocessing.active_children())
    with block_signals():
        stream = iter(loader)
        return stream, [child for child in multiprocessing.active_children() if child not in others]
