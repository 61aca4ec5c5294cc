from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import pytest

from tests.benchmarks import bench_week
from tests.benchmarks.bench_week import Seen, growth, lines


def _traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.mark.parametrize("marked", [False, True])
def test_a_driver_keeps_little_more_than_the_name_of_a_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, marked: bool
) -> None:
    monkeypatch.setattr(bench_week, "settled", _traced)
    list(lines(tmp_path / "first", 10, 0, marked=marked))  # what a first run imports is none of a shard's
    tracemalloc.start()
    said = list(lines(tmp_path / "measured", 2000, 0, marked=marked))
    tracemalloc.stop()
    assert [float(line.split()[0]) < 60 for line in said if "further shard" in line or "kept of each" in line] == [True]


def test_growth_is_that_after_the_start() -> None:
    assert growth([Seen(0, 0), Seen(20, 1000), Seen(60, 1080), Seen(100, 1160)]) == 2.0
