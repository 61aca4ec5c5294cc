"""What the machine gives to this process: processors, memory, and a folder for caches that it can write."""

from __future__ import annotations

import math
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path


def available_cpus(root: Path = Path("/")) -> int:
    """The processors that this process may use, by its affinity and by the quotas of its control groups; at least 1.

    Args:
        root: Where `proc` lies, and what it names.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *(math.ceil(quota) for quota in _quotas(root))]))


_PICTURE_THREADS: ContextVar[int] = ContextVar("picture_threads", default=1)


@contextmanager
def picture_threads(count: int) -> Iterator[None]:
    """Let kernels that can work with so many threads on each picture; otherwise one, for runs have workers."""
    token = _PICTURE_THREADS.set(count)
    try:
        yield
    finally:
        _PICTURE_THREADS.reset(token)


def threads_of_a_picture(asked: int | None = None) -> int:
    """As asked, or as `picture_threads` says here; 1 where it says nothing.

    Raises:
        InputError: If it is below 1.
    """
    from rssn.errors import InputError  # noqa: PLC0415  (`import rssn` loads this file, and little else)

    threads = _PICTURE_THREADS.get() if asked is None else asked
    if threads < 1:
        raise InputError(f"threads is {threads}; expected 1 or more")
    return threads


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
_KEPT_BYTES = 1 << 30


def keep_freed_memory() -> None:
    """Let this process keep up to 1 GiB of what it frees, for the next picture.

    By default glibc hands the memory of large arrays back at once, and the system clears every page of it anew for the
    next array. Of no effect with other C libraries.
    """
    import ctypes  # noqa: PLC0415  (`import rssn` loads this file)

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _KEPT_BYTES)
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)


def cache_home() -> Path:
    """The folder in which programs keep caches: the user's, or one below the temporary folder if that is read-only."""
    named = os.environ.get("XDG_CACHE_HOME")
    with suppress(RuntimeError):  # a user whom the system does not know
        home = Path(named) if named else Path.home() / ".cache"
        if _can_be_written(home):
            return home
    return private_folder("cache")


def home_takes(name: str) -> bool:
    """Whether a folder of this name can be written in the user's home."""
    try:
        return _can_be_written(Path.home() / name)
    except RuntimeError:  # a user whom the system does not know
        return False


def use_cache_home() -> None:
    """Let the libraries of this process and of its children keep their caches where they can be written."""
    with suppress(OSError):  # nowhere: whoever needs a folder says so
        os.environ["XDG_CACHE_HOME"] = str(cache_home())


def _can_be_written(folder: Path) -> bool:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def private_folder(purpose: str) -> Path:
    """A folder below the temporary one for each user: what is read from it, nobody else may have put there.

    Raises:
        OSError: If it cannot be made, or is somebody else's.
    """
    folder = Path(tempfile.gettempdir()) / f"rssn-{os.getuid()}-{purpose}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(f"{folder}: not a folder of this user alone")
    return folder


def _quotas(root: Path) -> Iterator[float]:
    """Processors that each control group above this process grants, where it grants a part."""
    for group in _control_groups(root):
        for read in (_second_version, _first_version):
            with suppress(OSError, ValueError):  # no limit: "max", or -1, or no such file
                yield read(group)


def _second_version(group: Path) -> float:
    quota, period = (group / "cpu.max").read_text(encoding="ascii").split()
    return int(quota) / int(period)


def _first_version(group: Path) -> float:
    quota, period = (int((group / f"cpu.cfs_{name}_us").read_text(encoding="ascii")) for name in ("quota", "period"))
    if quota < 0:
        raise ValueError("no limit")
    return quota / period


def _control_groups(root: Path) -> Iterator[Path]:
    """The folders of this process's groups, and of those above them as far as they are mounted."""
    with suppress(OSError, ValueError):
        mounts = (root / "proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        for line in (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines():
            _, controllers, own = line.split(":", 2)
            if not controllers or "cpu" in controllers.split(","):
                for top, point in _mounted(mounts, controllers):
                    folder = root / point.lstrip("/")
                    below = Path(own).relative_to(top).parts if Path(own).is_relative_to(top) else ()
                    yield from (folder.joinpath(*below[:depth]) for depth in range(len(below) + 1))


def _mounted(mounts: list[str], controllers: str) -> Iterator[tuple[str, str]]:
    """Where a hierarchy is mounted: the group that is seen as its top, and the folder."""
    for line in mounts:
        left, _, right = line.partition(" - ")
        (top, point), (kind, _, options) = left.split()[3:5], right.split()[:3]
        if kind == ("cgroup" if controllers else "cgroup2") and (not controllers or "cpu" in options.split(",")):
            yield top, point
