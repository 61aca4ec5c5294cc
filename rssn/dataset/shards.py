"""A shard is the unit of work, and its mark is the proof.

A data set is a folder, here or in a bucket: `manifest.json`, `data/*.parquet`, `marks/*.json`, `rejects/*.parquet`,
`report/`. A shard is written to a temporary name, flushed, renamed (or uploaded), and then its mark is written: row
count, size and sha256, and the digest of the plan that it was made by. Done means a valid mark of the manifest's plan
and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from sys import intern
from typing import Any

import pyarrow as pa

from rssn.dataset.manifest import MANIFEST, Manifest, parse_manifest
from rssn.dataset.schema import REJECTS
from rssn.errors import DamagedError, InputError, RemoteError
from rssn.storage.buckets import FileFacts, abort_uploads, remove
from rssn.storage.files import Row, is_count, parse_json, write_json, write_parquet
from rssn.storage.location import BucketPath, Location, scratch_of
from rssn.storage.remote import content, contents, list_files

_FAILED = "-failed"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_SHARD = r"[a-z0-9][a-z0-9-]*-\d{5,}-of-\d{5,}"  # see `shard_name`
_OWN = re.compile(
    rf"marks/{_SHARD}\.json|data/{_SHARD}\.parquet|rejects/(plan|{_SHARD}({_FAILED})?)\.parquet|"
    rf"progress/{_SHARD}(\.item)?|plan/(foregrounds(-\d+)?|backgrounds|photos|pairs|pruned)\.parquet|verdicts\.parquet|"
    r"README\.md|\.run\.json|report/(index\.html|(contact-sheet-[a-z]+|step-strip)-\d+\.png|replay-[\w-]+\.png)"
)
_HALF = re.compile(
    r"((?:\w+/)?)\.([^/]+)\.\d+\.tmp"
)  # folder and name, as `storage.files` calls it while it is written
_PARTS = ("marks", "data", "rejects", "plan", "progress", "report")


def is_own(name: str) -> bool:
    """Whether a file below a data set's root is of a name that this package writes there, by its name from there on.

    The manifest, the lease and a person's review are not among them: who removes a data set keeps those.
    """
    return bool(_OWN.fullmatch(name))


def is_half_written(name: str) -> bool:
    """Likewise of a file that was being written."""
    found = _HALF.fullmatch(name)
    return bool(found and (is_own(found[1] + found[2]) or found[1] + found[2] in (MANIFEST, ".lease.json")))


@dataclass(frozen=True, slots=True)
class Mark:
    """The proof that a shard is complete; `marks/<name>.json` holds exactly these fields."""

    name: str
    rows: int
    bytes: int
    sha256: str
    plan: str = ""  # digest of the plan that it was made by
    rejected: int = 0
    rejects_sha256: str = ""
    statistics: Mapping[str, int] = field(default_factory=dict)
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
    """Where each part of a data set lies below its root.

    Attributes:
        root: The folder.
        plan: The digest that marks have to name; None: that of the manifest in the folder.
    """

    root: Location
    plan: str | None = None

    @property
    def plan_digest(self) -> str:
        """The digest that marks have to name to count; empty in a data set of an earlier version, as in its marks.

        Raises:
            InputError: If the manifest is damaged, or says that its data set was removed.
        """
        return self.plan if self.plan is not None else _stored_digest(self.manifest_path)

    @property
    def manifest_path(self) -> Location:
        """Schema version, recipe, inputs, versions and totals."""
        return self.root / MANIFEST

    @property
    def report(self) -> Location:
        """The folder of `index.html` and the contact sheets."""
        return self.root / "report"

    def data(self, name: str) -> Location:
        """The Parquet file of a shard."""
        return self._inside("data", name, ".parquet")

    def mark(self, name: str) -> Location:
        """The mark of a shard."""
        return self._inside("marks", name, ".json")

    def rejects_path(self, name: str) -> Location:
        """The rejects of a shard; absent where it has none."""
        return self._inside("rejects", name, ".parquet")

    def failure(self, name: str) -> Location:
        """The one row that says why a shard could not be made; exists until it is made. No mark vouches for it."""
        return self._inside("rejects", f"{name}{_FAILED}", ".parquet")

    def failures(self, found: Iterable[str] | None = None) -> list[str]:
        """Names of the shards that could not be made; see `marks`."""
        stems = (path.stem for path in self.reject_files(found))
        return [stem.removesuffix(_FAILED) for stem in stems if stem.endswith(_FAILED)]

    def reject_files(self, found: Iterable[str] | None = None) -> list[Location]:
        """Every file of rejects: of shards, of the plan, of shards that could not be made; see `marks`."""
        return self._files_in("rejects", ".parquet", found)

    @property
    def working(self) -> Path:
        """The folder of files that exist only while shards are written: for a bucket, one on this machine."""
        return (scratch_of(self.root) if isinstance(self.root, BucketPath) else self.root) / "progress"

    def progress(self, name: str) -> Path:
        """A count of items; exists only while the shard is being written. For progress bars, never a proof."""
        return self.working / _checked(name)

    def current_item(self, name: str) -> Path:
        """The file that names the item in progress; exists while the shard is being written, or if its worker died."""
        return self.working / f"{_checked(name)}.item"

    def read_mark(self, name: str) -> Mark | None:
        """The mark of a shard, trusted or not; None where there is none of this plan, or not a whole one."""
        try:
            data = content(self.mark(name))
        except RemoteError:
            raise
        except OSError:
            return None
        return parse_mark(data, name, self.plan_digest)

    def marks(self, found: Iterable[str] | None = None) -> list[Mark]:
        """Every mark of the plan that bears its file's name, trusted or not, in order of name.

        Args:
            found: Names of files, see `found`; None looks.
        """
        plan = self.plan_digest
        files = list_files(self.root / "marks") if found is None else _below("marks", found)
        names = sorted(file.removesuffix(".json") for file in files if file.endswith(".json"))
        names = [name for name in names if _NAME.fullmatch(name)]
        read = zip(names, contents(map(self.mark, names)), strict=True)
        return [mark for name, data in read if data is not None and (mark := parse_mark(data, name, plan))]

    def all_marks(self) -> list[Mark]:
        """The marks of a data set that is read, not made; none of those that a finished one has is missing.

        Raises:
            DamagedError: If one is.
            InputError: As `plan_digest`.
        """
        marks = self.marks()
        with suppress(FileNotFoundError):
            if missing := missing_rows(parse_manifest(content(self.manifest_path)), marks):
                words = "run the command that made it again, it repairs what is damaged"
                raise DamagedError(f"{self.manifest_path}: {missing}; {words}")
        return marks

    def found(self) -> dict[str, FileFacts]:
        """What there is of the shards, marked or not, by name from the root on: marks, data and rejects."""
        parts = ("marks", "data", "rejects")
        return {f"{part}/{name}": facts for part in parts for name, facts in list_files(self.root / part).items()}

    def refuse_removed(self) -> None:
        """Do not recreate parts of a data set whose folder was removed during the run.

        Raises:
            InputError: If it was.
        """
        if self.plan and isinstance(self.root, Path) and not self.root.is_dir():  # it was there when the plan was made
            words = "removed while this run was at work; run the same command again, it makes what is missing"
            raise InputError(f"{self.root}: {words}")

    def sweep(self) -> None:
        """Remove what killed writers left behind; call it only while nobody writes here."""
        here = self.working.parent
        for name, path in self._files(here):
            if is_half_written(name) or (name.startswith("progress/") and is_own(name)):
                path.unlink(missing_ok=True)
        if isinstance(self.root, BucketPath):
            abort_uploads(self.root.url, is_own)
            for part in (*_PARTS, "."):
                with suppress(OSError):  # not there, or something else works below it
                    (here / part).rmdir()

    def refuse_links(self) -> None:
        """Refuse to remove a data set whose parts lie behind links.

        Raises:
            InputError: Naming the first.
        """
        for folder in (self.root / part for part in _PARTS):
            if isinstance(folder, Path) and folder.is_symlink():
                words = "a link to a folder, and nothing behind links is removed"
                raise InputError(
                    f"{folder}: {words}; remove it yourself and run the command again, or choose another --out"
                )

    def remove(self) -> None:
        """Remove everything that this package wrote here, but the manifest; and nothing else, also not behind links.

        Raises:
            InputError: Naming what cannot be removed; see also `refuse_links`.
        """
        if isinstance(self.root, BucketPath):
            names = [name for name in list_files(self.root) if is_own(name)]
            for first in (True, False):  # marks first, for they vouch
                remove([f"{self.root}/{name}" for name in names if name.startswith("marks/") == first])
            return
        self.refuse_links()
        for name, path in self._files(self.root):
            if is_own(name) or is_half_written(name):
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    words = f"cannot be removed: {error.strerror}"
                    raise InputError(f"{path}: {words}; remove it yourself, and run the same command again") from error
        for part in _PARTS:
            with suppress(OSError):  # not there, or it holds files of somebody else
                (self.root / part).rmdir()

    def in_progress(self) -> dict[str, int]:
        """Shards in progress on this machine, and how many of their items are done."""
        return {path.name: _read_count(path) for path in self.working.glob("*") if not path.suffix}

    def _files_in(self, part: str, suffix: str, found: Iterable[str] | None = None) -> list[Location]:
        listed = list_files(self.root / part) if found is None else _below(part, found)
        names = sorted(name for name in listed if not name.startswith("."))
        return [self.root / part / name for name in names if name.endswith(suffix) and "/" not in name]

    @staticmethod
    def _files(root: Path) -> Iterator[tuple[str, Path]]:
        """What lies in the folder and in its parts, by its name from the root on; marks first, for they vouch."""
        for part in (*_PARTS, "."):
            with suppress(FileNotFoundError, NotADirectoryError):
                yield from ((path.relative_to(root).as_posix(), path) for path in [*(root / part).iterdir()])

    def _inside(self, folder: str, name: str, suffix: str) -> Location:
        return self.root / folder / f"{_checked(name)}{suffix}"


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
    plan, progress = folder.plan_digest, folder.progress(name)
    folder.refuse_removed()
    progress.parent.mkdir(parents=True, exist_ok=True)
    try:
        data = write_parquet(folder.data(name), schema, _reported(progress, rows, rejects))
    finally:
        progress.unlink(missing_ok=True)
        folder.current_item(name).unlink(missing_ok=True)
    folder.refuse_removed()
    refused = write_parquet(folder.rejects_path(name), REJECTS, rejects)
    mark = Mark(
        name=name,
        rows=data.rows,
        bytes=data.bytes,
        sha256=data.sha256,
        plan=plan,
        rejected=refused.rows,
        rejects_sha256=refused.sha256,
        statistics=dict(findings.statistics),
        unusable=dict(findings.unusable),
    )
    write_json(folder.mark(name), asdict(mark))
    return mark


def filled(marks: Iterable[Mark]) -> list[str]:
    """Names of the shards that have rows, and so a data file."""
    return [mark.name for mark in marks if mark.rows]


def parse_mark(data: bytes, name: str, plan: str) -> Mark | None:
    """The mark of a shard from its file's content; None where it is not a whole one, or another shard's or plan's."""
    try:
        mark = Mark(**parse_json(data))
    except (ValueError, TypeError):
        return None
    if (mark.name, mark.plan) != (name, plan) or not _is_whole(mark):
        return None
    shared = {intern(key): count for key, count in mark.statistics.items()}
    return replace(mark, name=name, plan=plan, statistics=shared)  # there may be a million of them


