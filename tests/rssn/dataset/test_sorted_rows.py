from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from rssn.dataset.sorted_rows import RowSorter

_SCHEMA = pa.schema([("key", pa.string()), ("number", pa.int64())])


def _sorted(keys: list[str], folder: Path, run_rows: int) -> tuple[list[dict[str, Any]], list[tuple[int, int]]]:
    sorter, told = RowSorter(_SCHEMA, "key", folder, run_rows), list[tuple[int, int]]()
    for number, key in enumerate(keys):
        sorter.add({"key": key, "number": number})
    result = sorter.sorted(lambda first, other: told.append((first["number"], other["number"])))
    assert [path.name for path in folder.iterdir()] == (["sorted.parquet"] if keys else [])
    rows = pq.read_table(result.path).to_pylist() if keys else []
    assert len(rows) == result.count
    return rows, told


@given(st.lists(st.text("abc", max_size=3), max_size=60), st.integers(1, 20))
def test_of_equal_keys_the_first_counts_and_every_other_is_told(
    tmp_path_factory: Any, keys: list[str], run_rows: int
) -> None:
    """However the rows fall into runs."""
    rows, told = _sorted(keys, tmp_path_factory.mktemp("sorted"), run_rows)
    numbered = sorted(((key, number) for number, key in enumerate(keys)))
    groups = [[number for _, number in group] for _, group in groupby(numbered, key=itemgetter(0))]
    assert rows == [{"key": keys[group[0]], "number": group[0]} for group in groups]
    assert sorted(told) == sorted((group[0], other) for group in groups for other in group[1:])
    assert [keys[first] for first, _ in told] == sorted(keys[first] for first, _ in told)


def test_runs_of_several_blocks_are_merged(tmp_path: Path) -> None:
    count = 3 * 20_000
    keys = [f"{number * 7919 % 50_021:05d}" for number in range(count)]  # prime: those from 50,021 on are there before
    rows, told = _sorted(keys, tmp_path, 20_000)
    assert [row["key"] for row in rows] == [f"{number:05d}" for number in range(50_021)]
    assert sorted(told) == [(number, number + 50_021) for number in range(count - 50_021)]


def test_while_runs_are_merged_a_part_of_the_rows_is_in_memory(tmp_path: Path) -> None:
    sorter, count = RowSorter(_SCHEMA, "key", tmp_path, 98_304), 400_000
    for number in range(count):
        key = number * 0x9E3779B97F4A7C15 % (1 << 64) if number % 1000 else 0
        sorter.add({"key": f"{key:032x}", "number": number})
    held: list[int] = []
    result = sorter.sorted(lambda *_: held.append(pa.total_allocated_bytes()))
    whole = pq.read_table(result.path).nbytes
    assert (result.count, len(held)) == (count - 399, 399)
    assert max(held) < whole / 2
