"""Pairs in tables: of paths, or with the pictures themselves, as Hugging Face hosts matting sets in Parquet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from rssn.errors import InputError, Rejected
from rssn.sources.embedded import cell_text, embedded_rows, one_of, picture_columns
from rssn.sources.folder_walk import Problem
from rssn.sources.matting import Pair
from rssn.sources.picture_ref import PictureRef
from rssn.sources.tables import TableRow, nothing_usable, read_table
from rssn.storage.location import Location

IMAGES = ("image", "img")
FOREGROUNDS = ("foreground", "fg", "fgr")
MATTES = ("alpha", "matte", "mask", "pha")
"""What columns of photographs, of F and of mattes are called where they hold the pictures."""

_PATHS = ("image", "alpha", "foreground", "licence", "name")


def table_pairs(path: Location) -> tuple[list[Pair], list[Problem]]:
    """The pairs of a table with the columns `alpha`, `image` or `foreground` or both, and perhaps `licence` and `name`.

    A row may leave `image` or `foreground` empty, not both. A row whose alpha is the same file as its image or
    foreground takes that file's alpha channel. A row that cannot be used is a problem: `missing_value`, `missing_file`,
    `unreadable` or `surplus_cells`. Where the columns hold pictures see `embedded_pairs`.

    Raises:
        InputError: If the file is no such table, or has not one row that can be used.
    """
    if picture_columns(path):
        return embedded_pairs([path]), []
    table = read_table(path, _PATHS)
    if "alpha" not in table.columns or not {"image", "foreground"} & set(table.columns):
        needed = "a table of pairs needs the columns alpha and image or foreground"
        raise InputError(f"{path}: {needed}; it has {', '.join(table.columns)}")
    pairs: list[Pair] = []
    problems: list[Problem] = []
    for row in table.rows:
        try:
            pairs.append(_pair(row))
        except Rejected as error:
            problems.append(Problem(row.label, error.reason, error.message))
    if not pairs:
        raise InputError(f"{path}: {nothing_usable(problems)}")
    return pairs, problems


def embedded_pairs(tables: Sequence[Location]) -> list[Pair]:
    """The pairs of Parquet tables of the same columns, the parts of one set: one pair for each row.

    Photographs are in `image` or `img`, F in `foreground`, `fg` or `fgr`, mattes in `alpha`, `matte`, `mask` or `pha`,
    each `struct<bytes, path>` or binary. `licence` and `name` are texts; a row without a name is called as its picture
    is in `path`, where no other row's is called so. Whether a row has its pictures is seen when they are read.

    Raises:
        InputError: If two columns can be the same side, a side is missing, a side of another table has another column,
            or a table cannot be read.
    """
    chosen = [_Columns.of(table) for table in tables]
    for table, columns in zip(tables, chosen, strict=True):
        if columns != chosen[0]:
            words = f"its columns of pictures are {columns.words}, those of {tables[0].name} are {chosen[0].words}"
            raise InputError(f"{table}: {words}; give one of these sets alone")
    found = [row for table in tables for row in _embedded(table, chosen[0])]
    sources = Counter(row.path for row in found)
    pairs = [row.pair(chosen[0], named=bool(row.path) and sources[row.path] == 1) for row in found]
    if not pairs:
        raise InputError(f"{tables[0]}: {nothing_usable([])}")
    return pairs


@dataclass(frozen=True)
class _Columns:
    """What Parquet calls the columns of pictures; empty where there is none."""

    image: str
    foreground: str
    alpha: str

    @classmethod
    def of(cls, table: Location) -> _Columns:
        found = picture_columns(table)
        sides = ((IMAGES, "photograph"), (FOREGROUNDS, "foreground"), (MATTES, "matte"))
        image, foreground, alpha = (one_of(table, found, names, what) for names, what in sides)
        if not alpha or not (image or foreground):
            needed = f"pictures in {_or(MATTES)}, and in {_or(IMAGES)} or {_or(FOREGROUNDS)}"
            raise InputError(f"{table}: a table of pairs needs {needed}; pictures are in {', '.join(found) or 'none'}")
        return cls(image, foreground, alpha)

    @property
    def words(self) -> str:
        return ", ".join(filter(None, (self.image, self.foreground, self.alpha)))


@dataclass(frozen=True, slots=True)
class _Row:
    """The light part of a row."""

    table: Location
    number: int
    place: tuple[int, int]
    path: str  # what its colour file was called; empty where nothing says it
    cells: Mapping[str, Any]

    def pair(self, columns: _Columns, *, named: bool) -> Pair:
        label = f"{self.table.name}, row {self.number}"
        source = self.path if named else label
        name = cell_text(self.cells.get("name")) or (_bare(self.path) if named else label)
        image, foreground = (self._ref(column) if column else None for column in (columns.image, columns.foreground))
        licence = cell_text(self.cells.get("licence"))
        return Pair(name, image, self._ref(columns.alpha), foreground, source, licence, label)

    def _ref(self, column: str) -> PictureRef:
        return PictureRef(str(self.table), "row", self.place[1], self.place[0], column)


def _embedded(table: Location, columns: _Columns) -> list[_Row]:
    colours = columns.image or columns.foreground
    path = f"{colours.removesuffix('.bytes')}.path" if colours.endswith(".bytes") else ""
    rows = embedded_rows(table, [*filter(None, [path]), "name", "licence"])
    return [
        _Row(table, number, place, cell_text(cells.get(path)), cells) for number, (place, cells) in enumerate(rows, 1)
    ]


def _pair(row: TableRow) -> Pair:
    image, foreground = (row.picture(column) if row.text(column) else None for column in ("image", "foreground"))
    alpha = row.picture("alpha")
    if image is None and foreground is None:
        raise Rejected("pair", "missing_value", "the columns image and foreground are both empty")
    source = row.name_of("image" if image else "foreground")
    name, licence = row.text("name") or _bare(source), row.text("licence")
    files = tuple(row.name_of(column) for column in ("image", "alpha", "foreground") if row.text(column))
    return Pair(name, image, alpha, foreground, source, licence, row.label, files=files)


def _bare(name: str) -> str:
    """A name without its suffix."""
    own = PurePosixPath(name).stem
    folder, slash, _ = name.rpartition("/")
    return f"{folder}{slash}{own}"


def _or(names: Sequence[str]) -> str:
    return " or ".join(names)
