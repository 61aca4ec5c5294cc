"""Altered copies in a curation: found by geometry, verified by tasks, also against an existing set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from bg20k.decide import NOTHING_KNOWN
from bg20k.records import Crawl
from bg20k.rules import CurationRules
from pipelines.curate.compare import plan_pairs
from pipelines.curate.job import CurationJob, run_curation
from pipelines.curate.rows import candidates_folder, records
from pipelines.executor.runner import LocalRunner
from pipelines.executor.work import ErrorBudget
from rssn.dataset.manifest import MANIFEST
from rssn.dataset.rows import iter_rows
from rssn.dataset.shards import DatasetFolder, is_half_written, is_own
from rssn.image.arrays import Pixels, encode_jpeg

RULES = CurationRules(min_side=192)


def scene(seed: int) -> Pixels:
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.uniform(0, 255, (7, 9, 3)), (720, 480), interpolation=cv2.INTER_CUBIC)
    grain = cv2.resize(rng.normal(0, 9, (90, 120, 3)), (720, 480), interpolation=cv2.INTER_LINEAR)
    return np.clip(coarse + grain, 0, 255).astype(np.uint8)


def write(folder: Path, photos: dict[str, Pixels]) -> Path:
    folder.mkdir()
    for name, pixels in photos.items():
        (folder / f"{name}.jpg").write_bytes(encode_jpeg(np.ascontiguousarray(pixels), 85))
    return folder


def curate(photos: Path, out: Path, **settings: Any) -> dict[str, dict[str, Any]]:
    job = CurationJob(photos=photos, out=out, rules=RULES, detector=None, budget=ErrorBudget(), **settings)
    run_curation(job, LocalRunner())
    return {Path(row["source"]).stem: row for row in iter_rows(out / "verdicts.parquet")}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    whole = scene(1)
    return write(
        tmp_path_factory.mktemp("compare") / "photos",
        {
            "whole": whole,
            "corner": whole[:288, :432],
            "mirrored": whole[:, ::-1],
            "dark": (255 * (whole / 255.0) ** 1.8).astype(np.uint8)[60:430, 90:600],
            "other": scene(2),
            "another": scene(3),
        },
    )


@pytest.fixture(scope="module")
def found(photos: Path) -> dict[str, dict[str, Any]]:
    return curate(photos, photos.parent / "out")


def test_of_altered_copies_the_largest_is_kept(found: dict[str, dict[str, Any]]) -> None:
    kept = [name for name, row in found.items() if row["keep"]]
    assert len(kept) == 3
    assert {"other", "another"} < set(kept)
    (keeper,) = set(kept) - {"other", "another"}
    assert keeper in ("whole", "mirrored")  # of the same size
    for name in {"whole", "corner", "mirrored", "dark"} - {keeper}:
        row = found[name]
        assert (row["stage"], row["reason"], row["duplicate_of"]) == (
            "duplicates",
            "altered",
            found[keeper]["background_id"],
        )
        assert row["message"].startswith("shows the same as ")
        assert row["score"] >= RULES.agreement


def test_a_second_run_compares_nothing_again_and_repairs_what_is_lost(
    photos: Path, found: dict[str, dict[str, Any]]
) -> None:
    out = photos.parent / "out"
    shard = min((out / "compared" / "data").iterdir())
    before, stamp = shard.read_bytes(), shard.stat().st_mtime_ns
    assert curate(photos, out) == found
    assert shard.stat().st_mtime_ns == stamp
    shard.unlink()
    assert curate(photos, out) == found
    assert shard.read_bytes() == before


def test_what_was_found_of_other_pairs_does_not_count(photos: Path, found: dict[str, dict[str, Any]]) -> None:
    folder = DatasetFolder(photos.parent / "out")
    candidates = candidates_folder(folder)
    every = [record for mark in candidates.marks() for record in records(candidates, mark.name, RULES)]
    refused = [replace(one, refused_flag=("upscaled", 0.9)) if "dark" in one.source else one for one in every]
    before, after, again = (
        plan_pairs(folder, None, Crawl.of(some), NOTHING_KNOWN, RULES) for some in (every, refused, every)
    )
    assert before[0].plan_digest != after[0].plan_digest
    assert sum(task.size for task in before[1]) > sum(task.size for task in after[1]) > 0
    assert again == before
    assert curate(photos, folder.root) == found


def test_what_an_existing_set_shows_is_rejected_and_that_set_stays(tmp_path: Path, photos: Path) -> None:
    curate(photos, tmp_path / "old")
    crops = {"crop": scene(2)[40:440, 60:660], "new": scene(7)}
    found = curate(write(tmp_path / "more", crops), tmp_path / "new", against=tmp_path / "old")
    assert (found["crop"]["reason"], found["crop"]["keep"]) == ("altered", False)
    assert "of the existing set" in found["crop"]["message"]
    assert found["new"]["keep"]


def test_every_file_of_a_curation_is_known_as_its_own(photos: Path, found: dict[str, dict[str, Any]]) -> None:
    assert len(found) == 6
    root = photos.parent / "out"
    names = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    of_parts = [name.removeprefix("candidates/").removeprefix("compared/") for name in names]
    assert "plan/pairs.parquet" in of_parts
    assert [name for name in of_parts if not is_own(name)] == [MANIFEST]
    assert is_half_written("plan/.pairs.parquet.123.tmp")
