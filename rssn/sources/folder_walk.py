"""Looking through a user's folder for pictures: every visible file once, and whatever cannot be looked at.

Links are followed. A folder is entered once however many links lead to it, and what lies in the folder that is searched
is found where it lies; a link that leads back to where it comes from is a problem with a name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rssn.errors import InputError
from rssn.image.picture_files import HEAD_BYTES, file_kind, is_hidden
from rssn.sources.names import is_utf8, printable
from rssn.sources.picture_ref import PictureRef
from rssn.storage.location import BucketPath, Location
from rssn.storage.remote import opened

_OURS = ("manifest.json", "marks")
_CACHE = "CACHEDIR.TAG"
_LOOP = "a link that leads back to a folder in which it lies; remove the link"


@dataclass(frozen=True)
class Problem:
    """A file or a row of a table that takes part in nothing, and why."""

    source: str  # the file, below the data set's root; or the table and the row
    reason: str  # a stable name
    message: str
    ref: PictureRef | None = None  # the picture, where it can be read nevertheless


@dataclass(frozen=True, slots=True)
class Found:
    """A visible file below a folder, or something that should be one."""

    path: Path
    name: str  # below the folder; what is not UTF-8 is escaped
    kind: Literal["picture", "archive", "other", "problem"]
    reason: str = ""  # of a problem, a stable name
    message: str = ""
    is_folder: bool = False  # of a problem: what lies below it is not seen


def walk(root: Path, without: Location | None = None) -> Iterator[Found]:
    """Every visible file below a folder: those of a folder in order of name, then those of the folders in it.

    Data sets of ours below the root, caches (folders with a CACHEDIR.TAG) and what `image.picture_files` calls hidden
    are left out.

    Args:
        root: The folder.
        without: A folder that is left out, wherever it lies: where results go, say.

    Raises:
        InputError: If the folder does not exist, cannot be read, or is the one to be left out.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    refuse_results_among(root, without)
    return _Walk(root, without).files()


def refuse_results_among(root: Location, without: Location | None) -> None:
    """Refuse a folder that is both read and written to: the next run would take results for pictures of the user's.

    Raises:
        InputError: Naming it.
    """
    if _is_left_out(root, without):
        raise InputError(f"{root}: results would be written among the pictures that are read; choose another --out")


def is_special(path: Path) -> bool:
    """Whether there is something that is neither a file nor a folder: a pipe, a device, a socket."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@dataclass(frozen=True)
class _Folder:
    path: Path
    name: str  # below the root, with a slash at its end; empty for the root


class _Walk:
    def __init__(self, root: Path, without: Location | None) -> None:
        self._root = root
        self._real = root.resolve()
        self._without = without
        self._entered: set[tuple[int, int]] = set()

    def files(self) -> Iterator[Found]:
        waiting = [_Folder(self._root, "")]
        while waiting:
            folder = waiting.pop()
            try:
                below = self._enter(folder)
            except OSError as error:
                if not folder.name:
                    raise InputError(f"{folder.path}: cannot be read: {error.strerror}") from error
                yield _problem(folder.path, folder.name.rstrip("/"), "unreadable", _words(error), is_folder=True)
                continue
            folders = []
            for entry in below:
                path, name = folder.path / entry.name, f"{folder.name}{entry.name}"
                if not _is_folder(entry):
                    yield _file(entry, path, name)
                elif entry.is_symlink() and _leads_back(path):
                    yield _problem(path, name, "loop", _LOOP, is_folder=True)
                elif not (entry.is_symlink() and self._is_found_elsewhere(path)):
                    folders.append(_Folder(path, f"{name}/"))
            waiting += reversed(folders)

    def _enter(self, folder: _Folder) -> list[os.DirEntry[str]]:
        """What is visible in a folder, in order of name; nothing where it was entered before, or is left out."""
        identity = folder.path.stat().st_dev, folder.path.stat().st_ino
        if identity in self._entered:
            return []
        self._entered.add(identity)
        with os.scandir(folder.path) as entries:
            below = sorted((each for each in entries if not is_hidden(each.name)), key=lambda entry: entry.name)
        left_out = folder.name and self._is_left_out(folder.path, {entry.name for entry in below})
        return [] if left_out else below

    def _is_found_elsewhere(self, link: Path) -> bool:
        """Whether what a link leads to lies in the folder that is searched, where nothing hides it."""
        target = link.resolve()
        if not target.is_relative_to(self._real):
            return False
        return not any(is_hidden(part) for part in target.relative_to(self._real).parts)

    def _is_left_out(self, folder: Path, names: set[str]) -> bool:
        return is_ours(names) or _is_left_out(folder, self._without)


def is_ours(names: set[str]) -> bool:
    """Whether a folder with these names in it is a data set of ours, or a cache."""
    return names.issuperset(_OURS) or _CACHE in names


def _is_left_out(folder: Location, without: Location | None) -> bool:
    if isinstance(folder, BucketPath) or isinstance(without, BucketPath) or without is None:
        return folder == without
    return without.exists() and without.samefile(folder)


def _file(entry: os.DirEntry[str], path: Path, name: str) -> Found:
    if not is_utf8(name):
        return _problem(path, name, "unsafe_path", "the name is not UTF-8; rename the file, or its folder")
    try:
        kind = file_kind(entry.name, lambda: _head(path))
        if kind in ("picture", "archive") and not entry.is_file():
            path.stat()  # a link to nothing says so here
            return _problem(path, name, "not_a_file", "a pipe, a device or a socket, not a file")
    except OSError as error:
        return _problem(path, name, "unreadable", _words(error))
    return Found(path, name, "other" if kind == "hidden" else kind)


def _leads_back(link: Path) -> bool:
    return link.parent.resolve().is_relative_to(link.resolve())


def _head(path: Path) -> bytes:
    """The first bytes of a file; none of what is not a regular one."""
    if not path.is_file():
        return b""
    with opened(path) as stream:
        return stream.read(HEAD_BYTES)


def _problem(path: Path, name: str, reason: str, message: str, *, is_folder: bool = False) -> Found:
    return Found(path, printable(name), "problem", reason, message, is_folder)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, a folder that may not be looked at: `_file` says what is wrong
        return False


def _words(error: OSError) -> str:
    return f"cannot be looked at: {error.strerror or error}"
