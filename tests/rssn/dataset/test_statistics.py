from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rssn.dataset import statistics as counting
from rssn.dataset.rows import read_row
from rssn.dataset.schema import REJECTS
from rssn.dataset.shards import DatasetFolder, filled
from rssn.dataset.statistics import (
    ColumnCounts,
    DistinctCounts,
    brightness,
    count,
    count_brightness,
    count_rejects,
    share,
    spread,
)
from rssn.storage.files import write_parquet

Maker = Callable[..., Path]


def test_values_are_counted_over_all_shards(fake_composites: Maker) -> None:
    folder = DatasetFolder(fake_composites(foregrounds=5, shards=3))
    tally = ColumnCounts(["k", "foreground_licence", "width"])
    count(folder, filled(folder.marks()), tally)
    assert tally.counts == {"k": {0: 5, 1: 5}, "foreground_licence": {None: 6, "CC0": 4}, "width": {24: 10}}


def test_different_values_are_counted_without_nulls(fake_composites: Maker) -> None:
    folder = DatasetFolder(fake_composites(foregrounds=5, shards=3))
    tally = DistinctCounts(["foreground_id", "background_id", "foreground_licence"])
    count(folder, filled(folder.marks()), tally)
    assert tally.counts == {"foreground_id": 5, "background_id": 2, "foreground_licence": 1}


def test_rejects_are_counted_by_reason(tmp_path: Path) -> None:
    reasons = ["small", "small", "broken"]
    rows = [{"item_id": "x", "source": "x", "stage": "s", "reason": r, "message": "m"} for r in reasons]
    for name in ("one", "two"):
        write_parquet(tmp_path / name, REJECTS, rows)
    assert count_rejects([tmp_path / "one", tmp_path / "two"]) == Counter(small=4, broken=2)


@pytest.mark.parametrize("samples", [1, 3, 7, 10, 99])
def test_samples_are_spread_evenly_and_in_order(fake_composites: Maker, samples: int) -> None:
    folder = DatasetFolder(fake_composites(foregrounds=5, shards=3))
    every = [f"{number:020x}/{k}" for number in range(5) for k in range(2)]
    shown = min(samples, 10)
    found = [row["sample_id"] for row in spread(folder, folder.marks(), samples, ["sample_id"])]
    assert found == [every[number * 10 // shown] for number in range(shown)]


def test_only_the_rows_and_columns_that_are_asked_for_are_read(
    fake_composites: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = DatasetFolder(fake_composites(foregrounds=20, shards=4))
    asked = []

    def spy(path: Path, place: tuple[int, int], columns: list[str] | None = None) -> dict[str, object]:
        asked.append((path.stem, columns))
        return read_row(path, place, columns)

    monkeypatch.setattr(counting, "read_row", spy)
    assert len(list(spread(folder, folder.marks(), 2, ["k"]))) == 2
    assert asked == [("composites-00000-of-00004", ["k"]), ("composites-00002-of-00004", ["k"])]


def test_nothing_is_spread_over_nothing(tmp_path: Path) -> None:
    assert list(spread(DatasetFolder(tmp_path), [], 5)) == []


def test_brightness_is_the_mean_luma() -> None:
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[:, :3] = (200, 100, 50)
    assert brightness(pixels) == pytest.approx((0.299 * 200 + 0.587 * 100 + 0.114 * 50) / 2)
    assert brightness(np.full((2, 2, 3), 255, np.uint8)) == pytest.approx(255)


def test_brightness_is_read_from_the_composites(fake_composites: Maker) -> None:
    folder = DatasetFolder(fake_composites(foregrounds=1, suffix=".png"))
    values = count_brightness(folder, folder.marks(), 10)
    assert values.total() == 2
    assert min(values) == pytest.approx((0.299 * 200 + 0.114 * 200) / 2, abs=0.5)


def test_shares_in_words() -> None:
    assert share({30: 2, 4: 5}, " px") == "5 x 4 px, 2 x 30 px"
    assert share({"b": 1, "a": 2}) == "2 x a, 1 x b"
    assert share({n: 1 + n for n in range(20)}, most=2) == "19 x 18, 20 x 19, and 18 more"
    assert share({None: 3, "levin": 1}) == "3 x None, 1 x levin"
