"""Is a data set whole: which shards agree with their marks, which do not, which are not there.

Nothing is changed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from rssn.dataset.rows import damage
from rssn.dataset.shards import DatasetFolder, Mark, Shards
from rssn.storage.location import Location

_NAME = re.compile(r"(?P<prefix>.+)-\d{5}-of-(?P<total>\d{5})")


@dataclass(frozen=True)
class Verified:
    """What a check of every mark found."""

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
    for path in folder.reject_files():
        problem = None if path.stem in doubted else damage(path)
        if problem:
            damaged.append(problem)
        elif path.stem not in doubted:
            rejects.append(path)
    return Verified(trusted, damaged, _missing(shards), rejects)


def _missing(shards: Shards) -> list[str]:
    known, failed = shards.marks.keys(), shards.folder.failures()
    expected = {*failed}
    families = {(f["prefix"], int(f["total"])) for f in map(_NAME.fullmatch, known | expected) if f}
    for prefix, total in families:
        expected |= {f"{prefix}-{index:05d}-of-{total:05d}" for index in range(total)}
    files = (PurePosixPath(name) for name in shards.found if name.startswith("data/"))
    stored = {file.stem for file in files if file.suffix == ".parquet" and not file.name.startswith(".")}
    why = dict.fromkeys(failed, "not made, see its row in rejects/; run the same command again to retry")
    problems = [f"{name}: {why.get(name, 'not made yet')}" for name in sorted(expected - known)]
    return problems + [f"{name}.parquet: has no mark; it does not count" for name in sorted(stored - known)]
