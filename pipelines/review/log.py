"""The decisions of a review: one SQLite file, to which rows are only added.

A step is what a person did with one key in one window of a browser: one decision or several. Undoing a step adds rows
that restore what was before. Every step is on disk, through to the device, before the call that made it returns.
"""

from __future__ import annotations

import sqlite3
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bg20k.review import Choice, Decider, Decision
from rssn.errors import InputError
from rssn.storage.location import Location
from rssn.storage.remote import content

REVIEW = "review.sqlite"
"""The name of the file of decisions in a curated set."""

_VERSION = 3
_LOCKED_SECONDS = 5.0  # a person waits so long before hearing of another program's lock
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS decisions (
    id INTEGER PRIMARY KEY,
    step INTEGER NOT NULL,
    source TEXT NOT NULL,
    background_id TEXT,
    verdict TEXT CHECK (verdict IN ('keep', 'reject')),  -- null: undecided again
    previous TEXT CHECK (previous IN ('keep', 'reject')),
    undoes INTEGER,  -- the step that this row takes back
    time TEXT NOT NULL,
    session TEXT,  -- the window in which it was made
    decided_by TEXT CHECK (decided_by IN ('person', 'model'))  -- null: person
);
CREATE INDEX IF NOT EXISTS by_source ON decisions (source, id);
CREATE INDEX IF NOT EXISTS by_step ON decisions (step);
PRAGMA user_version = {_VERSION};
COMMIT;
"""
_ADDED = {1: "session TEXT", 2: "decided_by TEXT CHECK (decided_by IN ('person', 'model'))"}
"""The columns that came after a version."""
_LAST_ID = "SELECT coalesce(max(id), 0) FROM decisions"
_CURRENT = """
SELECT source, verdict, background_id, {decided_by} FROM decisions
WHERE id IN (SELECT max(id) FROM decisions GROUP BY source) AND verdict IS NOT NULL
"""
_STEPS = """
SELECT DISTINCT step FROM decisions WHERE session = ? AND undoes IS NULL
AND step NOT IN (SELECT undoes FROM decisions WHERE undoes IS NOT NULL) ORDER BY step DESC
"""
_HOLDER = """
SELECT step FROM decisions WHERE source = ? AND undoes IS NULL
AND step NOT IN (SELECT undoes FROM decisions WHERE undoes IS NOT NULL) ORDER BY id DESC LIMIT 1
"""
_RESTORE = "restore a copy of it, or move it away to start over"
_REMEDIES = {
    sqlite3.SQLITE_BUSY: "another program is using it: close that program and try again",
    sqlite3.SQLITE_FULL: "free some disk space and try again",
    sqlite3.SQLITE_READONLY: "give this user write access to it and its folder",
    sqlite3.SQLITE_CANTOPEN: "it must be a file, and this user needs write access to it and its folder",
    sqlite3.SQLITE_CORRUPT: _RESTORE,
    sqlite3.SQLITE_NOTADB: _RESTORE,
}
_BEFORE = """
SELECT step.source, before.background_id, before.verdict, before.decided_by
FROM decisions AS step LEFT JOIN decisions AS before
ON before.id = (SELECT max(id) FROM decisions WHERE source = step.source AND id < step.id)
WHERE step.step = ? ORDER BY step.id
"""


@dataclass(frozen=True)
class NewDecision:
    """One decision to be stored."""

    source: str
    background_id: str | None
    choice: Choice
    by: Decider = "person"


class LogError(InputError):
    """The file of the decisions cannot be used, or was replaced; the decision at hand is not stored."""


class ReviewLog:
    """The decisions in `review.sqlite`; safe to use from several threads.

    Args:
        path: The file; made where it is missing. One that cannot be read is left as it is.

    Raises:
        LogError: If it is not a review log, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._refused: set[int] = set()  # steps that undo refused once and then skips
        self._last_id = 0
        self._lost = ""
        if path.exists() and not path.is_file():
            raise LogError(f"{path}: not a file; move it away")
        with _translate_errors(path):
            self._database = sqlite3.connect(
                path, timeout=_LOCKED_SECONDS, check_same_thread=False, isolation_level=None
            )
            self._database.execute("PRAGMA synchronous = EXTRA")  # the journal's removal reaches the device too
            version = _checked_version(self._database, path)
            if version < _VERSION:
                self._database.executescript(_upgrade(version) if version else _SCHEMA)
        self._identity = _identity(path)

    @property
    def upload(self) -> Mapping[str, Any] | None:
        """Whether decisions wait for their upload, and what is in its way; None: they are where they belong."""
        return None

    def snapshot(self) -> tuple[int, bytes]:
        """The id of the last row, 0 where there is none, and the file as it is then.

        Raises:
            LogError: If it cannot be read.
        """
        with self._lock, _translate_errors(self._path):
            last: int = self._database.execute(_LAST_ID).fetchone()[0]
            return last, self._database.serialize()

    def close(self) -> None:
        """Close the file; everything is stored already."""
        with self._lock:
            self._database.close()

    def current(self) -> dict[str, Decision]:
        """The decisions in force, by source.

        Raises:
            LogError: If the file is not the one that was opened, or cannot be read.
        """
        with self._lock, _translate_errors(self._path):
            self._check_file()
            return _current(self._database)

    def decide(self, made: Sequence[NewDecision], session: str, *, only_undecided: bool = False) -> None:
        """Write one step; all of it or nothing.

        Args:
            made: The decisions.
            session: The window in which they were made.
            only_undecided: Whether to skip photographs that were decided in another window meanwhile.

        Raises:
            LogError: If it is not stored.
        """
        with self._writing() as add:
            existing = _current(self._database) if only_undecided else {}
            for one in made:
                known = existing.get(one.source)
                if known is None or known.background_id != one.background_id:
                    add((one.source, one.background_id, one.choice, one.by), None, session)

    def undo(self, session: str) -> list[str]:
        """Take back the last step of a window that is still in force.

        Returns:
            The sources that it concerned; none where there is no step.

        Raises:
            InputError: If a photograph of it was decided again since; the next call undoes the step before.
            LogError: If it is not stored.
        """
        with self._writing() as add:
            steps = (step for (step,) in self._database.execute(_STEPS, (session,)))
            last = next((step for step in steps if step not in self._refused), None)
            if last is None:
                return []
            rows = self._database.execute(_BEFORE, (last,)).fetchall()
            for source, *_ in rows:
                if self._database.execute(_HOLDER, (source,)).fetchone() != (last,):
                    self._refused.add(last)
                    raise InputError(f"{source} was decided again in another window since; that decision stays")
            for row in rows:
                add(row, last, session)
        return [row[0] for row in rows]

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        """One transaction; gives what adds a row to its step."""
        with self._lock, _translate_errors(self._path):
            self._check_file()
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._adder()
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
            self._check_file()

    def _adder(self) -> Any:
        step = self._database.execute("SELECT coalesce(max(step), 0) + 1 FROM decisions").fetchone()[0]
        time = datetime.now(UTC).isoformat(timespec="milliseconds")

        def add(row: tuple[str, str | None, str | None, str | None], undoes: int | None, session: str) -> None:
            previous = self._database.execute(
                "SELECT verdict FROM decisions WHERE source = ? ORDER BY id DESC LIMIT 1", (row[0],)
            ).fetchone()
            self._database.execute(
                "INSERT INTO decisions"
                " (step, source, background_id, verdict, decided_by, previous, undoes, time, session)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (step, *row, previous and previous[0], undoes, time, session),
            )

        return add

    def _check_file(self) -> None:
        """Refuse to go on where the file was deleted, replaced or rolled back; saves what a lost file held."""
        if not self._lost and _identity(self._path) != self._identity:
            self._lost = self._saved_elsewhere()
        if self._lost:
            raise LogError(f"{self._path}: {self._lost}")
        last_id = self._database.execute(_LAST_ID).fetchone()[0]
        if last_id < self._last_id:
            self._lost = (
                f"holds {last_id} of the {self._last_id} rows that were stored: its content was replaced meanwhile. "
                f"Nothing is stored any more; restore the file and start rssn review again"
            )
            raise LogError(f"{self._path}: {self._lost}")
        self._last_id = last_id

    def _saved_elsewhere(self) -> str:
        """Save what the deleted or replaced file held in a new file beside it; returns a message that says so."""
        happened = "was replaced" if self._path.exists() else "was deleted"
        copy = self._path.with_name(f"review-{datetime.now(UTC):%Y%m%d-%H%M%S}.sqlite")
        try:
            count = len(_current(self._database))
            self._database.execute("VACUUM INTO ?", (str(copy),))
        except sqlite3.Error as error:
            return f"{happened} during the review, and its decisions are lost: {error}. Start rssn review again"
        return (
            f"{happened} during the review, so nothing is stored any more. Its {count} decisions were saved to "
            f"{copy.name}: rename that file to {self._path.name} to keep them, and start rssn review again"
        )


