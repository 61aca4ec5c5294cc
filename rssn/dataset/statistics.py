"""Counting a data set of any size: light columns only, read once, one shard in memory at a time.

The pictures are never read here; `spread` reads those of a few chosen rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rssn.dataset.batches import NOTHING_LATER, Superseded, iter_rejects
from rssn.dataset.rows import own_parquet, place_of, read_row
from rssn.dataset.shards import DatasetFolder, Mark
from rssn.image.arrays import Pixels
from rssn.image.decoding import decode_pixels
from rssn.image.matte_flags import describe_flags
from rssn.storage.location import Location

_LUMA = (0.299, 0.587, 0.114)  # Rec. 601


class Tally(ABC):
    """Something that is counted while the light columns of a data set go by."""

    columns: Sequence[str]

    @abstractmethod
    def add(self, table: pa.Table) -> None:
        """Count the rows of a shard."""


class ColumnCounts(Tally):
    """How often each value occurs in each column; for columns of few different values. A null counts as None."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = columns
        self.counts: dict[str, Counter[Any]] = {name: Counter() for name in columns}

    def add(self, table: pa.Table) -> None:
        """Count the rows of a shard."""
        for name in self.columns:
            for entry in pc.value_counts(table[name].combine_chunks()).to_pylist():
                self.counts[name][entry["values"]] += entry["counts"]


class DistinctCounts(Tally):
    """How many different values each column holds, nulls apart; keeps a 64-bit hash of each, about 100 bytes."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = columns
        self._seen: dict[str, set[int]] = {name: set() for name in columns}

    @property
    def counts(self) -> dict[str, int]:
        """By column."""
        return {name: len(values) for name, values in self._seen.items()}

    def add(self, table: pa.Table) -> None:
        """Count the rows of a shard."""
        for name in self.columns:
            self._seen[name].update(hash(value) for value in pc.unique(table[name]).to_pylist() if value is not None)


class MatteFlags(Tally):
    """What is odd about the mattes of composites or photographs; each foreground counts once."""

    columns = ("foreground_id", "foreground_source", "matte_flags")

    def __init__(self) -> None:
        self._found: dict[str, tuple[str, Sequence[str]]] = {}

    @property
    def sentences(self) -> list[str]:
        """What there is to say."""
        return describe_flags(self._found.values())

    def add(self, table: pa.Table) -> None:
        """Look at the rows of a shard."""
        for row in table.select(self.columns).to_pylist():
            self._found.setdefault(row["foreground_id"], (row["foreground_source"], row["matte_flags"] or ()))


def count(folder: DatasetFolder, shards: Iterable[str], *tallies: Tally) -> None:
    """Let the light columns of a data set go by once.

    Args:
        folder: The data set.
        shards: Names of its trusted shards that have rows.
        tallies: Who counts them.
    """
    columns = list(dict.fromkeys(name for tally in tallies for name in tally.columns))
    for table in _tables(map(folder.data, shards), columns):
        for tally in tallies:
            tally.add(table)


def count_rejects(files: Iterable[Location], without: Superseded = NOTHING_LATER) -> Counter[str]:
    """Rejects by reason, without those that count no more."""
    reasons: Counter[str] = Counter()
    if without != NOTHING_LATER:
        return Counter(row["reason"] for _, _, row in iter_rejects(files, without, ["item_id", "reason"]))
    for table in _tables(files, ["reason"]):
        for entry in pc.value_counts(table["reason"].combine_chunks()).to_pylist():
            reasons[entry["values"]] += entry["counts"]
    return reasons


def spread(
    folder: DatasetFolder, marks: Sequence[Mark], samples: int, columns: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Rows spread evenly over a data set, in order; reads the row groups of the chosen ones only.

    Args:
        folder: The data set.
        marks: Its trusted marks.
        samples: How many rows; all of them where there are fewer.
        columns: Names to read; None reads all.
    """
    total = sum(mark.rows for mark in marks)
    count = min(samples, total)
    before, number = 0, 0
    for mark in marks:
        path = folder.data(mark.name)
        while number < count and number * total // count < before + mark.rows:
            yield read_row(path, place_of(path, number * total // count - before), columns)
            number += 1
        before += mark.rows


def count_brightness(folder: DatasetFolder, marks: Sequence[Mark], samples: int) -> Counter[float]:
    """Mean luma (Rec. 601, in [0, 255]) of the pictures in the column `image`, of rows spread evenly."""
    rows = spread(folder, marks, samples, ["image"])
    return Counter(brightness(decode_pixels(row["image"]["bytes"])) for row in rows)


def brightness(pixels: Pixels) -> float:
    """Mean luma of an 8-bit RGB picture, in [0, 255]."""
    means = pixels.mean(axis=(0, 1))
    return float(sum(weight * float(mean) for weight, mean in zip(_LUMA, means, strict=True)))


def share(counts: Mapping[Any, int], unit: str = "", most: int = 12) -> str:
    """`3 x levin, 1 x given`, in order of value; the rare ones of more than `most` values are left out and counted."""
    shown = dict(Counter(counts).most_common(most))
    words = [f"{count} x {value}{unit}" for value, count in sorted(shown.items(), key=lambda item: _order(item[0]))]
    more = len(counts) - len(shown)
    return ", ".join(words) + (f", and {more} more" if more else "")


def _order(value: object) -> tuple[float, str]:
    return (float(value), "") if isinstance(value, int | float) else (0.0, str(value))


def _tables(files: Iterable[Location], columns: Sequence[str]) -> Iterator[pa.Table]:
    for path in files:
        with own_parquet(path) as file:
            yield file.read(columns=list(columns))
