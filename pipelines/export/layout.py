"""How rows become files: which column is written under which name, and which rows.

The bytes are those of the shard; only names are made here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, TypeAlias

from rssn.errors import InputError
from rssn.image.picture_files import SUFFIX_FORMATS
from rssn.route.step import Step

Row: TypeAlias = Mapping[str, Any]

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")  # no dot: in a tar the key ends at the first one
_CODECS = {".jpg": "jpeg", ".png": "png", ".webp": "webp"}  # of --image-codec


@dataclass(frozen=True)
class Picture:
    """A picture column and the file that it becomes.

    Attributes:
        column: Of the data set.
        name: Below the output folder, or in the tar. `{key}` is the row's name, `{split}` its split, `{suffix}` the
            stored picture's; `{shared}` too, but nothing where the row's pictures have different ones.
        suffixes: Those that the reader takes.
    """

    column: str
    name: str
    suffixes: Sequence[str] = tuple(SUFFIX_FORMATS)


@dataclass(frozen=True)
class Layout:
    """The files of a row.

    Attributes:
        key: The column that names them.
        pictures: What each is made from.
        splits: What the reader calls a split, where it is another name.
        each_once: Only one row for each value of `key`: see `Choice`.
    """

    key: str
    pictures: Sequence[Picture]
    splits: Mapping[str, str] = field(default_factory=dict)
    each_once: bool = False

    @property
    def columns(self) -> list[str]:
        """The columns that names are made of; none of them holds a picture."""
        return [*self._light, *(f"{each.column}.path" for each in self.pictures)]

    @property
    def stored(self) -> list[str]:
        """The columns that files are made of."""
        return [*self._light, *(each.column for each in self.pictures)]

    @property
    def _light(self) -> list[str]:
        split = ["split"] if any("{split}" in each.name for each in self.pictures) else []
        return [*dict.fromkeys([self.key, *(["sample_id"] if self.each_once else []), *split])]

    def names(self, row: Row) -> Iterator[tuple[str, str]]:
        """Column and file name of each picture of a row.

        Raises:
            InputError: If a name cannot be a file's, or the reader takes no such picture.
        """
        words = {"key": key_of(row, self.key)} | ({"split": self.split(row["split"])} if "split" in row else {})
        suffixes = [_suffix(row, each, words["key"]) for each in self.pictures]
        words["shared"] = suffixes[0] if len(set(suffixes)) == 1 else ""
        for each, suffix in zip(self.pictures, suffixes, strict=True):
            yield each.column, each.name.format(suffix=suffix, **words)

    def files(self, row: Row) -> Iterator[tuple[str, bytes]]:
        """Name and content of each picture of a row; errors as `names`."""
        for column, name in self.names(row):
            yield name, row[column]["bytes"]

    def split(self, name: str) -> str:
        """What the reader calls a split.

        Raises:
            InputError: If it cannot be a folder's name.
        """
        return _checked(self.splits.get(name, name), "split")


class Choice:
    """The row of each foreground whose F is nearest to the photograph's: F and alpha are wanted once, not K times.

    It is the row in which the fewest steps that act on F were drawn; of several, the one of the lowest k.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = [each.name for each in steps if "foreground" in each.layers or each.also_on_layers]
        self._best: dict[str, tuple[int, int, str]] = {}
        self.columns = ["sample_id", "foreground_id", "k", *(["steps"] if steps else [])]

    def see(self, row: Row) -> None:
        """Take a row with `columns` into account."""
        drawn = row.get("steps") or {}
        rank = (sum(drawn.get(name) is not None for name in self._steps), row["k"], row["sample_id"])
        self._best[row["foreground_id"]] = min(rank, self._best.get(row["foreground_id"], rank))

    def chosen(self) -> frozenset[str]:
        """The chosen rows' `sample_id`."""
        return frozenset(sample for _, _, sample in self._best.values())


def key_of(row: Row, column: str) -> str:
    """A row's name as a file name without suffix: `<foreground_id>-<k>` for a composite.

    Raises:
        InputError: If it cannot be one.
    """
    return _checked(str(row[column]).replace("/", "-"), column)


def _checked(name: str, column: str) -> str:
    if not _KEY.fullmatch(name):
        raise InputError(f"{column} {name[:100]!r} cannot be a file name: use letters, digits, '_' and '-', at most 80")
    return name


def _suffix(row: Row, picture: Picture, key: str) -> str:
    stored = row[picture.column]
    if stored is None:
        raise InputError(f"{key}: the row has no {picture.column}; choose another --format")
    suffix = PurePosixPath(stored["path"] or "").suffix.lower()
    if suffix not in SUFFIX_FORMATS:
        raise InputError(f"{key}: the stored picture is named {stored['path']!r}; expected a name such as photo.jpg")
    if suffix not in picture.suffixes:
        takes = " and ".join(picture.suffixes)
        codecs = " or ".join(_CODECS[each] for each in picture.suffixes if each in _CODECS)
        words = f"{picture.column} is stored as {suffix}, and this format's reader takes {takes} alone"
        raise InputError(f"{key}: {words}; choose another --format, or make the data set with --image-codec {codecs}")
    return suffix
