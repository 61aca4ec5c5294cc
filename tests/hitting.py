"""SIGKILLs that provably hit: what writes is stopped first, and killed only if its temporary file is still there.

RSSN_TEST_KILLS says how often each command is killed; twice unless told otherwise, for each costs seconds.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

KILLS = int(os.environ.get("RSSN_TEST_KILLS", "2"))
ROOT = Path(__file__).parents[1]
_TAG = "RSSN_TEST_COMMAND"
_PATIENCE_SECONDS = 300.0
_SHARD = re.compile(r"\..*\.parquet\.(\d+)\.tmp")


@dataclass
class Command:
    """One of our commands, which may be started again and again: `module` with `words`, in `folder`."""

    module: str
    words: Sequence[object]
    folder: Path
    tag: str = field(default_factory=lambda: uuid.uuid4().hex)

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[str]]:
        """The command at work; it and all that it started have ended when the block is left."""
        command = [sys.executable, "-m", self.module, *map(str, self.words)]
        environment = os.environ | {_TAG: self.tag, "PYTHONPATH": str(ROOT)}
        with (self.folder / "said.txt").open("w") as said:
            process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=said, stderr=said, text=True)
            try:
                yield process
                process.wait(_PATIENCE_SECONDS)
                deadline = time.monotonic() + _PATIENCE_SECONDS
                while self.processes() and time.monotonic() < deadline:
                    for pid in self.workers("ray::DashboardAgent") + self.workers("ray::RuntimeEnvAgent"):
                        _send(pid, signal.SIGKILL)  # for a minute they would tell a Ray that is gone that it is gone
                    time.sleep(0.2)  # to look costs as much as a fifth of that
                assert self.processes() == [], "processes outlive their command"
            finally:
                for pid in self.processes():
                    _send(pid, signal.SIGKILL)
                process.wait()

    def run(self) -> None:
        """Run it to its end, which must be a good one."""
        with self.running() as process:
            process.wait(_PATIENCE_SECONDS)
        assert process.returncode == 0, self.said()

    def said(self) -> str:
        """Its last words."""
        return (self.folder / "said.txt").read_text(errors="replace")[-2000:]

    def processes(self) -> list[int]:
        """Itself and all that it started, also those whose parents are gone."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if f"{_TAG}={self.tag}".encode() in (place / "environ").read_bytes() and not _is_dead(int(place.name)):
                    found.append(int(place.name))
        return sorted(found)

    def workers(self, words: str) -> list[int]:
        """Those of its processes whose command line holds some words."""
        found = []
        for pid in self.processes():
            with suppress(OSError):
                if words in Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"):
                    found.append(pid)
        return found


def hit(
    process: subprocess.Popen[str],
    temporary: Callable[[], Path | None],
    writer: Callable[[Path], int | None],
    victim: Callable[[Path], int | None],
) -> Path | None:
    """Wait for a temporary file, stop the process that writes it, and kill one process if the file is still there.

    Args:
        process: The command at work.
        temporary: Looks for a file once.
        writer: The process that writes a file; while it stands still, the file stays.
        victim: The process to be killed, the writer or another; None lets the file pass.

    Returns:
        The file that was there when the victim was killed; None if the command ended before.
    """
    while process.poll() is None:
        path = temporary()
        owner = path and writer(path)
        if path is None or owner is None or not _send(owner, signal.SIGSTOP):
            time.sleep(0.002)  # less than a file stays, and the processor is for the command
            continue
        try:
            if _is_still(owner) and path.exists() and (pid := victim(path)) is not None:
                assert path.exists()
                os.kill(pid, signal.SIGKILL)
                return path
        finally:
            _send(owner, signal.SIGCONT)
        time.sleep(0.005)  # or a writer that is let pass would hardly come on
    return None


def children(pid: int) -> list[int]:
    """The processes that a process has started and that have not ended."""
    found = []
    for place in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(word) for word in place.read_text().split()]
    return [child for child in found if not _is_dead(child)]


def shard_in(*folders: Path) -> Callable[[], Path | None]:
    """Looks for the temporary file of a shard."""

    def look() -> Path | None:
        for folder in folders:
            with suppress(OSError):
                for name in os.listdir(folder):  # noqa: PTH208  (every millisecond counts)
                    if _SHARD.fullmatch(name):
                        return folder / name
        return None

    return look


def writer_of(path: Path) -> int:
    """The process that a shard's temporary file names."""
    found = _SHARD.fullmatch(path.name)
    assert found
    return int(found[1])


def content(out: Path, *, blank: str = r"(?!)") -> dict[str, bytes]:
    """Every file below a folder; of those whose path fits an expression the name alone."""
    found = {path.relative_to(out).as_posix(): path for path in sorted(out.rglob("*")) if not path.is_dir()}
    return {name: b"" if re.fullmatch(blank, name) else path.read_bytes() for name, path in found.items()}


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """The names of files that are not the same, for messages of a length that people can read."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _send(pid: int, number: signal.Signals) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def _is_dead(pid: int) -> bool:
    return _state(pid) in "ZX"


def _is_still(pid: int) -> bool:
    """Wait until a process that was sent SIGSTOP is stopped; false if it has ended."""
    while (state := _state(pid)) not in "TtZX":
        time.sleep(0.0005)
    return state in "Tt"
