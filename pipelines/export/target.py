"""The folder, here or in a bucket, that an export is written to: what is there is kept, what is not ours is refused.

`export.json` is written first: it names the format and the shards that go in, and, one after the other, those
whose files are whole. On this disk a file is kept if it holds the bytes that would be written. Objects are not read
back: one is kept if `export.json` says that its shard, of the same sha256, is done, if it has the right size, and if it
is no newer than `export.json`. Either place is listed once.
"""

from __future__ import annotations

import filecmp
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rssn.errors import InputError
from rssn.storage.atomic import atomic_path, write_bytes
from rssn.storage.buckets import FileFacts, abort_uploads
from rssn.storage.files import parse_json, write_json
from rssn.storage.lease import hold_lease
from rssn.storage.location import BucketPath, Location
from rssn.storage.lock import is_lease
from rssn.storage.remote import ahead, content, list_files

_PLAN = "export.json"
_HALF = re.compile(r"(?:.*/)?\.[\w-]+(\.[\w.]+)?\.\d+\.tmp")  # what a killed export was writing, see `atomic_path`


@dataclass(frozen=True)
class Plan:
    """What is exported.

    Attributes:
        format: Its name.
        shards: Their sha256, by name.
        may_grow: Whether shards may be added later; numbered files may not shift.
    """

    format: str
    shards: Mapping[str, str]
    may_grow: bool


@contextmanager
def only_writer(root: Location) -> Iterator[None]:
    """Keep other runs from the folder of an export meanwhile.

    Raises:
        InputError: If it is a file, or another run is at work there.
    """
    if isinstance(root, Path) and root.exists() and not root.is_dir():
        raise InputError(f"{root}: a file, not a folder; choose another --out")
    with hold_lease(root):
        yield


class Target:
    """Where the files of an export go.

    Args:
        root: The folder; see `only_writer`.
        plan: What is exported.

    Raises:
        InputError: If the folder holds anything else.
        RemoteError: If the bucket does not answer.
    """

    def __init__(self, root: Location, plan: Plan) -> None:
        self.written = self.kept = 0
        self._root, self._plan = root, plan
        self._found = list_files(root)  # in the end, what is not of this export
        for lease in [name for name in self._found if is_lease(Path(name)) and "/" not in name]:
            del self._found[lease]
        facts = self._found.pop(_PLAN, None)
        halves = [name for name in self._found if isinstance(root, Path) and _HALF.fullmatch(name)]
        before = _stored_plan(root) if facts else None
        if before is None and len(self._found) > len(halves):
            raise InputError(f"{root}: holds other files; choose another --out")
        self._since = facts.written_ns if facts else 0
        self._done = _finished(root, before, plan) if before else frozenset()  # by an earlier run
        self._whole = set(self._done)
        self._keeps_objects = False  # of the shard that is written
        self._sweep(halves)
        if before != self._facts():
            self._write_plan()

    @contextmanager
    def shard(self, name: str) -> Iterator[None]:
        """Files of one shard are written; then `export.json` says that they are whole."""
        self._keeps_objects = name in self._done
        yield
        if name not in self._whole:
            self._whole.add(name)
            self._write_plan()

    def put(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Write files by their names from the folder on, objects several at a time."""
        for is_new in ahead(self._put, files, remote=isinstance(self._root, BucketPath)):
            self._count(is_new=is_new)

    def make(self, name: str, fill: Callable[[Path], None], size: int | None = None) -> None:
        """Write a file that is too large to be held: `fill` writes it to the path that it gets.

        Args:
            name: From the folder on.
            fill: Is not asked where an object of the right size is kept.
            size: In bytes, where it is known before.
        """
        facts = self._found.pop(name, None)
        if size is not None and isinstance(self._root, BucketPath) and self._may_keep(facts, size):
            self._count(is_new=False)
            return
        with atomic_path(self._root / name, durable=False) as temporary:
            fill(temporary)
            path = self._root / name
            keeps = self._may_keep(facts, temporary.stat().st_size)
            if keeps and isinstance(path, Path):
                keeps = filecmp.cmp(temporary, path, shallow=False)
            if keeps:
                temporary.unlink()
        self._count(is_new=not keeps)

    def replace(self, name: str, fill: Callable[[Path], None]) -> None:
        """Write a file that says something of all shards, anew in each run; it counts nowhere."""
        self._found.pop(name, None)
        with atomic_path(self._root / name, durable=False) as temporary:
            fill(temporary)

    def refuse_strangers(self) -> None:
        """A trainer reads whatever lies in a folder: there must be the exported files and no other.

        Raises:
            InputError: Naming the first.
        """
        if self._found:
            more = f" and {len(self._found) - 1} more" if len(self._found) > 1 else ""
            words = "not of this export, and a reader would take it for a part; remove it, or choose another --out"
            raise InputError(f"{self._root / min(self._found)}{more}: {words}")

    def _sweep(self, halves: Iterable[str]) -> None:
        """Remove what a killed export was writing."""
        for name in halves:
            (self._root / name).unlink(missing_ok=True)
            del self._found[name]
        if isinstance(self._root, BucketPath):
            abort_uploads(self._root.url)

    def _put(self, file: tuple[str, bytes]) -> bool:
        name, data = file
        path = self._root / name
        keeps = self._may_keep(self._found.pop(name, None), len(data))
        if keeps and isinstance(path, Path):
            keeps = path.read_bytes() == data
        if not keeps:
            write_bytes(path, data, durable=False)
        return not keeps

    def _may_keep(self, facts: FileFacts | None, size: int) -> bool:
        """Whether what lies there has the right size; an object, whether it is the one that was written."""
        if facts is None or facts.size != size:
            return False
        return isinstance(self._root, Path) or (self._keeps_objects and facts.written_ns <= self._since)

    def _count(self, *, is_new: bool) -> None:
        self.written += is_new
        self.kept += not is_new

    def _facts(self) -> dict[str, Any]:
        return {"format": self._plan.format, "shards": dict(self._plan.shards), "done": sorted(self._whole)}

    def _write_plan(self) -> None:
        write_json(self._root / _PLAN, self._facts())


def _stored_plan(root: Location) -> dict[str, Any] | None:
    try:
        plan = parse_json(content(root / _PLAN))
    except ValueError:
        return None
    whole = isinstance(plan, dict) and "format" in plan and isinstance(plan.get("shards"), dict)
    return plan if whole else None


def _finished(root: Location, before: Mapping[str, Any], plan: Plan) -> frozenset[str]:
    """The shards that an earlier run of the same export is done with.

    Raises:
        InputError: If it was another export.
    """
    if before["format"] != plan.format:
        raise InputError(f"{root}: holds an export as {before['format']}; choose another --out")
    grown = before["shards"].items() <= plan.shards.items() if plan.may_grow else before["shards"] == plan.shards
    if not grown:
        raise InputError(f"{root}: holds an export of other shards; choose another --out, or remove it")
    done = before.get("done")
    return frozenset(done if isinstance(done, list) else ()) & plan.shards.keys()
