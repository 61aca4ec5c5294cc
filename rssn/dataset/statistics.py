"""Counting a data set of any size: light columns only, one shard in memory at a time.

Floor 3. The pictures are never read here; `spread` reads those of a few chosen rows.
"""

from __future__ import annotations

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


def count_columns(folder: DatasetFolder, marks: Iterable[Mark], columns: Sequence[str]) -> dict[str, Counter[Any]]:
    """How often each value occurs in each column.

    Args:
        folder: The data set.
        marks: Its trusted marks.
        columns: Light columns of few different values; a null counts as None.
    """
    counts: dict[str, Counter[Any]] = {name: Counter() for name in columns}
    for table in _tables((folder.data(mark.name) for mark in marks), columns):
        for name in columns:
            for entry in pc.value_counts(table[name].combine_chunks()).to_pylist():
                counts[name][entry["values"]] += entry["counts"]
    return counts


def count_distinct(folder: DatasetFolder, marks: Iterable[Mark], columns: Sequence[str]) -> dict[str, int]:
    """How many different values each column holds, nulls apart; keeps a 64-bit hash of each, about 100 bytes."""
    seen: dict[str, set[int]] = {name: set() for name in columns}
    for table in _tables((folder.data(mark.name) for mark in marks), columns):
        for name in columns:
            seen[name].update(hash(value) for value in pc.unique(table[name]).to_pylist() if value is not None)
    return {name: len(values) for name, values in seen.items()}


def describe_mattes(folder: DatasetFolder, marks: Iterable[Mark]) -> list[str]:
    """What is odd about the mattes of composites or photographs, in sentences; each foreground counts once."""
    found: dict[str, tuple[str, Sequence[str]]] = {}
    columns = ("foreground_id", "foreground_source", "matte_flags")
    for table in _tables((folder.data(mark.name) for mark in marks), columns):
        for row in table.to_pylist():
            found.setdefault(row["foreground_id"], (row["foreground_source"], row["matte_flags"] or ()))
    return describe_flags(found.values())


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
