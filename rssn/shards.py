"""A shard is the unit of work, and its mark is the proof.

A data set is a folder: `manifest.json`, `data/*.parquet`, `marks/*.json`, `rejects/*.parquet`, `report/`. A shard is
written to a temporary name, flushed, renamed, and then its mark is written: row count, size and sha256. Done means a
valid mark and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from rssn.buckets import list_objects
from rssn.errors import InputError
from rssn.files import Row, sha256, write_json, write_parquet
from rssn.remote import content, size_of
from rssn.rows import read_footer
from rssn.schema import REJECTS
from rssn.urls import url_of

_FAILED = "-failed"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True)
class Mark:
    """The proof that a shard is complete; `marks/<name>.json` holds exactly these fields."""

    name: str
    rows: int
    bytes: int
    sha256: str
    rejected: int = 0
    rejects_sha256: str = ""
    statistics: Mapping[str, Any] = field(default_factory=dict)
    unusable: Mapping[str, Sequence[str]] = field(default_factory=dict)  # see `Findings`


@dataclass(frozen=True)
class Findings:
    """What the producer of a shard's rows finds out while they are consumed; it goes into the mark.

    Attributes:
        statistics: Counts.
        unusable: Reason and message, by content id, of inputs in whose place others were taken: no row is missing.
    """

    statistics: dict[str, int] = field(default_factory=dict)
    unusable: dict[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetFolder:
    """Where each part of a data set lies below its root."""

    root: Path

    @property
    def manifest(self) -> Path:
        """Schema version, recipe, inputs, versions and totals."""
        return self.root / "manifest.json"

    @property
    def report(self) -> Path:
        """The folder of `index.html` and the contact sheets."""
        return self.root / "report"

    def data(self, name: str) -> Path:
        """The Parquet file of a shard."""
        return self._inside("data", name, ".parquet")

    def mark(self, name: str) -> Path:
        """The mark of a shard."""
        return self._inside("marks", name, ".json")

    def rejects(self, name: str) -> Path:
        """The rejects of a shard; absent where it has none."""
        return self._inside("rejects", name, ".parquet")

    def failure(self, name: str) -> Path:
        """The one row that says why a shard could not be made; there only until it is made. No mark vouches for it."""
        return self._inside("rejects", f"{name}{_FAILED}", ".parquet")

    def failures(self) -> list[str]:
        """Names of the shards that could not be made."""
        return [path.stem.removesuffix(_FAILED) for path in sorted((self.root / "rejects").glob(f"*{_FAILED}.parquet"))]

    def progress(self, name: str) -> Path:
        """A count of items, there only while the shard is being written; a help for bars, never a proof."""
        return self._inside("progress", name, "")

    def note(self, name: str) -> Path:
        """Which item of a shard is at hand, there only while the shard is being written, or when its worker died."""
        return self._inside("progress", name, ".item")

    def marks(self) -> list[Mark]:
        """Every mark in the folder that bears its file's name, trusted or not, in order of name."""
        found = ((path, read_mark(path)) for path in sorted((self.root / "marks").glob("*.json")))
        return [mark for path, mark in found if mark and mark.name == path.stem]

    def stored(self) -> set[str]:
        """Names of the data files that there are, marked or not."""
        url = url_of(self.root)
        places = (self.root / "data").glob("*.parquet") if url is None else map(Path, list_objects(f"{url}/data"))
        return {path.stem for path in places}

    def sweep(self) -> None:
        """Remove what killed writers left behind; call it only while nobody writes here."""
        for path in self.root.glob("*/.*.tmp"):
            path.unlink(missing_ok=True)
        for path in self.root.glob(".*.tmp"):
            path.unlink(missing_ok=True)
        for path in self.root.glob("progress/*"):
            path.unlink(missing_ok=True)

    def in_progress(self) -> dict[str, int]:
        """Shards at hand, and how many of their items are handled so far."""
        return {path.name: _read_count(path) for path in self.root.glob("progress/*") if not path.suffix}

    def _inside(self, folder: str, name: str, suffix: str) -> Path:
        if not _NAME.fullmatch(name):
            raise InputError(f"{name!r} is no shard name: use lower-case letters, digits and dashes")
        return self.root / folder / f"{name}{suffix}"


