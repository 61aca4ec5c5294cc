from __future__ import annotations

import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

from pipelines.compose.dry_run import cost, forecast
from pipelines.compose.job import run_compose
from pipelines.executor.runner import LocalRunner
from rssn.dataset.rows import iter_rows
from rssn.dataset.shards import DatasetFolder
from rssn.route.steps.denoise import Denoise
from tests.pipelines.composing import PLAIN, RECIPE, files, job_of, rows


def test_the_forecast_comes_true(synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    job = job_of(synthetic / "matting", bg20k, tmp_path / "out", RECIPE)
    text = "\n".join(forecast(job))
    assert not (tmp_path / "out").exists()
    run_compose(job, LocalRunner())
    found = list(rows(tmp_path / "out"))
    sizes = Counter(blur["size"] for row in found if (blur := row["steps"]["blur"]))
    assert "3 foregrounds (am2k)" in text
    assert f"\n{len(found)} composites\n" in text
    for name in ("denoise", "blur", "noise"):
        assert f"{name}: {sum(row['steps'][name] is not None for row in found)} of 12" in text
    assert all(f"{count} x {size} px" in text for size, count in sizes.items())
    assert f"{len(DatasetFolder(tmp_path / 'out').marks())} shards" in text
    first = found[0]
    assert f"{first['sample_id']}  {first['foreground_source']} on {first['background_source']}" in text


def test_what_cannot_be_composed_is_forecast(synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    job = job_of(synthetic / "matting", bg20k, tmp_path / "out", replace(PLAIN, max_upscale=1.0, k=9))
    text = "\n".join(forecast(job))
    run_compose(job, LocalRunner())
    short = 27 - len(list(rows(tmp_path / "out")))
    assert short > 0
    assert f"{short} composites without enough eligible backgrounds" in text


def test_what_is_done_already_is_subtracted(synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    job = job_of(synthetic / "matting", bg20k, tmp_path / "out", RECIPE)
    folder = DatasetFolder(job.out)
    run_compose(job, LocalRunner())
    assert {"3 shards are done already; 0 composites are left, and count from here on", "nothing is left to do"} <= {
        *forecast(job)
    }
    folder.mark("composites-00001-of-00003").unlink()
    folder.data("composites-00002-of-00003").write_bytes(b"damaged")
    before = files(job.out)
    text = "\n".join(forecast(job))
    assert files(job.out) == before
    assert "\n12 composites\n" in text
    assert "would make again, because it does not match its mark: composites-00002-of-00003\n" in text
    assert "1 shards are done already; 8 composites are left" in text
    stood = list(iter_rows(folder.data("composites-00000-of-00003")))
    left = [row for row in forecast(replace(job, overwrite=True), 12) if row.startswith("  ")]
    assert len(left) == 12
    assert [row for row in forecast(job, 12) if row.startswith("  ")] == left[len(stood) :]


def test_a_retry_is_forecast_to_try_what_was_refused(synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    shutil.copytree(synthetic / "matting", tmp_path / "matting")
    broken = sorted((tmp_path / "matting" / "original").iterdir())[0]
    broken.write_bytes(broken.read_bytes()[:3000])
    job = job_of(tmp_path / "matting", bg20k, tmp_path / "out", PLAIN)
    run_compose(job, LocalRunner())
    assert "3 shards are done already; 0 composites are left, and count from here on" in forecast(job)
    retry = forecast(replace(job, retry_rejects=True))
    assert "3 shards are done already; 2 composites are left, and count from here on" in retry
    assert sum(f"{broken.name} on " in line for line in retry) == 2


def test_an_extension_is_forecast(synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    shutil.copytree(synthetic / "matting", tmp_path / "matting")
    job = job_of(tmp_path / "matting", bg20k, tmp_path / "out", PLAIN, extend=True)
    run_compose(job, LocalRunner())
    for folder in ("original", "mask"):
        new = next((synthetic / "evaluation" / folder).iterdir())
        shutil.copy(new, (tmp_path / "matting" / folder / "new").with_suffix(new.suffix))
    text = forecast(job)
    assert text[0].startswith("would add 1 foreground to 3: 4 foregrounds (am2k)")
    assert "3 shards are done already; 2 composites are left, and count from here on" in text
    assert sum(" on " in line for line in text if line.startswith("  ")) == 2


def test_dearer_recipes_cost_more(synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    def minutes(recipe):  # type: ignore[no-untyped-def]
        text = "\n".join(forecast(job_of(synthetic / "matting", bg20k, tmp_path / "out", recipe)))
        return float(re.search(r"([\d.]+) CPU-minutes", text)[1])  # type: ignore[index]

    bm3d = replace(PLAIN, steps=(Denoise(1.0, backend="bm3d"),))
    assert minutes(bm3d) > minutes(PLAIN)
    costs = [cost(job_of(synthetic / "matting", bg20k, tmp_path / "out", recipe)) for recipe in (bm3d, RECIPE, PLAIN)]
    assert costs[0] > costs[1] > costs[2] > 0
