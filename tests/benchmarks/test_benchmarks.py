from __future__ import annotations

import math
from pathlib import Path

import pytest

from rssn.synthetic import SyntheticPlan
from tests.benchmarks.bench_bm3d import psnr_lines
from tests.benchmarks.inputs import open_pictures
from tests.benchmarks.run import all_rows, notes
from tests.benchmarks.table import Cost, Row, table_lines

TINY = SyntheticPlan(foregrounds=2, evaluation=0, backgrounds=6, copies=0, small=0, shot_size=(64, 48), photo_side=56)


@pytest.mark.slow
def test_every_line_of_the_table_is_measured_on_rendered_pictures(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    pictures = open_pictures(absent, absent, tmp_path, TINY)
    rows = list(all_rows(pictures, tmp_path, 40, 50_000))
    costs = [cost for row in rows for cost in (row.ours, row.reference) if cost is not None]
    assert all(math.isfinite(cost.seconds) and cost.seconds >= 0 for cost in costs)
    assert all(cost.seconds > 0 for row in rows[:6] for cost in (row.ours, row.reference) if cost is not None)
    assert any("10 composites" in row.quality for row in rows)
    assert sum(row.quality == "the same to the bit" for row in rows) == 2
    assert "rendered pictures" in notes(pictures, 40)[0]
    lines = list(psnr_lines([pictures.pairs[0][0]], [25.0], 24))
    assert lines[-1].startswith("| mean | 25 |")


def test_the_table_is_aligned_and_leaves_out_what_is_not_known() -> None:
    rows = [Row("a", Cost(140.0, 1_600_000_000), Cost(1.4, 2_000_000), quality="38 dB"), Row("bc", None, Cost(0.055))]
    assert list(table_lines(rows)) == [
        "| work | reference | ours  | ratio | quality | peak memory     | of a composite |",
        "| ---- | --------- | ----- | ----- | ------- | --------------- | -------------- |",
        "| a    | 140 s     | 1.4 s | 100   | 38 dB   | 1,600 MB / 2 MB |                |",
        "| bc   |           | 55 ms |       |         |                 |                |",
    ]
