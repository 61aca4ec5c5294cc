from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.curate.rows import verdicts_path
from rssn.dataset.rows import iter_rows
from tests.benchmarks.bench_driver import curate, lines, prepare
from tests.benchmarks.table import Cost


@pytest.mark.slow
def test_the_made_up_photographs_are_judged_and_published(tmp_path: Path) -> None:
    curate(prepare(450, tmp_path))
    reasons = [row["reason"] for row in iter_rows(verdicts_path(tmp_path / "out"))]
    assert {reason: reasons.count(reason) for reason in set(reasons)} == {"kept": 405, "duplicate": 45}


def test_what_each_further_photograph_adds() -> None:
    said = list(lines({1000: Cost(2.0, 100_000_000), 3000: Cost(6.0, 100_200_000)}))
    assert said[2:] == [
        "each further photograph: 2.00 CPU-ms, 100 bytes",
        "so 10 million: 5.6 CPU-hours, 1.1 GB",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 400])
def test_a_shard_may_be_small_or_full(tmp_path: Path, count: int) -> None:
    curate(prepare(count, tmp_path))
    assert len(list(iter_rows(verdicts_path(tmp_path / "out")))) == count
