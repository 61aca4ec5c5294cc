"""How far a run is, in a small file of its output folder, for whoever looks from outside (`rssn status`).

It is there from the first task until everything is made, so it also tells of a run that was stopped. It decides
nothing: what is done is said by the marks.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from rssn.dataset.shards import DatasetFolder
from rssn.storage.files import is_count, is_time, parse_json, write_json
from rssn.storage.location import BucketPath, Location
from rssn.storage.remote import content

NAME = ".run.json"
_WRITTEN_SECONDS = 1.0
_UPLOADED_SECONDS = 5.0


@dataclass(frozen=True)
class RunState:
    """The progress of the tasks of one run."""

    unit: str  # what the tasks handle, in the plural
    shards: int  # planned
    items: int  # planned
    done_shards: int
    done_items: int  # written, reused and refused, of the shards that are done
    reused_items: int  # of shards that were done before this run
    failed: int  # shards
    rejected: int
    started: float  # seconds since 1970
    updated: float
    seconds: Mapping[str, float] = field(default_factory=dict)  # in workers, by stage

    @property
    def rate(self) -> float:
        """Items a second since the run started; 0 while none is made."""
        return (self.done_items - self.reused_items) / max(self.updated - self.started, 1e-3)


def read_state(folder: DatasetFolder) -> RunState | None:
    """The state of the run in a folder; None where there is none, or it is damaged."""
    try:
        state = RunState(**parse_json(content(_path(folder))))
    except (OSError, ValueError, TypeError):
        return None
    counts = ("shards", "items", "done_shards", "done_items", "reused_items", "failed", "rejected")
    if not isinstance(state.seconds, dict) or not all(is_count(getattr(state, name)) for name in counts):
        return None
    times = (state.started, state.updated, *state.seconds.values())
    return state if isinstance(state.unit, str) and all(map(is_time, times)) else None


class StateFile:
    """Keeps the file up to date, at most once a second; in a bucket less often."""

    def __init__(self, folder: DatasetFolder) -> None:
        self._folder = folder
        self._seconds = _UPLOADED_SECONDS if isinstance(folder.root, BucketPath) else _WRITTEN_SECONDS
        self._written = 0.0

    def write(self, state: RunState, *, last: bool = False) -> None:
        """Write it, unless it was written just now and more will come; a full disk is not this file's to report."""
        root = self._folder.root
        if not isinstance(root, BucketPath) and not root.is_dir():  # removed under the run: it is not to come back
            return
        if last or time.monotonic() - self._written >= self._seconds:
            try:
                write_json(_path(self._folder), asdict(state))
            except OSError:
                return
            self._written = time.monotonic()

    def remove(self) -> None:
        """Everything is made."""
        _path(self._folder).unlink(missing_ok=True)


def _path(folder: DatasetFolder) -> Location:
    return folder.root / NAME
