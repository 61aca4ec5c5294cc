"""What lies in a source of pictures, from one listing: a folder, an archive, or a folder in a bucket.

Names are those below the source, with slashes, whatever it is; so who looks for a layout looks at names alone. An
archive in a folder is a folder of its name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias

from rssn.errors import InputError
from rssn.image.picture_files import HEAD_BYTES, archive_format, file_kind, is_hidden, kind_by_name, suffix_of
from rssn.sources.archives import list_members
from rssn.sources.folder_walk import Problem, is_ours, refuse_results_among, walk
from rssn.sources.picture_ref import PictureRef
from rssn.storage.buckets import FileFacts, stat_objects
from rssn.storage.location import BucketPath, Location
from rssn.storage.remote import ahead, opened
from rssn.storage.urls import is_plain

EntryKind: TypeAlias = Literal["picture", "archive", "other", "problem", "closed"]


@dataclass(frozen=True, slots=True)
class Entry:
    """Something visible in a source.

    Attributes:
        name: Below the source.
        kind: A picture; an archive; any other file; something that cannot be read; a folder that cannot be entered, or
            an archive of which the rest cannot be seen.
        ref: Where it is; None where it cannot be read, members of archives apart.
        reason: Why it cannot be read, a stable name; empty where it can.
        message: The same in words.
    """

    name: str
    kind: EntryKind
    ref: PictureRef | None = None
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class Tree:
    """The pictures of a source, and everything else that lies there.

    Attributes:
        root: The source.
        pictures: By name, in order of name.
        problems: What cannot be read.
        closed: Folders that cannot be entered.
        others: Files that are no pictures, by name; None where they lie in an archive.
    """

    root: Location
    pictures: Mapping[str, PictureRef]
    problems: tuple[Problem, ...] = ()
    closed: tuple[Problem, ...] = ()
    others: Mapping[str, PictureRef | None] = field(default_factory=dict)

    @property
    def archives(self) -> Mapping[str, PictureRef]:
        """The archives among the others, which nobody has looked into."""
        return {name: ref for name, ref in self.others.items() if ref and archive_format(PurePosixPath(name))}

    @property
    def tables(self) -> list[Location]:
        """The Parquet tables among the others, in order of name."""
        return [ref.location for name, ref in sorted(self.others.items()) if ref and name.lower().endswith(".parquet")]

    @property
    def unread(self) -> Counter[str]:
        """How many files are no pictures, by suffix."""
        return Counter(map(suffix_of, self.others))

    def opened(self) -> Tree:
        """The same with its archives looked into."""
        archives = self.archives
        inside = [entry for name, ref in archives.items() for entry in archive_entries(ref, f"{name}/")]
        more = _collected(self.root, inside)
        return Tree(
            self.root,
            dict(sorted({**self.pictures, **more.pictures}.items())),
            self.problems + more.problems,
            self.closed,
            {name: ref for name, ref in (*self.others.items(), *more.others.items()) if name not in archives},
        )


def list_tree(root: Location, without: Location | None = None) -> Tree:
    """A folder, here or in a bucket, or an archive, listed once.

    Raises:
        InputError: As `entries` does.
    """
    return _collected(root, entries(root, without))


def entries(root: Location, without: Location | None = None) -> Iterator[Entry]:
    """Everything visible in a source; see `rssn.sources.folder_walk.walk`, whose rules hold for buckets too.

    Args:
        root: A folder, here or in a bucket, or an archive.
        without: A folder that does not count, wherever it lies: where results go.

    Raises:
        InputError: If it is none of them, a folder cannot be read, or is the one that does not count.
    """
    if isinstance(root, BucketPath):
        return _bucket_entries(root, without)
    if archive_format(root) and root.is_file():
        return archive_entries(file_ref(root), "")
    refuse_results_among(root, without)
    return _folder_entries(root, without)


def file_ref(path: Location, size: int = -1, written: str = "") -> PictureRef:
    """A file as a whole; of an archive what its name says that it is, and no place in it."""
    return PictureRef(str(path), archive_format(PurePosixPath(path.name)) or "file", size=size, stamp=written)


def archive_entries(archive: PictureRef, prefix: str) -> Iterator[Entry]:
    """The members of an archive, see `file_ref`, under names that begin with a prefix."""
    if archive.kind not in ("tar", "tgz", "zip"):
        raise ValueError(f"{archive.where} is no archive")
    for member in list_members(archive.location, archive.kind):
        name = f"{prefix}{member.name}"
        ref = PictureRef(archive.path, archive.kind, member.place, size=member.size, stamp=archive.stamp)
        if member.reason == "damaged_archive":
            whole = prefix.rstrip("/") or archive.location.name
            yield Entry(whole, "closed", None, member.reason, member.message)
        elif member.kind == "picture":
            yield Entry(name, "problem" if member.reason else "picture", ref, member.reason, member.message)
        elif member.kind != "hidden":
            yield Entry(name, "other")


def _folder_entries(root: Path, without: Location | None) -> Iterator[Entry]:
    for found in walk(root, without):
        kind: EntryKind = "closed" if found.is_folder else found.kind
        ref = None
        if kind in ("picture", "archive", "other"):
            ref = file_ref(found.path)
        yield Entry(found.name, kind, ref, found.reason, found.message)


def _bucket_entries(root: BucketPath, without: Location | None) -> Iterator[Entry]:
    refuse_results_among(root, without)
    found = stat_objects(root.url)
    if "" in found and archive_format(PurePosixPath(root.name)):
        return archive_entries(file_ref(root, found[""].size, str(found[""].written_ns)), "")
    objects = {name: facts for name, facts in found.items() if name}
    if not objects:
        words = "an object, and neither a table nor an archive" if "" in found else "no objects there"
        raise InputError(f"{root}: {words}; give a folder with objects, or a file")
    return _object_entries(root, objects, without)


def _object_entries(root: BucketPath, found: Mapping[str, FileFacts], without: Location | None) -> Iterator[Entry]:
    hidden = _Hidden(root, found, without)
    names = (name for name in sorted(found, key=_in_walk) if not hidden.hides(name))
    for looks, some in groupby(names, key=lambda name: kind_by_name(name.rpartition("/")[2]) is None):
        seen = ahead(lambda name: _object_entry(root, name, found[name]), some, remote=looks)
        yield from filter(None, seen)


def _object_entry(root: BucketPath, name: str, facts: FileFacts) -> Entry | None:
    """What an object is; None of one that does not count."""
    if not is_plain(name):
        return Entry(name, "problem", None, "unsafe_path", "its name cannot be that of a file; rename the object")
    place = root / name
    try:
        kind = file_kind(place.name, lambda: _head(place))
    except OSError as error:
        return Entry(name, "problem", None, "unreadable", f"{place}: {error.strerror or error}")
    return None if kind == "hidden" else Entry(name, kind, file_ref(place, facts.size, str(facts.written_ns)))


def _in_walk(name: str) -> list[tuple[bool, str]]:
    """Sorts names as a walk finds them: the files of a folder, then its folders."""
    *folders, own = name.split("/")
    return [*((True, folder) for folder in folders), (False, own)]


class _Hidden:
    """What does not count in a bucket: data sets of ours, caches, what goes out, and what systems hide."""

    def __init__(self, root: BucketPath, found: Iterable[str], without: Location | None) -> None:
        self._root, self._without = root, without
        inside: dict[str, set[str]] = {}
        for name in found:
            parts = name.split("/")
            for number in range(1, len(parts)):
                inside.setdefault("/".join(parts[:number]), set()).add(parts[number])
        self._folders = {folder for folder, names in inside.items() if is_ours(names)}

    def hides(self, name: str) -> bool:
        """Whether an object does not count, for the folders in which it lies."""
        parts = name.split("/")[:-1]
        above = ("/".join(parts[:number]) for number in range(1, len(parts) + 1))
        return any(is_hidden(part) for part in parts) or any(self._is_left_out(folder) for folder in above)

    def _is_left_out(self, folder: str) -> bool:
        return folder in self._folders or f"{self._root}/{folder}" == str(self._without)


def _head(place: BucketPath) -> bytes:
    with opened(place) as stream:
        return stream.read(HEAD_BYTES)


def _collected(root: Location, found: Iterable[Entry]) -> Tree:
    pictures: dict[str, PictureRef] = {}
    problems: list[Problem] = []
    closed: list[Problem] = []
    others: dict[str, PictureRef | None] = {}
    for entry in found:
        if entry.kind in ("problem", "closed"):
            problem = Problem(entry.name, entry.reason, entry.message, entry.ref)
            (problems if entry.kind == "problem" else closed).append(problem)
        elif entry.kind != "picture" or entry.ref is None:
            others[entry.name] = entry.ref
        elif entry.name in pictures:
            words = "the archive has two members of this name; which of them counts is unclear"
            problems.append(Problem(entry.name, "two_members", words, entry.ref))
        else:
            pictures[entry.name] = entry.ref
    for problem in problems:
        if problem.reason == "two_members":
            pictures.pop(problem.source, None)
    return Tree(root, dict(sorted(pictures.items())), tuple(problems), tuple(closed), others)
