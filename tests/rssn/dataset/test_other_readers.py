"""What the page shows others do with a data set: datasets, DuckDB, Polars and Ray read the same rows."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import rssn
from tests.test_documents import blocks

pytestmark = pytest.mark.slow

_PRINTS = """
print(composites.num_rows, composites[0]["image"].size, composites[0]["alpha"].mode)
"""


def test_each_reads_the_rows_of_the_set(fake_composites: Callable[..., Path], tmp_path: Path) -> None:
    root = fake_composites(foregrounds=3, shards=2)
    root.rename(tmp_path / "shards")
    rows = list(
        rssn.open_dataset(tmp_path / "shards").rows(["sample_id", "foreground_id", "recipe", "width", "height"])
    )
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home"), "RAY_USAGE_STATS_ENABLED": "0"}
    code = blocks("rssn/README.md", "In Python")[1] + _PRINTS
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | offline,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = done.stdout.splitlines()
    counts = Counter(row["foreground_id"] for row in rows)
    assert ast.literal_eval(said[0]) == sorted(counts.items())
    assert f"shape: ({len(rows)}, 3)" in done.stdout
    found = next(ast.literal_eval(line) for line in said if line.startswith("[{"))
    wanted = [{name: row[name] for name in ("sample_id", "recipe")} for row in rows]
    assert sorted(found, key=lambda row: row["sample_id"]) == sorted(wanted, key=lambda row: row["sample_id"])
    assert f"{len(rows)} ({rows[0]['width']}, {rows[0]['height']}) L" in said
