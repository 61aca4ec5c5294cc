"""Where a run keeps its files: a folder, or a bucket that is brought up to date from a folder on this machine.

A run in a bucket begins with what lies there, so that it resumes on any machine. Its files are uploaded by a thread, of
which one is at work at a time: training waits only where the next checkpoint comes before the last one is uploaded.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from filecmp import cmp
from glob import escape
from math import inf
from pathlib import Path
from tempfile import mkdtemp

from rssn.errors import InputError, RemoteError
from rssn.storage.buckets import FileFacts, fetch, remove, upload
from rssn.storage.lease import hold_lease
from rssn.storage.location import BucketPath, Location, scratch_of
from rssn.storage.lock import FileLock
from rssn.storage.remote import list_files
from train.checkpoint import drop_old_steps, load_checkpoint

_RESUMED = re.compile(r"last\.pt|best(\.\d+)?\.pt|best\.json|metrics\.jsonl")
"""What a run that resumes reads, or must not overwrite."""

_LAST = "last.pt"
_IN_TURN = (_LAST, "best.pt", "best.json")
"""What is uploaded at last, and in which order: each speaks of the one before it. The record comes before: a run that
resumes forgets the steps that its checkpoint does not know."""

_LOCK = "lock"
_RUN = "run"


class RunFolder:
    """A folder with the files of a run.

    Attributes:
        path: The folder, on this machine.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def publish(self) -> None:
        """Bring what others see up to date; nothing is to be done where they see the folder itself."""

    def shown(self, words: str) -> str:
        """A message as the user knows the files that it names."""
        return words


@contextmanager
def open_run(out: Location, keep: int, say: Callable[[str], None]) -> Iterator[RunFolder]:
    """Hold the lease of a run and open its files; when it ends, a bucket has all of them.

    Args:
        out: Where the run is to be.
        keep: Older checkpoints that stay, see `train.checkpoint.rotate`.
        say: Told, in sentences, of uploads that failed.

    Raises:
        InputError: If another run is at work there.
        RemoteError: If the bucket does not give the files, or does not take the last ones.
    """
    with hold_lease(out):
        if not isinstance(out, BucketPath):
            yield RunFolder(out)
            return
        with _home(out) as home:
            folder = _Mirror(out, home, keep, say)
            _drop_left(out, folder, say)
            try:
                yield from _used(folder)
            finally:
                if not folder.unsent:
                    shutil.rmtree(folder.path, ignore_errors=True)
                elif not folder.told:
                    say(folder.unsent)


def _used(folder: _Mirror) -> Iterator[RunFolder]:
    try:
        yield folder
    except KeyboardInterrupt:
        folder.cancel()
        raise
    except InputError as error:
        folder.settle()
        raise type(error)(folder.shown(str(error))) from error
    except Exception:
        folder.settle()
        raise
    folder.settle(last=True)


