from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.compose.plan import load_plan
from tests.benchmarks.bench_plan import lines, stored_lines


@pytest.mark.slow
def test_made_up_pictures_are_planned_and_drawn(tmp_path: Path) -> None:
    said = list(lines(tmp_path, 4, 7))
    plan = load_plan(tmp_path / "out")
    assert (len(plan.foregrounds), len(plan.backgrounds), plan.batches) == (4, 7, 1)
    assert plan.foreground_sizes.tolist() == [[1620, 1080]] * 4
    assert plan.background_sizes.tolist() == [[1920, 1280]] * 7
    assert [line.partition("MB  ")[2][:12] for line in said[1:-1]] == [
        "the imports ", "planned", "planned agai", "a worker loa", "--dry-run: e",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_stored_plan_keeps_two_arrays(tmp_path: Path) -> None:
    assert list(stored_lines(tmp_path, 1000))[-1].endswith("16 bytes kept")
