"""Is a data set whole: which shards agree with their marks, which do not, which are not there.

Nothing is changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from rssn.dataset.rows import damage, read_footer
from rssn.dataset.shards import DatasetFolder, Mark
from rssn.errors import DamagedError
from rssn.storage.buckets import FileFacts
from rssn.storage.files import sha256
from rssn.storage.location import BucketPath, Location
from rssn.storage.remote import facts_of

_NAME = re.compile(r"(?P<prefix>.+)-\d{5,}-of-(?P<total>\d{5,})")


@dataclass(frozen=True)
class Shards:
    """The shards of a data set as one look at it found them.

    Attributes:
        folder: The data set.
        marks: Its marks by name, trusted or not.
        found: Its files, see `DatasetFolder.found`.
    """

    folder: DatasetFolder
    marks: dict[str, Mark]
    found: dict[str, FileFacts]

    @classmethod
    def of(cls, folder: DatasetFolder) -> Shards:
        """Look at a data set: marks are read, everything else is listed."""
        found = folder.found()
        return cls(folder, {mark.name: mark for mark in folder.marks(found)}, found)

    def let_go(self) -> None:
        """Forget what was found: of a million shards it is a gigabyte, and who runs for a week needs it once."""
        self.marks.clear()
        self.found.clear()

    def problem(self, mark: Mark, *, whole: bool | None = None) -> str | None:
        """What is wrong with a marked shard; see `check_shard`."""
        return check_shard(self.folder, mark, whole=whole, found=self.found)

    def trusted(self, name: str) -> Mark | None:
        """The mark of a shard that is done, or None where the work has to be done (again)."""
        mark = self.marks.get(name)
        return mark if mark and self.problem(mark) is None else None


def check_shard(
    folder: DatasetFolder, mark: Mark, *, whole: bool | None = None, found: Mapping[str, FileFacts] | None = None
) -> str | None:
    """What is wrong with a marked shard, in words, or None: size, rows, footer and the digests of both files agree.

    Args:
        folder: The data set.
        mark: The shard's.
        whole: Whether both files are read through for their digests; None: on this disk, not in a bucket. An object
            that was written after its mark always is, for it was copied there, or replaced.
        found: What a listing says of the files, see `DatasetFolder.found`; None asks for these alone.
    """
    remote = isinstance(folder.root, BucketPath)
    whole = not remote if whole is None else whole
    path, rejects, proof = (part(mark.name) for part in (folder.data, folder.rejects_path, folder.mark))
    data, refused, marked = (
        facts_of(one) if found is None else found.get(f"{one.parent.name}/{one.name}") for one in (path, rejects, proof)
    )
    if bool(refused) != bool(mark.rejected) or (whole and mark.rejected and sha256(rejects) != mark.rejects_sha256):
        return f"rejects/{rejects.name}: missing, or altered after it was marked"
    if data is None:
        return f"{path.name}: the file is missing" if mark.rows else None
    if data.size != mark.bytes:
        return f"{path.name}: {data.size} bytes, its mark says {mark.bytes}"
    later = not marked or data.written_ns > marked.written_ns
    if remote and not whole and not later:
        return None
    return _content_problem(path, mark, whole=whole or remote)


def _content_problem(path: Location, mark: Mark, *, whole: bool) -> str | None:
    if whole and sha256(path) != mark.sha256:
        return f"{path.name}: the content was altered after it was marked"
    try:
        rows = read_footer(path).num_rows
    except DamagedError as error:
        return str(error)
    return None if rows == mark.rows else f"{path.name}: {rows} rows, its mark says {mark.rows}"


def trusted_mark(folder: DatasetFolder, name: str) -> Mark | None:
    """The mark of a shard that is done, or None where the work has to be done (again)."""
    mark = folder.read_mark(name)
    return mark if mark and check_shard(folder, mark) is None else None


@dataclass(frozen=True)
class Verified:
    """What a check of every mark found."""

    marks: Sequence[Mark]  # of all shards, in order of name
    trusted: Sequence[Mark]  # shards with rows that agree with their marks
    damaged: Sequence[str]  # what is wrong, by name of the file
    missing: Sequence[str]  # shards that are not made, and files that no mark vouches for
    rejects: Sequence[Location]  # files of rejects that can be read

    @property
    def problems(self) -> list[str]:
        """Everything that is not as it should be."""
        return [*self.damaged, *self.missing]


def verify(folder: DatasetFolder) -> Verified:
    """Check every shard against its mark: size, rows, footer and sha256."""
    shards = Shards.of(folder)
    marks = list(shards.marks.values())
    checked = [(mark, shards.problem(mark, whole=True)) for mark in marks]
    trusted = [mark for mark, problem in checked if problem is None and mark.rows]
    doubted = {mark.name for mark, problem in checked if problem is not None}
    damaged = [problem for _, problem in checked if problem is not None]
    rejects = []
    for path in folder.reject_files(shards.found):
        problem = None if path.stem in doubted else damage(path)
        if problem:
            damaged.append(problem)
        elif path.stem not in doubted:
            rejects.append(path)
    return Verified(marks, trusted, damaged, _missing(shards), rejects)


def _missing(shards: Shards) -> list[str]:
    known, failed = shards.marks.keys(), shards.folder.failures(shards.found)
    expected = {*failed}
    families = {(f["prefix"], int(f["total"])) for f in map(_NAME.fullmatch, known | expected) if f}
    for prefix, total in families:
        expected |= {f"{prefix}-{index:05d}-of-{total:05d}" for index in range(total)}
    files = (PurePosixPath(name) for name in shards.found if name.startswith("data/"))
    stored = {file.stem for file in files if file.suffix == ".parquet" and not file.name.startswith(".")}
    why = dict.fromkeys(failed, "not made, see its row in rejects/; run the same command again to retry")
    problems = [f"{name}: {why.get(name, 'not made yet')}" for name in sorted(expected - known)]
    return problems + [f"{name}.parquet: has no mark; it does not count" for name in sorted(stored - known)]