class _Mirror(RunFolder):
    """Files on their way to a bucket."""

    def __init__(self, out: BucketPath, home: Path, keep: int, say: Callable[[str], None]) -> None:
        super().__init__(home / _RUN)
        self._out, self._keep, self._say = out, keep, say
        self._going = home / "going"
        self._thread: threading.Thread | None = None
        self._problem: Exception | None = None
        self._cancelled = threading.Event()
        self.told = False  # whether an error says what is unsent
        self.path.mkdir()
        for name in filter(_RESUMED.fullmatch, list_files(out)):
            fetch(f"{out}/{name}", self.path / name)
        self._sent = list_files(self.path)

    @property
    def unsent(self) -> str:
        """That the bucket lacks checkpoints, and where they are, in words; empty where it does not."""
        found = list_files(self.path)
        if all(self._sent.get(name) == found.get(name) for name in _IN_TURN):
            return ""
        return f"{self._out} lacks the last checkpoints; {_kept_words(self.path, self._out)}"

    def publish(self) -> None:
        """Upload what has changed; returns once it is noted down, and an earlier upload has ended."""
        self.settle()
        found = {name: facts for name, facts in list_files(self.path).items() if not _is_temporary(name)}
        changed = {name: facts for name, facts in found.items() if self._sent.get(name) != facts}
        for name in changed:
            _hold(self.path / name, self._going / name)
        self._thread = threading.Thread(
            target=self._upload, args=(changed, sorted(self._sent.keys() - found.keys())), daemon=True
        )
        self._thread.start()

    def shown(self, words: str) -> str:
        """With the URLs of the files."""
        return words.replace(str(self.path), str(self._out))

    def settle(self, *, last: bool = False) -> None:
        """Wait for an upload.

        Raises:
            RemoteError: If the last one failed; after others there is another attempt.
        """
        if self._thread:
            self._thread.join()
        problem, self._problem, self._thread = self._problem, None, None
        if problem is None:
            return
        if last and self.unsent:
            self.told = True
            raise RemoteError(f"{problem}; {self.unsent}") from problem
        if last or not isinstance(problem, RemoteError):
            raise problem
        self._say(f"{problem}; the run continues, and tries again at its next checkpoint")

    def cancel(self) -> None:
        """Upload no other file."""
        self._cancelled.set()

    def _upload(self, changed: dict[str, FileFacts], gone: list[str]) -> None:
        try:
            for name in sorted(changed, key=_turn):
                if self._cancelled.is_set():
                    return
                upload(self._going / name, f"{self._out}/{name}")
                self._sent[name] = changed[name]
            remove([f"{self._out}/{name}" for name in gone])
            for name in gone:
                del self._sent[name]
            drop_old_steps(self._out, self._keep)
        except Exception as error:
            self._problem = error
        finally:
            shutil.rmtree(self._going, ignore_errors=True)


def _turn(name: str) -> tuple[int, str]:
    return _IN_TURN.index(name) + 1 if name in _IN_TURN else 0, name


def _is_temporary(name: str) -> bool:
    return name.rpartition("/")[2].startswith(".")


def _hold(path: Path, name: Path) -> None:
    """Keep a file as it is now under another name: checkpoints are replaced as a whole, others are appended to."""
    name.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".pt":
        os.link(path, name)
    else:
        shutil.copyfile(path, name)


@contextmanager
def _home(out: BucketPath) -> Iterator[Path]:
    """A folder of this run's own; it stays if a run's files do."""
    beside = scratch_of(out).parent
    beside.mkdir(parents=True, exist_ok=True)
    home = Path(mkdtemp(prefix=_start(out), suffix=".run", dir=beside))
    lock = FileLock(home / _LOCK)
    try:
        yield home
    finally:
        if not (home / _RUN).exists():
            shutil.rmtree(home, ignore_errors=True)
        lock.release()


def _drop_left(out: BucketPath, current: RunFolder, say: Callable[[str], None]) -> None:
    """Remove the folders of earlier runs that ended, and name those that know later steps than the bucket."""
    for left in scratch_of(out).parent.glob(f"{escape(_start(out))}*.run"):
        if not (left / _LOCK).is_file():
            continue
        lock = FileLock(left / _LOCK)
        if lock.name:  # nobody else's
            if _is_ahead(left / _RUN, current.path):
                say(f"an earlier run of {out} has what is not there; {_kept_words(left / _RUN, out)}")
            else:
                shutil.rmtree(left, ignore_errors=True)
        lock.release()


def _is_ahead(left: Path, current: Path) -> bool:
    """Whether an earlier run has what the bucket lacks: later steps, or of the same step another best checkpoint."""
    ahead = _steps(left) - _steps(current)
    best, ours = left / "best.pt", current / "best.pt"
    return ahead > 0 or (ahead == 0 and best.exists() and not (ours.exists() and cmp(best, ours, shallow=False)))


def _steps(folder: Path) -> float:
    """Those of the last checkpoint in a folder; without end where nobody can tell."""
    if not (folder / _LAST).exists():
        return 0
    try:
        return load_checkpoint(folder / _LAST).step
    except InputError:
        return inf


def _start(out: BucketPath) -> str:
    return f".{out.name[:100]}."


def _kept_words(folder: Path, out: BucketPath) -> str:
    return f"what is in {folder} stays: copy it over what is in {out} to go on from it, else remove it"
