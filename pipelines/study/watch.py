"""Tells how far the steps are that are being made, by the run state that each keeps in its folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from threading import Event, Thread

from pipelines.curate.rows import candidates_folder
from pipelines.executor.run_state import RunState, read_state
from rssn.dataset.shards import DatasetFolder
from rssn.storage.location import Location


class Watch:
    """While it is entered, a line from time to time: which steps are on their way, how far, and when all will be done.

    Args:
        folders: Where the results of the steps go, by label.
        log: Is given the lines.
        every: Seconds between two.
    """

    def __init__(self, folders: Mapping[str, Location], log: Callable[[str], None], every: float = 30.0) -> None:
        self._folders = folders
        self._log = log
        self._every = every
        self._since = time.time()
        self._ended: set[str] = set()
        self._over = Event()
        self._thread = Thread(target=self._tell, daemon=True)

    def ended(self, label: str) -> None:
        """A step is done, or failed."""
        self._ended.add(label)

    def summary(self) -> str:
        """How long it has taken, and about how long all will take by what is done."""
        return self._summary(self._running())

    def _summary(self, running: Mapping[str, RunState]) -> str:
        done = len(self._ended) + sum(state.done_items / max(state.items, 1) for state in running.values())
        passed = time.time() - self._since
        left = f", about {passed / done * (len(self._folders) - done) / 60:.1f} left" if done else ""
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
                each = "; ".join(f"{label}: {_progress(state)}" for label, state in running.items())
                self._log(f"  {each}; {self._summary(running)}")

    def _running(self) -> dict[str, RunState]:
        """Steps that have written of their progress since this began, and have not ended."""
        states = {label: _state(out) for label, out in self._folders.items() if label not in self._ended}
        return {label: state for label, state in states.items() if state and state.updated >= self._since}


def _state(out: Location) -> RunState | None:
    """Of the part that is being made; a curation examines candidates first."""
    folder = DatasetFolder(out)
    return read_state(candidates_folder(folder)) or read_state(folder)


def _progress(state: RunState) -> str:
    share = f"{state.done_items} of {state.items} {state.unit} ({state.done_items / max(state.items, 1):.0%})"
    return f"{share}, {state.rate:.3g} {state.unit}/s" if state.rate > 0 else share
