from __future__ import annotations

from collections.abc import Callable, Mapping
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

    def plan(old: str = "", new: str = "", place: str = "data", also: Mapping[str, str] | None = None) -> Plan:
        text = TEXT
        for before, after in {old: new, **(also or {})}.items():
            assert before in text
            text = text.replace(before, after)
        return plan_study(parse_study(text, "mine", [f"data={tmp_path / place}"]))

    return plan
