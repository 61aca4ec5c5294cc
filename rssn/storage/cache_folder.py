"""A folder for a cache: marked as ours, so that nothing is ever removed from anybody else's."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from rssn.errors import InputError

FOLDER = re.compile(r"[0-9a-f]{2}")
ENTRY = re.compile(r"[0-9a-f]{64}(\.layer|\.pixels|\.bytes)")
PASSING = re.compile(r"[0-9a-f]{64}(\.\d+\.tmp|\.lock)|\.[0-9a-f]{64}\.(layer|pixels|bytes)\.\d+\.tmp")
"""Half-written entries (of workers that were killed, where they are old) and locks."""

_TAG_NAME = "CACHEDIR.TAG"
_EARLIER = ("bucket-outputs", "bucket-sources")  # what earlier versions kept there
_TAG = b"""Signature: 8a477f597d28d172789f06886806bc55
# This folder is a cache of rssn, which makes and removes files in it; it can be made again.
# For what such a file means to programs that make backups, see https://bford.info/cachedir/
"""


def own_folder(root: Path) -> None:
    """Make a folder for a cache and mark it as ours, so that nothing is ever removed from anybody else's.

    It is taken if it is new, empty, marked, or holds nothing but what an earlier version of this cache made.

    Raises:
        InputError: If it holds anything else, or cannot be written to.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        names = [path.name for path in root.iterdir()]
        tag = (root / _TAG_NAME).read_bytes() if _TAG_NAME in names else b""
        foreign = None if tag.startswith(_TAG) else next(_foreign(root, names, tag), None)
        if foreign is None and not tag.startswith(_TAG):
            (root / _TAG_NAME).write_bytes(_TAG)
        with tempfile.TemporaryFile(dir=root):
            pass
    except OSError as error:
        raise InputError(f"--cache-dir {root}: {error.strerror}; name another folder, or --cache-size 0") from error
    if foreign is not None:
        words = f"holds other files ({foreign}), and a cache deletes files"
        raise InputError(f"--cache-dir {root}: {words}; name a new or empty folder, such as {root / 'rssn'}")


def _foreign(root: Path, names: Iterable[str], tag: bytes) -> Iterator[str]:
    """What no version of this cache made in a folder without our tag."""
    for name in names:
        if FOLDER.fullmatch(name) and (root / name).is_dir():
            below = (path.name for path in (root / name).iterdir())
            yield from (f"{name}/{one}" for one in below if not (ENTRY.fullmatch(one) or PASSING.fullmatch(one)))
        elif name == _TAG_NAME and _TAG.startswith(tag):
            continue  # another process writes it at this moment, or died of it
        elif name not in _EARLIER:
            yield name
