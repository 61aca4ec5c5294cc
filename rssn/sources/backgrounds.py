"""Background sets: a curated bg20k output, pictures in a folder or an archive (COCO is one), or tables.

A table is a CSV or Parquet file with a column `path`, or a Parquet file, or a folder of such, whose column `image` or
`bytes` holds the pictures.
"""

from __future__ import annotations

import shutil
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from rssn.dataset.dataset import DataSet
from rssn.dataset.manifest import MANIFEST, ForeignManifestError, RemovedDatasetError, parse_manifest
from rssn.dataset.rows import iter_rows, own_parquet, places, read_range
from rssn.dataset.schema import BACKGROUNDS, PLANNED_BACKGROUNDS, SCHEMA_VERSION
from rssn.dataset.sorted_rows import RowSorter
from rssn.errors import DamagedError, InputError, Rejected
from rssn.image.decoding import picture_size
from rssn.image.picture_files import archive_format
from rssn.sources.embedded import PICTURES, cell_text, embedded_rows, one_of, picture_columns, read_beside
from rssn.sources.folder_walk import Problem
from rssn.sources.picture_ref import PictureRef, read_pictures
from rssn.sources.tables import is_table, nothing_usable, read_table
from rssn.sources.tree import list_tree
from rssn.storage.files import content_id
from rssn.storage.location import Location
from rssn.storage.remote import content

_AGAIN = "run rssn build-bg20k again, into another folder"
_AT_A_TIME = 4096  # pictures whose places are in memory
_LIGHT = ("licence", "source")
_CURATED = ("background_id", "source", "origin", "licence", "width", "height")


@dataclass(frozen=True, slots=True)
class Background:
    """Where a background is, without its pixels."""

    background_id: str  # content id
    source: str  # path below the folder, or what the curated set or the table says
    licence: str  # empty where nobody said
    width: int
    height: int
    picture: PictureRef

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Background:
        """What `to_row` gave; other columns do not count."""
        picture = PictureRef.from_row(row["picture"])
        return cls(row["background_id"], row["source"], row["licence"], row["width"], row["height"], picture)

    def to_row(self) -> dict[str, Any]:
        """A row of `rssn.dataset.schema.PLANNED_BACKGROUNDS`."""
        names = ("background_id", "source", "licence", "width", "height")
        return {name: getattr(self, name) for name in names} | {"picture": self.picture.to_row()}


class Backgrounds:
    """Backgrounds in order of their ids, each read from a scratch file when it is asked for; the file goes with them.

    Args:
        path: Rows of `PLANNED_BACKGROUNDS`, alone in its folder.
        count: How many.
    """

    def __init__(self, path: Path, count: int) -> None:
        self._path, self._count = path, count
        weakref.finalize(self, shutil.rmtree, path.parent, ignore_errors=True)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Background]:
        for row in iter_rows(self._path):
            yield Background.from_row(row)

    def __getitem__(self, number: int) -> Background:
        return Background.from_row(read_range(self._path, number, number + 1)[0])


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A picture that has not been looked at."""

    ref: PictureRef
    source: str
    licence: str = ""
    label: str = ""  # what problems call it; empty: its source


def find_backgrounds(
    root: Location, split: str = "train", without: Location | None = None, unread: Counter[str] | None = None
) -> tuple[Backgrounds, list[Problem]]:
    """Find the backgrounds of a set, in order of content id.

    Of equal files the first path (or row) counts; the others are problems of the reason `duplicate`, in order of id.
    Whatever number there is, little of them is in memory.

    Args:
        root: A curated set (it has a manifest of ours); a folder or an archive of pictures, or a folder of archives or
            Parquet tables with pictures and nothing else; a table: CSV or Parquet with the columns `path` and perhaps
            `licence` and `source`, or Parquet with the pictures themselves in `image` or `bytes`. Any of them here or
            in a bucket.
        split: Which part of a curated set, `train` or `validation`.
        without: A folder that does not count, wherever it lies: where results go.
        unread: Counts the visible files of a folder that are no pictures, by suffix.

    Raises:
        InputError: If there is nothing of the kind, a curation was interrupted, or no background is in it.
    """
    unread = Counter() if unread is None else unread
    problems: list[Problem] = []
    duplicates: list[Problem] = []

    def refuse(first: dict[str, Any], other: dict[str, Any]) -> None:
        words = f"the same file as {first['source']}"
        duplicates.append(Problem(other["source"], "duplicate", words, PictureRef.from_row(other["picture"])))

    folder = Path(mkdtemp(prefix="rssn-backgrounds-"))
    try:
        sorter = RowSorter(PLANNED_BACKGROUNDS, "background_id", folder)
        for found in _found(root, split, without, unread):
            if isinstance(found, Problem):
                problems.append(found)
            else:
                sorter.add(found.to_row())
        result = sorter.sorted(refuse)
        if not result.count:
            raise _nothing_found(root, problems)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Backgrounds(result.path, result.count), problems + duplicates


def _nothing_found(root: Location, problems: Sequence[Problem]) -> InputError:
    if is_table(root):
        return InputError(f"{root}: {nothing_usable(problems)}")
    why = f"; the first of {len(problems)}: {problems[0].source}: {problems[0].message}" if problems else ""
    return InputError(f"{root}: no backgrounds found in it{why}")


def background_bytes(background: Background) -> bytes:
    """The encoded picture of a background.

    Raises:
        Rejected: stage `read`, as `PictureRef.read` does, or `changed` if it is not the picture that was found.
    """
    ref = background.picture
    data = ref.read()
    if content_id(data) != background.background_id and _stored_id(ref) != background.background_id:
        raise Rejected("read", "changed", f"{ref.where}: not the picture that was planned")
    return data


def _stored_id(ref: PictureRef) -> str:
    """The id that a curated set gives a row: its photograph's, not that of the picture that is stored."""
    if ref.kind != "row":
        return ""
    return read_beside(ref.location, ref.column, (ref.row_group, ref.place), "background_id")


