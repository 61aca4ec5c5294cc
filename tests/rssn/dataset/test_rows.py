from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rssn.dataset.rows import iter_rows, place_of, places, read_row
from rssn.errors import DamagedError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Eight rows in row groups of 3, 3 and 2."""
    table = pa.table({"number": list(range(8)), "word": [f"row {n}" for n in range(8)]})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=3)
    return tmp_path / "rows.parquet"


def test_rows_in_order(path: Path) -> None:
    assert list(iter_rows(path)) == [{"number": n, "word": f"row {n}"} for n in range(8)]
    assert list(iter_rows(path, ["word"])) == [{"word": f"row {n}"} for n in range(8)]


def test_places_are_those_of_the_rows(path: Path) -> None:
    found = list(places(path))
    assert found == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]
    assert found == [place_of(path, number) for number in range(8)]
    assert [read_row(path, place)["number"] for place in found] == list(range(8))
    assert read_row(path, (1, 2), ["word"]) == {"word": "row 5"}


def test_a_place_behind_the_end(path: Path) -> None:
    with pytest.raises(IndexError, match="has only 8 rows"):
        place_of(path, 8)
    with pytest.raises(IndexError):
        read_row(path, (2, 2))
    with pytest.raises(DamagedError, match="row_group"):
        read_row(path, (3, 0))


def test_a_file_without_rows(tmp_path: Path) -> None:
    empty = tmp_path / "empty.parquet"
    pq.write_table(pa.table({"number": pa.array([], pa.int64())}), empty)
    assert list(iter_rows(empty)) == []
    assert list(places(empty)) == []


def test_a_shard_without_rows_leaves_no_file_and_gives_none(tmp_path: Path) -> None:
    assert list(iter_rows(tmp_path / "absent.parquet")) == []
