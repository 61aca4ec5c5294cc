"""How simple the house is, measured: few files at the front doors, and a short way from the command line to a row."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.cli import main
from tests.way import ROOT, climbs, compose, files_entered, recorded

FILES, CLIMBS = 30, 19
"""Of a compose job's way; lower them where the way gets shorter. The plan is 18 and 5.

Commit 7e0ad81 had 29 and 14 by the same count, its modules counted where they lay or where they lie now. A step is a
file now, and its base class calling it a climb: three of either are the steps'. What names the inputs is a file beside
the plan that is made of them: one file. Rows of a plan are made while they are written, and read when they are asked
for: two climbs.
"""


@pytest.mark.parametrize(("package", "most"), [("pipelines", 12), ("rssn", 6)])
def test_few_files_lie_directly_in_a_package(package: str, most: int) -> None:
    files = {path.name for path in (ROOT / package).glob("*.py")}
    assert "__init__.py" in files
    assert len(files) <= most


def test_the_way_of_a_compose_job(tmp_path: Path) -> None:
    with recorded() as calls:
        compose(main, tmp_path)
    entered, up = files_entered(calls), climbs(calls)
    assert {"pipelines/cli.py", "pipelines/compose/rows.py", "rssn/route/draw.py"} <= entered, "the way is recorded"
    assert ("pipelines/executor/runner.py", "pipelines/compose/shard.py") in up, "a task is handed down"
    assert len(entered) <= FILES, sorted(entered)
    assert len(up) <= CLIMBS, sorted(up)


def test_a_callback_is_a_climb_and_a_call_is_none(tmp_path: Path) -> None:
    sources = {"high": "from rssn.a.middle import run", "middle": "import rssn.a.low", "low": ""}
    (tmp_path / "rssn" / "a").mkdir(parents=True)
    for name, text in sources.items():
        (tmp_path / "rssn" / "a" / f"{name}.py").write_text(text)
    high, middle, low = (f"rssn/a/{name}.py" for name in sources)
    calls = {(None, high), (high, middle), (middle, low), (low, low), (low, high)}
    assert climbs(calls, tmp_path) == {(low, high)}
