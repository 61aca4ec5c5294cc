"""The forms of an export: a file for each picture, a tar for each shard, or the Parquet shards themselves.

Pictures and shards are copied as they are stored.
"""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import copyfileobj
from typing import Any

import pyarrow as pa

from pipelines.export.card import write_card
from pipelines.export.layout import Choice, Layout, Row, key_of
from pipelines.export.source import Shard, Source
from pipelines.export.target import Target
from rssn.dataset.rows import iter_rows, own_parquet
from rssn.dataset.schema import IMAGE
from rssn.errors import InputError
from rssn.progress import Progress
from rssn.route.recipe import recipe_from_dict
from rssn.storage.remote import READ_AHEAD, opened


@dataclass(frozen=True)
class Export:
    """What a form is to write.

    Attributes:
        source: The data set.
        layout: The names of its files.
        chosen: The `sample_id` of the rows that are written; None: all.
        progress: Counts rows.
    """

    source: Source
    layout: Layout
    chosen: frozenset[str] | None
    progress: Progress

    def rows(self, shard: Shard, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """The rows of a shard that are written; the columns hold `sample_id` where only some are."""
        for row in iter_rows(shard.path, columns):
            if self.chosen is None or row["sample_id"] in self.chosen:
                yield row


def check_rows(source: Source, layout: Layout) -> frozenset[str] | None:
    """Look at the names of all files before any is written; light columns are read.

    Returns:
        The rows to write, see `Export`.

    Raises:
        InputError: If a row cannot be written as its reader wants it, or two rows go by one name.
    """
    if not layout.pictures:
        return None
    choice = _choice(source) if layout.each_once else None
    keys: set[str] = set()
    for row in source.rows([*layout.columns, *(choice.columns if choice else ())]):
        for _ in layout.names(row):
            pass
        key = key_of(row, layout.key)
        if choice:
            choice.see(row)
        elif key in keys:
            raise InputError(f"{source.root}: two samples of one id, {key}; make the data set again")
        keys.add(key)
    return choice.chosen() if choice else None


def write_pictures(export: Export, target: Target) -> None:
    """A file for each picture, and `index.csv` with the light columns."""
    for shard in export.source.shards:
        with target.shard(shard.mark.name):
            target.put(_files(export, shard))
    target.replace("index.csv", partial(_write_index, export))


def write_tars(export: Export, target: Target) -> None:
    """A tar for each shard, `<prefix>-000000.tar`: counted without gaps, so that `{000000..000127}` names them all."""
    seen: Counter[str] = Counter()
    for shard in export.source.shards:
        prefix = export.layout.split(shard.prefix)
        with target.shard(shard.mark.name):
            target.make(f"{prefix}-{seen[prefix]:06d}.tar", partial(_write_tar, export, shard))
        seen[prefix] += 1
        export.progress.advance(shard.mark.rows)


def write_shards(export: Export, target: Target) -> None:
    """The Parquet shards, `data/<split>-00000-of-00007.parquet`, and a card that names them."""
    splits = [export.layout.split(shard.split) for shard in export.source.shards]
    totals, seen = Counter(splits), Counter[str]()
    for shard, split in zip(export.source.shards, splits, strict=True):
        with target.shard(shard.mark.name):
            name = f"data/{split}-{seen[split]:05d}-of-{totals[split]:05d}.parquet"
            target.make(name, partial(_copy, shard), size=shard.mark.bytes)
        seen[split] += 1
        export.progress.advance(shard.mark.rows)
    target.replace("README.md", partial(write_card, export.source, totals))


def _files(export: Export, shard: Shard) -> Iterator[tuple[str, bytes]]:
    for row in export.rows(shard, export.layout.stored):
        yield from export.layout.files(row)
        export.progress.advance()


def _choice(source: Source) -> Choice:
    recipe = recipe_from_dict(source.data.manifest.plan["recipe"], f"{source.root}, its manifest")
    return Choice(recipe.steps)


def _copy(shard: Shard, path: Path) -> None:
    with opened(shard.path, READ_AHEAD) as stored, path.open("wb") as stream:
        copyfileobj(stored, stream, READ_AHEAD)


def _write_tar(export: Export, shard: Shard, path: Path) -> None:
    """A plain USTAR archive whose bytes depend on its members alone."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for row in export.rows(shard):
            for name, data in _members(row, export.layout):
                info = tarfile.TarInfo(name)  # its owner, group and time are 0
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))


def _members(row: Row, layout: Layout) -> Iterator[tuple[str, bytes]]:
    """The pictures of a row, and its light columns as `<key>.json`."""
    yield from layout.files(row)
    pictures = {each.column for each in layout.pictures}
    light = {name: value for name, value in row.items() if name not in pictures and not isinstance(value, bytes)}
    yield f"{key_of(row, layout.key)}.json", json.dumps(light, sort_keys=True, ensure_ascii=False).encode()


def _write_index(export: Export, path: Path) -> None:
    """The light columns as CSV: `key` is the name of the row's files; structs become a column for each part."""
    shards = export.source.shards
    with own_parquet(shards[0].path) as first:
        schema = pa.schema([item for item in first.schema_arrow if item.type not in (IMAGE, pa.binary())])
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["key", *_flat_names(schema)])
        for shard in shards:
            for row in export.rows(shard, schema.names):
                writer.writerow([key_of(row, export.layout.key), *_flat_values(schema, row)])


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