def review_path(root: Location) -> Location:
    """Where the decisions about a curated set lie."""
    return root / REVIEW


def read_decisions(root: Location) -> dict[str, Decision]:
    """The decisions that hold for a curated set; the file is not changed.

    Raises:
        InputError: If there is no such file, or it is not a review log, or damaged.
    """
    path = review_path(root)
    if not path.is_file():
        raise InputError(f"{path}: no decisions yet; make some with rssn review {root}")
    with _on_disk(path) as here, _translate_errors(here):
        address = f"{here.resolve().as_uri()}?mode=rw"  # rolls back what a killed review left half-written
        database = sqlite3.connect(address, uri=True, timeout=_LOCKED_SECONDS)
        try:
            if not _checked_version(database, here):
                raise LogError(f"{path}: empty; make decisions with rssn review {root}")
            return _current(database)
        finally:
            database.close()


@contextmanager
def _on_disk(path: Location) -> Iterator[Path]:
    """The file itself; of an object, a copy of it."""
    if isinstance(path, Path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="rssn-") as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(content(path))
        yield copy


def _current(database: sqlite3.Connection) -> dict[str, Decision]:
    columns = {name for _, name, *_ in database.execute("PRAGMA table_info(decisions)")}
    decided_by = "coalesce(decided_by, 'person')" if "decided_by" in columns else "'person'"
    rows = database.execute(_CURRENT.format(decided_by=decided_by)).fetchall()
    return {source: Decision(verdict, background_id, by) for source, verdict, background_id, by in rows}


def _upgrade(version: int) -> str:
    """What makes a file of an earlier version one of this."""
    added = "".join(f"ALTER TABLE decisions ADD COLUMN {_ADDED[each]};" for each in range(version, _VERSION))
    return f"BEGIN IMMEDIATE;{added}PRAGMA user_version = {_VERSION};COMMIT;"


def _checked_version(database: sqlite3.Connection, path: Path) -> int:
    """The version of a log; 0 for a file without content.

    Raises:
        LogError: If it is damaged, or not a log of a known version.
    """
    found = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(found)
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not (0 < version <= _VERSION and "decisions" in tables) and (version or tables):
        raise LogError(f"{path}: not written by this version of rssn; move it away, or use the version that wrote it")
    return version


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        words = " ".join(str(error).split())
        remedy = _REMEDIES.get(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF, "it was not changed")
        raise LogError(f"{path}: the decisions cannot be read or written: {words}; {remedy}") from error


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
