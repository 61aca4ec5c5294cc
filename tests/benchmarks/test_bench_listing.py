from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.bench_listing import WORK, inputs, line, write_curated
from tests.benchmarks.table import Cost, command_cost


def test_everything_that_was_made_up_is_found(tmp_path: Path) -> None:
    found = {name: (WORK[name][1](path), count) for name, count, path in inputs(tmp_path, 40, 7)}
    assert found == {
        "tarfile": (40, 40),
        "headers": (40, 40),
        "members": (40, 40),
        "crawl": (40, 40),
        "pairs": (20, 20),
        "curated": (7, 7),
        "found": (7, 7),
        "planned": (7, 7),
    }


def test_a_line_says_what_it_took() -> None:
    said = line("headers", 1000, Cost(2.0, 100_000_000))
    assert said.split() == ["1,000", "headers,", "by", "us:", "2.0", "CPU-s,", "100", "MB"]


@pytest.mark.slow
def test_a_pass_over_a_curated_set_holds_no_rows(tmp_path: Path) -> None:
    """Of 200,000 rows as much as of 20,000, but for a row group."""

    peaks = []
    for rows in (20_000, 200_000):
        path = write_curated(tmp_path / str(rows), rows)
        command = ["-m", "tests.benchmarks.bench_listing", "--do", "curated", str(rows), str(path)]
        peaks.append(command_cost(command).peak or 0)
    assert peaks[1] < peaks[0] + (20 << 20)
