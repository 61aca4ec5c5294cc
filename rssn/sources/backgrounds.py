"""Background sets: a curated bg20k output, a folder of pictures (COCO is one), or a table.

A table is a CSV or Parquet file with a column `path`, or a Parquet file whose column `image` holds the pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rssn.dataset.manifest import MANIFEST, ForeignManifestError, RemovedDatasetError, parse_manifest
from rssn.dataset.rows import own_parquet, places, read_row
from rssn.dataset.schema import BACKGROUNDS, SCHEMA_VERSION
from rssn.dataset.shards import DatasetFolder, check_shard
from rssn.errors import DamagedError, InputError, Rejected
from rssn.image.arrays import read_bytes
from rssn.image.decoding import picture_size
from rssn.sources.embedded import cell_text, embedded_rows, picture_bytes, picture_column
from rssn.sources.folder_walk import Problem, list_pictures
from rssn.sources.tables import is_table, nothing_usable, read_table
from rssn.storage.files import content_id
from rssn.storage.remote import ahead, content
from rssn.storage.urls import is_listed, shown

_AGAIN = "run rssn build-bg20k again, into another folder"


@dataclass(frozen=True)
class Background:
    """Where a background is, without its pixels."""

    background_id: str  # content id
    source: str  # path below the folder, or what the curated set or the table says
    licence: str  # empty where nobody said
    width: int
    height: int
    path: str  # a picture file, or a Parquet file that holds the picture
    row_group: int  # -1 for a picture file
    row: int


def find_backgrounds(
    root: Path, split: str = "train", without: Path | None = None, unread: Counter[str] | None = None
) -> tuple[list[Background], list[Problem]]:
    """Find the backgrounds of a set, in order of content id.

    Of equal files the first path (or row) counts; the others are problems of the reason `duplicate`.

    Args:
        root: A curated set (it has a manifest of ours), a folder of pictures, or a table: CSV or Parquet with the
            columns `path` and perhaps `licence` and `source`, or Parquet with the pictures themselves in `image`.
        split: Which part of a curated set, `train` or `validation`.
        without: A folder that does not count, wherever it lies: where results go.
        unread: Counts the visible files of a folder that are no pictures, by suffix.

    Raises:
        InputError: If there is nothing of the kind, a curation was interrupted, or no background is in it.
    """
    if is_table(root):
        found, problems = _embedded(root) if picture_column(root, ["image"]) else _listed(root)
        if not found:
            raise InputError(f"{root}: {nothing_usable(problems)}")
    elif not root.is_dir():
        kinds = "a bg20k output, a folder of pictures, or a table (.csv, .parquet); unpack archives first"
        raise InputError(f"{root}: no such folder or table; give {kinds}")
    elif _is_curated(root):
        found, problems = _curated(root, split), []
    else:
        found, problems = _pictures(root, without, Counter() if unread is None else unread)
    unique, duplicates = _first_of_equals(found)
    if not unique:
        why = f"; the first of {len(problems)}: {problems[0].source}: {problems[0].message}" if problems else ""
        raise InputError(f"{root}: no backgrounds found in it{why}")
    return unique, problems + duplicates


def background_bytes(background: Background) -> bytes:
    """The encoded picture of a background.

    Raises:
        Rejected: stage `read`, reason `unreadable`, or `changed` if it is not the picture that was found.
    """
    path = Path(background.path)
    if background.row_group < 0:
        data = read_bytes(path)
        if content_id(data) != background.background_id:
            raise Rejected("read", "changed", f"{path}: not the picture that was planned")
        return data
    try:
        row = read_row(path, (background.row_group, background.row), ["background_id", "image"])
        data = picture_bytes(row["image"])
    except (DamagedError, OSError, LookupError, ValueError) as error:
        raise Rejected("read", "unreadable", f"{path}: {error}") from error
    if background.background_id not in (row.get("background_id"), content_id(data)):
        raise Rejected("read", "changed", f"{path}: row {background.row} is not the picture that was planned")
    return data


def _first_of_equals(found: Iterable[Background]) -> tuple[list[Background], list[Problem]]:
    unique: dict[str, Background] = {}
    duplicates: list[Problem] = []
    for background in found:
        first = unique.setdefault(background.background_id, background)
        if first is not background:
            duplicates.append(Problem(background.source, "duplicate", f"the same file as {first.source}"))
    return [unique[key] for key in sorted(unique)], duplicates


def _is_curated(root: Path) -> bool:
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


def _curated(root: Path, split: str) -> list[Background]:
    folder = DatasetFolder(root)
    found: list[Background] = []
    for mark in folder.all_marks():
        if not mark.name.startswith(f"{split}-") or not mark.rows:
            continue
        problem = check_shard(folder, mark, whole=not is_listed(root))  # a bucket is not read through at each start
        if problem:
            raise InputError(f"{root}: {problem}; run rssn build-bg20k again, it repairs what is damaged")
        found.extend(_shard_backgrounds(folder.data(mark.name)))
    return found


def _shard_backgrounds(path: Path) -> list[Background]:
    columns = ["background_id", "source", "origin", "licence", "width", "height"]
    with own_parquet(path) as file:
        if any(field not in file.schema_arrow for field in BACKGROUNDS):
            raise InputError(f"{path}: not the columns of a background set; {_AGAIN}")
        rows = file.read(columns=columns).to_pylist()
    return [
        Background(
            background_id=row["background_id"],
            source=row["origin"] or row["source"],
            licence=row["licence"] or "",
            width=row["width"],
            height=row["height"],
            path=shown(str(path)),
            row_group=group,
            row=number,
        )
        for row, (group, number) in zip(rows, places(path), strict=True)
    ]


def _pictures(root: Path, without: Path | None, unread: Counter[str]) -> tuple[list[Background], list[Problem]]:
    listing = list_pictures(root, without)
    unread.update(listing.unread)
    seen = list(ahead(partial(_picture_below, root), listing.pictures, remote=is_listed(root)))
    problems = [one for one in seen if isinstance(one, Problem)]
    return [one for one in seen if isinstance(one, Background)], listing.problems + problems


def _picture_below(root: Path, path: Path) -> Background | Problem:
    source = path.relative_to(root).as_posix()
    try:
        return _picture_file(path, source, "")
    except Rejected as error:
        return Problem(source, error.reason, error.message)


def _listed(root: Path) -> tuple[list[Background], list[Problem]]:
    table = read_table(root, ("path", "licence", "source"))
    if "path" not in table.columns:
        needed = "a table of backgrounds needs the column path, or pictures in the column image of a Parquet file"
        raise InputError(f"{root}: {needed}; it has {', '.join(table.columns)}")
    found: list[Background] = []
    problems: list[Problem] = []
    for row in table.rows:
        try:
            source = row.text("source") or Path(row.text("path")).as_posix()
            found.append(_picture_file(row.file("path"), source, row.text("licence")))
        except Rejected as error:
            problems.append(Problem(row.label, error.reason, error.message))
    return found, problems


def _picture_file(path: Path, source: str, licence: str) -> Background:
    data = read_bytes(path)
    return Background(content_id(data), source, licence, *picture_size(data), shown(str(path)), -1, -1)


def _embedded(root: Path) -> tuple[list[Background], list[Problem]]:
    """Pictures inside a table; one row group is in memory while a picture is loaded, so small ones are better."""
    found: list[Background] = []
    problems: list[Problem] = []
    for number, (place, row) in enumerate(embedded_rows(root, ("image", "licence", "source")), 1):
        label = f"{root.name}, row {number}"
        try:
            data = picture_bytes(row["image"])
            size = picture_size(data)
        except Rejected as error:
            problems.append(Problem(label, error.reason, error.message))
            continue
        source, licence = cell_text(row.get("source")) or label, cell_text(row.get("licence"))
        found.append(Background(content_id(data), source, licence, *size, shown(str(root)), *place))
    return found, problems
