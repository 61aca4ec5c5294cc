"""What lies in a folder or file that a step reads, in as few facts as tell whether it is another.

A data set of ours is its marks: names, rows and digests of its shards. So a report, a review or a lease that is written
into it changes nothing. Any other folder is the names, sizes and times of the files that one of our readers could take
up: pictures, archives and tables. A single file is its digest, for weights get
another time wherever they are installed; an archive is its size and its time, and a table is itself, whatever it names.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from rssn.errors import InputError
from rssn.files import sha256
from rssn.folder_walk import walk
from rssn.picture_files import archive_format
from rssn.shards import DatasetFolder
from rssn.tables import is_table

Facts: TypeAlias = list[list[str | int]]


def contents(root: Path) -> Facts:
    """What lies at a place, in order of name.

    Raises:
        InputError: If nothing lies there, or nothing that counts.
    """
    if not root.exists():
        raise InputError(f"{root}: there is no such file or folder; name it in the study file, or with --input")
    if not root.is_dir():
        return [_facts(root, ".") if archive_format(root) else [sha256(root)]]
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
    """Files that count; what cannot be looked at is none."""
    found = [(one.path, one.name) for one in walk(root) if one.kind in ("picture", "archive") or is_table(one.path)]
    return sorted(found)
