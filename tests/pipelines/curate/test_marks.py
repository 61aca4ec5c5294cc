"""Marks that photographs of one folder share, through the whole curation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from bg20k.rules import CurationRules
from pipelines.curate.job import CurationJob, run_curation
from pipelines.executor.runner import LocalRunner
from pipelines.executor.work import ErrorBudget
from pipelines.inspect.inspect import run_inspect
from rssn.dataset.rows import iter_rows
from rssn.image.arrays import encode_jpeg, to_uint8
from rssn.synthetic.backgrounds import render_background

SIDE = 540


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photographs of one site of which four are stamped, one of those twice; two stamped ones of another site."""
    root = tmp_path_factory.mktemp("crawl")
    for name, seed, stamp in (
        *[(f"one/{seed}", seed, seed < 4) for seed in range(6)],
        ("one/copy", 0, False),
        *[(f"two/{seed}", seed, True) for seed in (6, 7)],
    ):
        pixels = np.ascontiguousarray(to_uint8(render_background(seed, 720, SIDE)))
        if stamp:
            cv2.putText(pixels, "Sample 42", (530, 520), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (250,) * 3, 3, cv2.LINE_AA)
        (root / name).parent.mkdir(exist_ok=True)
        (root / f"{name}.jpg").write_bytes(encode_jpeg(pixels, 85))
    return root


def curated(crawl: Path, out: Path, *refused: str) -> dict[str, dict[str, Any]]:
    rules = CurationRules(min_side=SIDE, refused_flags=refused)
    run_curation(CurationJob(crawl, out, rules, None, ErrorBudget()), LocalRunner())
    return {row["source"]: row for row in iter_rows(out / "verdicts.parquet")}


def test_marks_are_flags_of_what_is_kept(crawl: Path, tmp_path: Path) -> None:
    found = curated(crawl, tmp_path / "out")
    marked = {name: (row["mark_pictures"], row["mark_place"]) for name, row in found.items() if row["mark_place"]}
    assert marked == {f"one/{seed}.jpg": (4.0, "lower right") for seed in range(4)}
    assert {name for name, row in found.items() if "shared_mark" in row["flags"]} == set(marked)
    assert {row["reason"] for row in found.values()} == {"kept_unscreened", "duplicate"}
    published = [row for path in (tmp_path / "out/data").glob("*.parquet") for row in iter_rows(path)]
    flags = {row["source"]: (row["mark_pictures"], "shared_mark" in row["flags"]) for row in published}
    assert {name for name, (pictures, flag) in flags.items() if flag and pictures == 4.0} == set(marked) & set(flags)
    assert len(flags) == 8


def test_refused_marks_leave_the_copy_without_one(crawl: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = curated(crawl, out, "shared_mark")
    reasons = {name: row["reason"] for name, row in found.items()}
    assert reasons == {
        **{f"one/{seed}.jpg": "shared_mark" for seed in range(4)},
        **dict.fromkeys(("one/4.jpg", "one/5.jpg", "one/copy.jpg", "two/6.jpg", "two/7.jpg"), "kept_unscreened"),
    }
    row = found["one/2.jpg"]
    assert (row["stage"], row["score"]) == ("resolution", 4.0)
    assert row["message"].endswith("(at the lower right, as in 3 other pictures of its source)")
    page = run_inspect(out).page.read_text(encoding="utf-8")
    assert "<td>shared_mark</td><td>4</td>" in page.replace("\n", "")
    assert "<td>lower right</td><td>4</td>" in page.replace("\n", "")
