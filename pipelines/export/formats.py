"""What an exported row looks like: file names and bytes, for folders and for tar shards.

Floor 3. The bytes are those of the shard; only names are made here.
"""

from __future__ import annotations

import csv
import filecmp
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from rssn.dataset.schema import IMAGE
from rssn.errors import InputError
from rssn.image.picture_files import SUFFIX_FORMATS
from rssn.storage.atomic import atomic_path, write_bytes

Named: TypeAlias = tuple[str, bytes]
"""A file: its name below the output folder or in the tar, and its content."""

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")  # no dot: in a tar the key ends at the first one
_SPLITS = {"validation": "testval"}  # the name that the authors' BG-20k uses


@dataclass(frozen=True)
class Layout:
    """Which column becomes which file."""

    id_column: str
    pictures: Mapping[str, tuple[str, str]]  # column -> folder, and what stands before the suffix in a tar

    def folder(self, column: str, row: Mapping[str, Any]) -> str:
        """The folder of a picture; backgrounds go by their split."""
        return self.pictures[column][0] or split_name(row["split"])


COMPOSITES_LAYOUT = Layout(
    "sample_id",
    {"image": ("original", ""), "alpha": ("mask", ".alpha"), "foreground": ("fg", ".fg")}
    | {"background": ("bg", ".bg")},
)
BACKGROUNDS_LAYOUT = Layout("background_id", {"image": ("", "")})


def split_name(name: str) -> str:
    """`validation` is called `testval`, as in the authors' BG-20k; other names stay.

    Raises:
        InputError: If it cannot be a folder's name.
    """
    return _checked(_SPLITS.get(name, name), "split")


def folder_files(row: Mapping[str, Any], layout: Layout) -> Iterator[Named]:
    """The pictures of a row as `<folder>/<key><suffix>`; a picture that is null makes no file."""
    key = key_of(row, layout)
    for column in layout.pictures:
        if row[column] is not None:
            yield f"{layout.folder(column, row)}/{key}{_suffix(row[column], key)}", row[column]["bytes"]


def tar_members(row: Mapping[str, Any], layout: Layout) -> Iterator[Named]:
    """The pictures of a row as `<key>.jpg`, `<key>.alpha.png`, ..., and its light columns as `<key>.json`."""
    key = key_of(row, layout)
    for column, (_, kind) in layout.pictures.items():
        if row[column] is not None:
            yield f"{key}{kind}{_suffix(row[column], key)}", row[column]["bytes"]
    light = {name: value for name, value in row.items() if name not in layout.pictures}
    yield f"{key}.json", json.dumps(light, sort_keys=True, ensure_ascii=False).encode()


def key_of(row: Mapping[str, Any], layout: Layout) -> str:
    """The row's id as a file name without suffix: `<foreground_id>-<k>` for a composite.

    Raises:
        InputError: If it cannot be one.
    """
    return _checked(str(row[layout.id_column]).replace("/", "-"), layout.id_column)


def write_file(path: Path, data: bytes) -> bool:
    """Write a file under a temporary name and rename it; False where it is there already."""
    if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
        return False
    write_bytes(path, data, durable=False)
    return True


def write_tar(path: Path, members: Callable[[], Iterable[Named]]) -> bool:
    """Write a plain USTAR archive whose bytes depend on its members alone; False where it is there already.

    Args:
        path: The archive.
        members: Gives the files, anew for each call; they are never held together in memory.
    """
    with atomic_path(path, durable=False) as temporary:
        with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as archive:
            for name, data in members():
                info = tarfile.TarInfo(name)  # its owner, group and time are 0
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        exists = path.is_file() and filecmp.cmp(temporary, path, shallow=False)
        if exists:
            temporary.unlink()
    return not exists


def write_index(path: Path, schema: pa.Schema, rows: Iterable[Mapping[str, Any]], layout: Layout) -> None:
    """Write the light columns as CSV: `key` is the name of the row's files; structs become a column for each part."""
    with (
        atomic_path(path, durable=False) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow(["key", *_flat_names(schema)])
        for row in rows:
            writer.writerow([key_of(row, layout), *_flat_values(schema, row)])


def light_schema(schema: pa.Schema) -> pa.Schema:
    """The columns that are no pictures."""
    return pa.schema([item for item in schema if item.type != IMAGE])


def _checked(name: str, column: str) -> str:
    if not _KEY.fullmatch(name):
        raise InputError(f"{column} {name[:100]!r} cannot be a file name: use letters, digits, '_' and '-', at most 80")
    return name


def _suffix(picture: Mapping[str, Any], key: str) -> str:
    suffix = Path(picture["path"] or "").suffix.lower()
    if suffix not in SUFFIX_FORMATS:
        raise InputError(f"{key}: the stored picture is named {picture['path']!r}; expected a name such as photo.jpg")
    return suffix


def _flat_names(fields: Iterable[pa.Field], prefix: str = "") -> Iterator[str]:
    for item in fields:
        if pa.types.is_struct(item.type):
            yield from _flat_names(item.type, f"{prefix}{item.name}_")
        else:
            yield f"{prefix}{item.name}"


def _flat_values(fields: Iterable[pa.Field], values: Mapping[str, Any] | None) -> Iterator[Any]:
    for item in fields:
        value = None if values is None else values[item.name]
        if pa.types.is_struct(item.type):
            yield from _flat_values(item.type, value)
        else:
            yield value