def shard_name(prefix: str, index: int, total: int) -> str:
    """`composites-00042-of-00128`."""
    return f"{prefix}-{index:05d}-of-{total:05d}"


def write_shard(
    folder: DatasetFolder,
    name: str,
    schema: pa.Schema,
    rows: Iterable[Row],
    rejects: list[dict[str, Any]],
    findings: Findings = Findings(),
) -> Mark:
    """Write one shard, its rejects and, last of all, its mark.

    Args:
        folder: The data set.
        name: The shard's name, see `shard_name`.
        schema: Columns of the data file.
        rows: The rows, consumed once and never held together in memory.
        rejects: Filled by the producer of `rows` while they are consumed; rows of the `REJECTS` schema.
        findings: For the mark, filled in the same way.

    Returns:
        The mark. A shard without rows has no data file and an empty digest.
    """
    progress = folder.progress(name)
    progress.parent.mkdir(parents=True, exist_ok=True)
    try:
        count = write_parquet(folder.data(name), schema, _reported(progress, rows, rejects))
    finally:
        progress.unlink(missing_ok=True)
        folder.note(name).unlink(missing_ok=True)
    refused = write_parquet(folder.rejects(name), REJECTS, rejects)
    mark = Mark(
        name=name,
        rows=count,
        bytes=folder.data(name).stat().st_size if count else 0,
        sha256=sha256(folder.data(name)) if count else "",
        rejected=refused,
        rejects_sha256=sha256(folder.rejects(name)) if refused else "",
        statistics=dict(findings.statistics),
        unusable=dict(findings.unusable),
    )
    write_json(folder.mark(name), asdict(mark))
    return mark


def read_mark(path: Path) -> Mark | None:
    """The mark in a file, or None where there is none or it is not a whole one."""
    try:
        return Mark(**json.loads(content(path)))
    except (OSError, ValueError, TypeError):
        return None


def check_shard(folder: DatasetFolder, mark: Mark, *, whole: bool = True) -> str | None:
    """What is wrong with a marked shard, in words, or None: size, rows, footer and the digests of both files agree.

    Args:
        folder: The data set.
        mark: The shard's.
        whole: Whether the files are read through for their digests.
    """
    rejects, path = folder.rejects(mark.name), folder.data(mark.name)
    if (size_of(rejects) is not None) != bool(mark.rejected) or (
        whole and mark.rejected and sha256(rejects) != mark.rejects_sha256
    ):
        return f"rejects/{rejects.name}: missing, or altered after it was marked"
    size = size_of(path)
    if size is None:
        return f"{path.name}: the file is missing" if mark.rows else None
    if size != mark.bytes:
        return f"{path.name}: {size} bytes, its mark says {mark.bytes}"
    if whole and sha256(path) != mark.sha256:
        return f"{path.name}: the content was altered after it was marked"
    rows = read_footer(path).num_rows
    return None if rows == mark.rows else f"{path.name}: {rows} rows, its mark says {mark.rows}"


def trusted_mark(folder: DatasetFolder, name: str) -> Mark | None:
    """The mark of a shard that is done, or None where the work has to be done (again)."""
    mark = read_mark(folder.mark(name))
    whole = url_of(folder.root) is None or folder.data(name).is_file()  # a bucket is not read through
    return mark if mark and mark.name == name and check_shard(folder, mark, whole=whole) is None else None


def _reported(path: Path, rows: Iterable[Row], rejects: list[dict[str, Any]]) -> Iterator[Row]:
    for count, row in enumerate(rows, 1):
        yield row
        path.write_text(str(count + len(rejects)), encoding="ascii")


def _read_count(path: Path) -> int:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # being written, or just removed
        return 0
