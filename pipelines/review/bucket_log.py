"""The decisions of a review of a set in a bucket: a file on this disk, uploaded after each step.

Every decision is on this disk before its step is confirmed, and in the bucket about a second later. One review of a set
runs at a time. An object that something else, which does not hold the lease, wrote meanwhile is not written over:
versions are compared before each upload. Comparing and uploading are two steps: what is written between them is lost.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from pipelines.review.log import REVIEW, LogError, ReviewLog
from rssn.errors import InputError
from rssn.storage.bucket_lease import BucketLease
from rssn.storage.buckets import version_of, write
from rssn.storage.files import is_count, read_json, write_json
from rssn.storage.lease import hold_lease_at
from rssn.storage.location import BucketPath, Location
from rssn.storage.machine import private_folder
from rssn.storage.remote import content

LEASE = ".review-lease.json"
"""The name of a review's lease in a set: a curation holds another one."""

PAUSE_SECONDS = 1.0  # for the steps of a moment, which are uploaded together
RETRY_SECONDS = 5.0


@contextmanager
def open_log(root: Location) -> Iterator[ReviewLog]:
    """The decisions about a curated set, to be added to.

    Raises:
        InputError: If another review is at work there, or not all decisions could be uploaded; says where they are.
        LogError: As `ReviewLog` does.
        RemoteError: If the bucket does not answer.
    """
    if isinstance(root, Path):
        with closing(ReviewLog(root / REVIEW)) as log:
            yield log
        return
    with hold_lease_at(BucketLease(root, LEASE, "review")) as lost, closing(BucketLog(root, lost)) as log:
        yield log


@dataclass(frozen=True)
class Synced:
    """What the bucket is known to hold.

    Attributes:
        version: Of the object, see `version_of`; empty where there is none.
        rows: The id of the last row in it.
        sent: The sha256 of an upload whose success is not known; empty where there is none.
        sent_rows: The id of the last row in that.
    """

    version: str = ""
    rows: int = 0
    sent: str = ""
    sent_rows: int = 0


class _Conflict(Exception):
    """The object is another one than was read or written here."""


class BucketLog(ReviewLog):
    """The decisions in a bucket's `review.sqlite`; to be used by the one that holds the review's lease.

    Args:
        root: The curated set.
        lost: Set once another review took over.

    Raises:
        InputError: If an earlier review left decisions on this disk that cannot be uploaded; says where they are.
        LogError: As `ReviewLog` does.
        RemoteError: If the bucket does not answer.
    """

    def __init__(self, root: BucketPath, lost: threading.Event) -> None:
        self._target = root / REVIEW
        copy = copy_of(root)
        self._note = copy.with_name("synced.json")
        self._lost_lease = lost
        self._problem = ""
        self._conflict = ""
        self._fetch(copy)
        super().__init__(copy)
        self._last_id, _ = self.snapshot()
        self._changed, self._ended = threading.Event(), threading.Event()
        if self._waits:
            self._changed.set()
        self._uploads = threading.Thread(target=self._keep_uploading, daemon=True)
        self._uploads.start()

    @property
    def upload(self) -> Mapping[str, Any]:
        """Whether decisions wait for their upload, and what is in its way, in words."""
        return {"waiting": self._waits, "problem": self._conflict or self._problem}

    def close(self) -> None:
        """Upload what is not there yet, and close the file, which then is not needed any more.

        Raises:
            InputError: If decisions could not be uploaded; says where they are.
        """
        self._ended.set()
        self._changed.set()
        self._uploads.join()
        try:
            self._upload()
        except _Conflict:
            raise InputError(self._conflict_words()) from None
        except OSError as error:
            raise InputError(f"{error}; {self._kept_words()}") from error
        finally:
            super().close()
        self._path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    @property
    def _waits(self) -> bool:
        return self._last_id > self._synced.rows

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        if self._conflict:
            raise LogError(self._conflict)
        with super()._writing() as add:
            yield add
        self._changed.set()

    def _keep_uploading(self) -> None:
        while self._changed.wait() and not self._ended.wait(RETRY_SECONDS if self._problem else PAUSE_SECONDS):
            self._changed.clear()
            try:
                self._upload()
                self._problem = ""
            except _Conflict:
                self._conflict = self._conflict_words()
                return
            except OSError as error:
                self._problem = f"{error}; the decisions are on this disk, and their upload is tried again"
                self._changed.set()

    def _upload(self) -> None:
        """Write the object anew, if it lacks rows, and nothing else has written it.

        Raises:
            _Conflict: If something else has.
            OSError: If the bucket does not take it.
        """
        rows, data = self.snapshot()
        if rows == self._synced.rows:
            return
        known = self._caught_up()
        if known and rows > known.rows:
            self._remember(replace(known, sent=sha256(data).hexdigest(), sent_rows=rows))
            try:
                write(self._target.url, data, new=not known.version)
                known = Synced(_version(self._target), rows)
            except FileExistsError:  # something else wrote it; or this very request, whose first answer was lost
                known = self._caught_up()
        if known is None:
            raise _Conflict
        self._remember(known)

    def _caught_up(self) -> Synced | None:
        """What the bucket holds: as it was read, or as an upload sent it that got no answer; None: something else."""
        if self._lost_lease.is_set():
            return None
        version = _version(self._target)
        if version == self._synced.version:
            return self._synced
        if version and self._synced.sent == sha256(content(self._target)).hexdigest():
            return Synced(version, self._synced.sent_rows)
        return None

    def _fetch(self, copy: Path) -> None:
        """Begin with what the bucket holds, or with what an earlier review on this machine could not upload."""
        copy.parent.mkdir(parents=True, exist_ok=True)
        self._path = copy
        self._synced = _read_note(self._note)
        if copy.exists():
            with closing(ReviewLog(copy)) as log:
                rows, _ = log.snapshot()
            if (known := self._caught_up()) is not None:
                self._remember(known)
                return
            if rows > self._synced.rows:
                raise InputError(self._conflict_words())
        version = _version(self._target)
        copy.unlink(missing_ok=True)
        self._remember(Synced(version))
        if version:
            copy.write_bytes(content(self._target))
            try:
                with closing(ReviewLog(copy)) as log:
                    rows, _ = log.snapshot()
            except LogError as error:
                copy.unlink()
                raise LogError(str(error).replace(str(copy), str(self._target))) from error
            self._remember(Synced(version, rows))

    def _remember(self, synced: Synced) -> None:
        self._synced = synced
        write_json(self._note, asdict(synced))

    def _conflict_words(self) -> str:
        happened = "another review took over" if self._lost_lease.is_set() else "it was replaced or removed meanwhile"
        kept = f"the decisions of this review are in {self._path}"
        remedy = "to keep them, copy that file over it; to go by what is there now, move that file away"
        return f"{self._target}: {happened}, and nothing is stored any more; {kept}: {remedy}"

    def _kept_words(self) -> str:
        return f"the decisions are in {self._path} until rssn review of this set, on this machine, uploads them"


def copy_of(root: BucketPath) -> Path:
    """The file on this machine: not where a run removes what it left."""
    return private_folder("review") / root.url.replace("://", "/", 1) / REVIEW


def _version(target: BucketPath) -> str:
    with suppress(FileNotFoundError):
        return version_of(target.url)
    return ""


def _read_note(path: Path) -> Synced:
    """What an earlier review knew; a damaged note knows nothing, so that what is there is taken for another's."""
    with suppress(OSError, InputError, KeyError, TypeError):
        facts = read_json(path, "")
        known = Synced(**facts)
        if is_count(known.rows) and is_count(known.sent_rows):
            return known
    return Synced()
