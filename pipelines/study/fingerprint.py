"""Fingerprints of the folders and files that a step reads: as few facts as tell whether one is another.

A data set of ours is its marks: names, rows and digests of its shards. So a report, a review or a lease that is written
into it changes nothing. Any other folder is the names and digests of the files that one of our readers could take up:
pictures, archives and tables; a single file is its digest. So what is copied to another disk is what it was, and what
is replaced by something of the same size is not. A table is itself, whatever it names.

A digest is remembered with the file's size, time and number on the disk, or the object's size and time; what differs in
one of them is read again.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from rssn.dataset.shards import DatasetFolder
from rssn.errors import InputError
from rssn.progress import progressing
from rssn.sources.folder_walk import walk
from rssn.sources.tables import is_table
from rssn.sources.tree import entries
from rssn.storage.files import parse_json, sha256, write_json
from rssn.storage.location import Location
from rssn.storage.remote import content, size_of, stamp

Facts: TypeAlias = list[list[str | int]]


class Digests:
    """Digests of files, remembered from one plan to the next."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._used: dict[str, str] = {}

    def open(self, memo: Location | None) -> None:
        """Begin with what a file remembers; a damaged one remembers nothing."""
        self._known, self._used = {}, {}
        with suppress(FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            found = parse_json(content(memo))["digests"] if memo else {}
            self._known = {str(name): str(digest) for name, digest in found.items()}

    def save(self, memo: Location) -> None:
        """Remember what was asked for since."""
        if self._used != self._known:
            write_json(memo, {"digests": self._used})

    def of(self, path: Location, listed: str = "") -> str:
        """The sha256 of a file or an object.

        Args:
            path: Where it is.
            listed: What a listing says of it that changes when it is replaced; empty: it is asked for.
        """
        name = f"{path.resolve()} {listed or f'{size_of(path)} {stamp(path)}'}"
        if name not in self._used:
            self._used[name] = self._known.get(name) or sha256(path)
        return self._used[name]


digests = Digests()
"""Those of the plan that is being made."""


def fingerprint(root: Location) -> Facts:
    """What lies at a place, in order of name.

    Raises:
        InputError: If nothing lies there, or nothing that counts.
        RemoteError: If a bucket does not answer.
    """
    if root.is_file():
        return [[digests.of(root)]]
    if not root.is_dir():
        raise InputError(f"{root}: there is no such file or folder; name it in the study file, or with --input")
    found = _shards(root) if _is_ours(root) else _digested(root)
    if not found:
        what = "no finished shard" if _is_ours(root) else "no picture, archive or table"
        raise InputError(f"{root}: {what} in it; name another folder in the study file, or with --input")
    return found


def _is_ours(root: Location) -> bool:
    folder = DatasetFolder(root)
    return folder.manifest_path.is_file() and (root / "marks").is_dir()


def _shards(root: Location) -> Facts:
    return [[mark.name, mark.rows, mark.sha256] for mark in DatasetFolder(root).marks()]


def _digested(root: Location) -> Facts:
    files = _files(root)
    with ThreadPoolExecutor() as pool:
        found = pool.map(digests.of, [path for path, _, _ in files], [listed for _, _, listed in files])
        shown = progressing(found, len(files), "files", f"inputs: {root.name}")
        return [[name, digest] for (_, name, _), digest in zip(files, shown, strict=True)]


def _files(root: Location) -> list[tuple[Location, str, str]]:
    """Files that count, in order of name, and what their listing says; what cannot be looked at is none."""
    found: list[tuple[Location, str, str]] = []
    if isinstance(root, Path):
        seen = [one for one in walk(root) if one.kind in ("picture", "archive") or is_table(one.path)]
        found += ((one.path, one.name, "") for one in seen)
    else:
        refs = [(one.name, one.ref, one.kind) for one in entries(root)]
        counted = [(name, ref) for name, ref, kind in refs if ref and (kind != "other" or is_table(ref.location))]
        found += ((ref.location, name, f"{ref.size} {ref.stamp}") for name, ref in counted)
    return sorted(found, key=lambda one: one[1].split("/"))
