"""What lies in a folder or file that a step reads, in as few facts as tell whether it is another.

A data set of ours is its marks: names, rows and digests of its shards. So a report, a review or a lease that is written
into it changes nothing. Any other folder is the names, sizes and times of the files that one of our readers could take
up: pictures, archives and tables, hidden ones too, as the readers have it. A single file is its digest, for weights get
another time wherever they are installed; an archive is its size and its time, and a table is itself, whatever it names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from rssn.archives import ARCHIVE_SUFFIXES
from rssn.crawl import CRAWL_SUFFIXES
from rssn.errors import InputError
from rssn.files import sha256
from rssn.shards import DatasetFolder
from rssn.tables import is_table

Facts: TypeAlias = list[list[str | int]]

_COUNTED = CRAWL_SUFFIXES | ARCHIVE_SUFFIXES


def contents(root: Path) -> Facts:
    """What lies at a place, in order of name.

    Raises:
        InputError: If nothing lies there, or nothing that counts.
    """
    if not root.exists():
        raise InputError(f"{root}: there is no such file or folder; name it in the study file, or with --input")
    if not root.is_dir():
        return [_facts(root, ".") if root.suffix.lower() in ARCHIVE_SUFFIXES else [sha256(root)]]
    found = _shards(root) if _is_ours(root) else [_facts(path, name) for path, name in _files(root)]
    if not found:
        what = "no finished shard" if _is_ours(root) else "no picture, archive or table"
        raise InputError(f"{root}: {what} in it; name another folder in the study file, or with --input")
    return found


def _is_ours(root: Path) -> bool:
    folder = DatasetFolder(root)
    return folder.manifest.is_file() and (root / "marks").is_dir()


def _shards(root: Path) -> Facts:
    return [[mark.name, mark.rows, mark.sha256] for mark in DatasetFolder(root).marks()]


def _facts(path: Path, name: str) -> list[str | int]:
    status = path.stat()
    return [name, status.st_size, status.st_mtime_ns]


def _files(root: Path) -> list[tuple[Path, str]]:
    return [(path, path.relative_to(root).as_posix()) for path in sorted(_walk(root, frozenset()))]


def _walk(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    """Files that count; links to folders are entered, as the layouts do, but for those that lead back."""
    real = folder.resolve()
    if real in above:
        return
    try:
        with os.scandir(folder) as entries:
            below = [(folder / entry.name, entry.is_dir()) for entry in entries]
    except OSError as error:
        raise InputError(f"{folder}: cannot be looked into: {error.strerror}") from error
    for path, is_folder in below:
        if is_folder:
            yield from _walk(path, above | {real})
        elif is_table(path) or (path.suffix.lower() in _COUNTED and path.is_file()):
            yield path
