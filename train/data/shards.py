"""The rows of data sets as a trainer reads them: where each lies, and the row group that holds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq

from rssn.dataset.dataset import DataSet, open_dataset
from rssn.dataset.rows import own_parquet, read_footer
from rssn.dataset.shards import DatasetFolder, Mark
from rssn.errors import DamagedError, InputError
from rssn.storage.files import content_id
from rssn.storage.location import BucketPath, Location
from rssn.storage.remote import ahead, list_files

_AGAIN = "run `rssn compose` again, it repairs what is damaged"


@dataclass(frozen=True)
class RowPlace:
    """Where a row is stored."""

    path: Location
    group: int
    row: int


@dataclass(frozen=True)
class StoredSet:
    """The rows of one data set, and a name for its content."""

    root: str
    places: list[RowPlace]
    digest: str
    sizes: list[tuple[int, int]]  # shorter and longer side of the pictures, px; one of each row group

    @property
    def groups(self) -> tuple[int, ...]:
        """Rows of each row group, in order."""
        starts = [number for number, place in enumerate(self.places) if place.row == 0]
        return tuple(stop - start for start, stop in pairwise([*starts, len(self.places)]))


def open_set(root: str, columns: tuple[str, ...]) -> StoredSet:
    """Find every row of every marked shard, from marks and footers alone.

    Args:
        root: A folder or URL that `rssn compose` or `rssn pack` wrote.
        columns: Those that a shard must have, beside `width` and `height`.

    Raises:
        InputError: If it is no data set of composites, or a shard is not what its mark says.
        RemoteError: If a bucket does not answer.
    """
    try:
        data = open_dataset(root, "composites")
        marks = data.all_marks()
    except InputError as error:
        raise type(error)(f"--data {error}") from error
    places: list[RowPlace] = []
    sizes: list[tuple[int, int]] = []
    for path, footer in _footers(data, [mark for mark in marks if mark.rows], columns):
        groups = range(footer.num_row_groups)
        places += [RowPlace(path, each, row) for each in groups for row in range(footer.row_group(each).num_rows)]
        sizes += _sizes(path, footer)
    if not places:
        raise InputError(f"--data {root}: no finished shard with rows; run the same `rssn compose` again")
    return StoredSet(root, places, content_id(*(mark.sha256.encode() for mark in marks if mark.rows)), sizes)


def read_group(place: RowPlace, columns: list[str]) -> pa.Table:
    """The row group of a row."""
    with own_parquet(place.path) as file:
        return file.read_row_group(place.group, columns=columns)


def _footers(data: DataSet, marks: list[Mark], columns: tuple[str, ...]) -> Iterator[tuple[Location, pq.FileMetaData]]:
    sizes = {name: facts.size for name, facts in list_files(data.root / "data").items()}
    read = partial(_footer, data, sizes, {*columns, "width", "height"})
    return ahead(read, marks, remote=isinstance(data.root, BucketPath))


def _footer(
    folder: DatasetFolder, sizes: Mapping[str, int], columns: set[str], mark: Mark
) -> tuple[Location, pq.FileMetaData]:
    """The path and footer of a shard, if size, row count and columns are what its mark and the contract say."""
    path = folder.data(mark.name)
    try:
        footer = read_footer(path)
    except (DamagedError, FileNotFoundError) as error:
        raise InputError(f"{path}: its mark says it is finished, but it cannot be read: {_AGAIN}") from error
    size = sizes.get(path.name)
    if size != mark.bytes or footer.num_rows != mark.rows:
        found = f"{size} bytes and {footer.num_rows} rows, its mark says {mark.bytes} and {mark.rows}"
        raise InputError(f"{path}: {found}; {_AGAIN}")
    missing = columns - set(footer.schema.to_arrow_schema().names)
    if missing:
        raise InputError(f"{path}: no column {', '.join(sorted(missing))}; training needs composites, not backgrounds")
    return path, footer


def _sizes(path: Location, footer: pq.FileMetaData) -> list[tuple[int, int]]:
    """Shorter and longer side of the pictures of each row group, px, by the statistics of its columns."""
    places = {footer.schema.column(place).path: place for place in range(footer.num_columns)}
    found = []
    for group in map(footer.row_group, range(footer.num_row_groups)):
        sides = [group.column(places[name]).statistics for name in ("width", "height")]
        if not all(side is not None and side.has_min_max for side in sides):
            raise InputError(f"{path}: no statistics of width and height; compose it again, with another --out")
        found.append((min(side.min for side in sides), max(side.max for side in sides)))
    return found