def _is_whole(mark: Mark) -> bool:
    """Whether each part is of its kind, however the file came about."""
    if not isinstance(mark.statistics, dict) or not isinstance(mark.unusable, dict):
        return False
    counts = (mark.rows, mark.bytes, mark.rejected, *mark.statistics.values())
    lists = mark.unusable.values()
    texts = (mark.sha256, mark.rejects_sha256, *(text for one in lists if isinstance(one, list) for text in one))
    pairs = all(isinstance(one, list) and len(one) == 2 for one in lists)
    return pairs and all(map(is_count, counts)) and all(isinstance(text, str) for text in texts)


def missing_rows(manifest: Manifest, marks: Iterable[Mark]) -> str | None:
    """What a finished data set lacks, in words, or None: its manifest counts the rows that are marked."""
    rows, said = sum(mark.rows for mark in marks), manifest.totals.get("rows")
    return None if said in (None, rows) else f"its marks vouch for {rows} rows, its manifest counts {said}"


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} is not a valid shard name: use lower-case letters, digits and dashes")
    return name


def _reported(path: Path, rows: Iterable[Row], rejects: list[dict[str, Any]]) -> Iterator[Row]:
    for count, row in enumerate(rows, 1):
        yield row
        path.write_text(str(count + len(rejects)), encoding="ascii")


def _stored_digest(manifest: Location) -> str:
    try:
        return parse_manifest(content(manifest)).plan_digest
    except FileNotFoundError:
        return ""
    except ValueError as error:
        raise InputError(f"{manifest}: {error}; run the command that made it again, or choose another --out") from error


def _read_count(path: Path) -> int:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # being written, or just removed
        return 0


def _below(part: str, found: Iterable[str]) -> list[str]:
    """The names of the files in a part, from there on."""
    return [name.removeprefix(f"{part}/") for name in found if name.startswith(f"{part}/")]
