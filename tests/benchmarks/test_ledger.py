from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.ledger import Ledger
from tests.benchmarks.table import Cost, Row

FAST = Row("fast", Cost(9.0, 5, np.zeros(2)), Cost(1.0, None, np.ones(2)), quality="the same", share=0.25)
SLOW = Row("slow", None, Cost(20.0))


def test_rows_come_as_they_are_measured_and_are_not_measured_again(tmp_path: Path) -> None:
    measured: list[str] = []

    def measure() -> Iterator[Row]:
        for row in (FAST, SLOW):
            measured.append(row.work)
            yield row

    rows = Ledger(tmp_path / "kept.json").rows("both", measure)
    assert next(rows) is FAST
    assert measured == ["fast"]
    assert next(rows) is SLOW
    assert "both" not in Ledger(tmp_path / "kept.json")  # stopped in the middle: the whole step again
    assert list(rows) == []
    assert "both" in Ledger(tmp_path / "kept.json")
    again = list(Ledger(tmp_path / "kept.json").rows("both", measure))
    assert measured == ["fast", "slow"]
    assert again == [FAST.without_results(), SLOW]
    assert again[0].cells() == FAST.cells()


def test_a_step_that_fails_is_measured_again(tmp_path: Path) -> None:
    def fail() -> Iterator[Row]:
        yield FAST
        raise OSError("no room")

    ledger = Ledger(tmp_path / "kept.json")
    with pytest.raises(OSError, match="no room"):
        list(ledger.rows("step", fail))
    assert list(ledger.rows("step", lambda: [SLOW])) == [SLOW]


def test_a_figure_is_measured_once(tmp_path: Path) -> None:
    assert Ledger(tmp_path / "kept.json").figure("cost", lambda: [1.5, None]) == [1.5, None]
    assert Ledger(tmp_path / "kept.json").figure("cost", lambda: pytest.fail("again")) == [1.5, None]
    assert Ledger().figure("cost", lambda: 2) == 2
