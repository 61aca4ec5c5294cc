"""The folder of a run belongs to one run at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rssn.errors import InputError


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder, which is made if need be; the system gives it back when the process ends, however.

    Raises:
        InputError: If another run holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w", encoding="ascii") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"--out {folder}: another run is at work here; wait for it, or give another") from error
        except OSError:  # a file system without locks
            pass
        yield