def _found(
    root: Location, split: str, without: Location | None, unread: Counter[str]
) -> Iterator[Background | Problem]:
    if is_table(root):
        return _looked_at(_in_table(root))
    packed = isinstance(root, Path) and archive_format(root) and root.is_file()
    if isinstance(root, Path) and not root.is_dir() and not packed:
        kinds = "a bg20k output, a folder or an archive of pictures, or a table (.csv, .parquet)"
        raise InputError(f"{root}: no such folder or table; give {kinds}")
    if not packed and _is_curated(root):
        return _curated(root, split)
    return _looked_at(_in_tree(root, without, unread))


def _looked_at(candidates: Iterable[_Candidate | Problem]) -> Iterator[Background | Problem]:
    """Those that are pictures, and problems, in their order."""
    coming = iter(candidates)
    while some := list(islice(coming, _AT_A_TIME)):
        pictures = read_pictures([one.ref for one in some if isinstance(one, _Candidate)])
        for one in some:
            yield one if isinstance(one, Problem) else _background(one, next(pictures))


def _background(candidate: _Candidate, data: bytes | Rejected) -> Background | Problem:
    try:
        if isinstance(data, Rejected):
            raise data
        size = picture_size(data)
    except Rejected as error:
        return Problem(candidate.label or candidate.source, error.reason, error.message, candidate.ref)
    ref = replace(candidate.ref, stamp="")  # its content says what it is
    return Background(content_id(data), candidate.source, candidate.licence, *size, ref)


def _in_tree(root: Location, without: Location | None, unread: Counter[str]) -> Iterator[_Candidate | Problem]:
    tree = list_tree(root, without)
    if not tree.pictures and tree.archives:
        tree = tree.opened()
    tables = [] if tree.pictures else [table for table in tree.tables if picture_columns(table)]
    if not tables:
        unread.update(tree.unread)
    yield from (*tree.problems, *tree.closed)
    yield from (_Candidate(ref, name) for name, ref in tree.pictures.items())
    for table in tables:
        yield from _in_table(table)


def _in_table(table: Location) -> Iterator[_Candidate | Problem]:
    column = one_of(table, picture_columns(table), PICTURES, "background")
    return _embedded(table, column) if column else _listed(table)


def _listed(table: Location) -> Iterator[_Candidate | Problem]:
    found = read_table(table, ("path", *_LIGHT))
    if "path" not in found.columns:
        needed = "a table of backgrounds needs the column path, or pictures in the column image of a Parquet file"
        raise InputError(f"{table}: {needed}; it has {', '.join(found.columns)}")
    for row in found.rows:
        try:
            ref = row.picture("path")
        except Rejected as error:
            yield Problem(row.label, error.reason, error.message)
        else:
            yield _Candidate(ref, row.text("source") or row.name_of("path"), row.text("licence"), row.label)


def _embedded(table: Location, column: str) -> Iterator[_Candidate]:
    for number, ((group, row), cells) in enumerate(embedded_rows(table, _LIGHT), 1):
        label = f"{table.name}, row {number}"
        ref = PictureRef(str(table), "row", row, group, column)
        yield _Candidate(ref, cell_text(cells.get("source")) or label, cell_text(cells.get("licence")), label)


def _is_curated(root: Location) -> bool:
    path = root / MANIFEST
    try:
        manifest = parse_manifest(content(path))
    except (FileNotFoundError, ForeignManifestError, RemovedDatasetError) as error:
        if (root / "marks").is_dir() and (root / "data").is_dir():  # its pictures are those of the report
            words = "a data set without its manifest.json; curate it again, with another --out"
            raise DamagedError(f"{root}: {words}") from error
        return False  # some other program's manifest in a folder of pictures, or none
    except ValueError as error:
        remedy = "if it is a build-bg20k output, run that command again with another --out; else rename the file"
        raise InputError(f"{path}: {error}; {remedy}") from error
    if manifest.kind != "backgrounds":
        raise InputError(f"{root}: a data set of {manifest.kind}, not of backgrounds")
    made = manifest.plan.get("schema_version", SCHEMA_VERSION)
    if made != SCHEMA_VERSION:
        raise InputError(f"{root}: its columns are of version {made}, ours of {SCHEMA_VERSION}; {_AGAIN}")
    if not manifest.finished:
        raise InputError(f"{root}: its curation was interrupted; run the same rssn build-bg20k again to resume it")
    return True


def _curated(root: Location, split: str) -> Iterator[Background]:
    curated = DataSet(root)
    for mark in curated.checked_marks(f"{split}-"):
        yield from _shard_backgrounds(curated.data(mark.name))


def _shard_backgrounds(path: Location) -> Iterator[Background]:
    with own_parquet(path) as file:
        if any(field not in file.schema_arrow for field in BACKGROUNDS):
            raise InputError(f"{path}: not the columns of a background set; {_AGAIN}")
    for row, (group, number) in zip(iter_rows(path, _CURATED), places(path), strict=True):
        yield Background(
            background_id=row["background_id"],
            source=row["origin"] or row["source"],
            licence=row["licence"] or "",
            width=row["width"],
            height=row["height"],
            picture=PictureRef(str(path), "row", number, group, "image.bytes"),
        )
