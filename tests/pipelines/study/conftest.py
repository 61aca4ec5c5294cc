from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.study.load import parse_study
from pipelines.study.steps import Plan, plan_study
from tests.pipelines.study.test_load import TEXT

Planned = Callable[..., Plan]


@pytest.fixture
def planned(tmp_path: Path) -> Planned:
    """The plan of `TEXT`, some words of it replaced, with its inputs in a folder."""
    for name in ("matting", "photos", "eval", "more"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "a.jpg").write_bytes(name.encode())

    def plan(old: str = "", new: str = "", place: str = "data") -> Plan:
        assert old in TEXT
        return plan_study(parse_study(TEXT.replace(old, new), "mine", [f"data={tmp_path / place}"]))

    return plan
