from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from pipelines.compose.job import run_compose
from pipelines.executor.runner import LocalRunner
from tests.pipelines.composing import QUICK, job_of, rows


def test_most_samples_keep_their_background_and_every_byte(synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    """A larger folder of backgrounds is another run; samples that no new background wins are the same rows."""
    photos = sorted(path for path in (synthetic / "photos").iterdir() if path.stem.startswith("photo"))
    made = []
    for count in (len(photos) - 1, len(photos)):
        folder = tmp_path / f"backgrounds-{count}"
        folder.mkdir()
        for path in photos[:count]:
            shutil.copy(path, folder / path.name)
        out = tmp_path / f"out-{count}"
        run_compose(job_of(synthetic / "matting", folder, out, replace(QUICK, k=4), seed=1), LocalRunner())
        made.append({row["sample_id"]: row for row in rows(out)})
    before, after = made
    assert before.keys() == after.keys()
    kept = [name for name in before if before[name]["background_id"] == after[name]["background_id"]]
    assert all(before[name] == after[name] for name in kept)
    assert len(before) / 2 < len(kept) < len(before)
