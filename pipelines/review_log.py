"""The decisions of a review: one SQLite file, to which rows are only added.

A step is what a person did with one key: one decision or several. Undoing a step adds rows that restore what was
before. Every step is on disk, through to the device, before the call that made it returns.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bg20k.review import Choice, Decision
from rssn.errors import InputError

_VERSION = 1
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS decisions (
    id INTEGER PRIMARY KEY,
    step INTEGER NOT NULL,
    source TEXT NOT NULL,
    background_id TEXT,
    verdict TEXT CHECK (verdict IN ('keep', 'reject')),  -- null: undecided again
    previous TEXT CHECK (previous IN ('keep', 'reject')),
    undoes INTEGER,  -- the step that this row takes back
    time TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS by_source ON decisions (source, id);
CREATE INDEX IF NOT EXISTS by_step ON decisions (step);
PRAGMA user_version = {_VERSION};
"""
_CURRENT = """
SELECT source, verdict, background_id FROM decisions
WHERE id IN (SELECT max(id) FROM decisions GROUP BY source) AND verdict IS NOT NULL
"""
_LAST_STEP = """
SELECT max(step) FROM decisions
WHERE undoes IS NULL AND step NOT IN (SELECT undoes FROM decisions WHERE undoes IS NOT NULL)
"""


@dataclass(frozen=True)
class Made:
    """One decision to be written."""

    source: str
    background_id: str | None
    choice: Choice


class ReviewLog:
    """The decisions in `review.sqlite`; safe to use from several threads.

    Args:
        path: The file; made where it is missing.

    Raises:
        InputError: If it is no log of ours.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, timeout=30, check_same_thread=False, isolation_level=None)
        with self._translated():
            self._database.execute("PRAGMA synchronous = EXTRA")  # the journal's removal reaches the device too
            version = self._database.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _VERSION):
                raise InputError(f"{path}: written by another version of rssn")
            if version == 0:
                self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file; nothing is left to write."""
        with self._lock:
            self._database.close()

    def current(self) -> dict[str, Decision]:
        """What holds now, by source."""
        with self._lock, self._translated():
            rows = self._database.execute(_CURRENT).fetchall()
        return {source: Decision(verdict, background_id) for source, verdict, background_id in rows}

    def decide(self, made: Sequence[Made]) -> None:
        """Write one step; all of it or nothing."""
        with self._writing() as (step, time):
            for one in made:
                self._add(step, (one.source, one.background_id, one.choice), None, time)

    def undo(self) -> list[str]:
        """Take back the last step that still holds; the sources that it was about, none where there is no step."""
        with self._writing() as (step, time):
            last = self._database.execute(_LAST_STEP).fetchone()[0]
            rows = self._database.execute(
                "SELECT source, background_id, previous FROM decisions WHERE step = ? ORDER BY id", (last,)
            ).fetchall()
            for row in rows:
                self._add(step, row, last, time)
        return [row[0] for row in rows]

    def _add(self, step: int, row: tuple[str, str | None, str | None], undoes: int | None, time: str) -> None:
        source = row[0]
        found = self._database.execute(
            "SELECT verdict FROM decisions WHERE source = ? ORDER BY id DESC LIMIT 1", (source,)
        ).fetchone()
        values = (step, *row, found and found[0], undoes, time)
        self._database.execute(
            "INSERT INTO decisions (step, source, background_id, verdict, previous, undoes, time)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            values,
        )

    @contextmanager
    def _writing(self) -> Iterator[tuple[int, str]]:
        """One transaction; gives the number of the step and the time."""
        with self._lock, self._translated():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                step: Any = self._database.execute("SELECT coalesce(max(step), 0) + 1 FROM decisions").fetchone()[0]
                yield step, datetime.now(UTC).isoformat(timespec="milliseconds")
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise InputError(f"{self._path}: the decisions cannot be read or written: {error}") from error


def review_path(root: Path) -> Path:
    """Where the decisions about a curated set lie."""
    return root / "review.sqlite"


def read_decisions(root: Path) -> dict[str, Decision]:
    """The decisions that hold for a curated set; the file is not changed.

    Raises:
        InputError: If there is no such file, or it is no log of ours.
    """
    path = review_path(root)
    if not path.is_file():
        raise InputError(f"{path}: no decisions here; make some with rssn review {root}")
    log = ReviewLog(path)
    try:
        return log.current()
    finally:
        log.close()
