from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from pipelines.compose import run_compose
from pipelines.forecast import forecast
from pipelines.runner import LocalRunner
from rssn.shards import DatasetFolder
from tests.pipelines.composing import PLAIN, RECIPE, job_of, rows


def test_the_forecast_comes_true(studio: Path, bg20k: Path, tmp_path: Path) -> None:
    job = job_of(studio / "matting", bg20k, tmp_path / "out", RECIPE)
    text = "\n".join(forecast(job))
    assert not (tmp_path / "out").exists()
    run_compose(job, LocalRunner())
    found = list(rows(tmp_path / "out"))
    sizes = Counter(row["blur_size"] for row in found if row["blur_size"])
    assert "3 foregrounds (am2k)" in text
    assert f"{len(found)} composites; 0 composites without enough" in text
    assert f"{sum(row['denoised'] for row in found)} denoised, {sizes.total()} blurred" in text
    assert all(f"{count} x {size} px" in text for size, count in sizes.items())
    assert f"{sum(row['noise_sigma'] > 0 for row in found)} with noise" in text
    assert f"{len(DatasetFolder(tmp_path / 'out').marks())} shards" in text
    first = found[0]
    assert f"{first['sample_id']}  {first['foreground_source']} on {first['background_source']}" in text


def test_what_cannot_be_composed_is_forecast(studio: Path, bg20k: Path, tmp_path: Path) -> None:
    job = job_of(studio / "matting", bg20k, tmp_path / "out", replace(PLAIN, max_upscale=1.0, k=3))
    text = "\n".join(forecast(job))
    run_compose(job, LocalRunner())
    short = 9 - len(list(rows(tmp_path / "out")))
    assert f"{short} composites without enough eligible backgrounds" in text


def test_dearer_recipes_cost_more(studio: Path, bg20k: Path, tmp_path: Path) -> None:
    def minutes(recipe):  # type: ignore[no-untyped-def]
        text = "\n".join(forecast(job_of(studio / "matting", bg20k, tmp_path / "out", recipe)))
        return float(re.search(r"([\d.]+) CPU-minutes", text)[1])  # type: ignore[index]

    bm3d = replace(RECIPE, denoise=replace(RECIPE.denoise, probability=1, backend="bm3d"))
    assert minutes(bm3d) > minutes(PLAIN)
