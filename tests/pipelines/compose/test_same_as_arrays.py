"""`rssn.compose` on arrays gives the draws and the pixels of the command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rssn as api
from pipelines.compose.job import Output, run_compose
from pipelines.executor.runner import LocalRunner
from rssn.image.arrays import to_uint8
from rssn.image.decoding import background_pixels, decode_pixels, open_header
from rssn.route.steps.denoise import Denoise
from rssn.sources.backgrounds import background_bytes, find_backgrounds
from rssn.sources.layouts import find_pairs
from rssn.sources.matting import load_pair
from tests.pipelines.composing import RECIPE, job_of, rows


@pytest.mark.parametrize("sigma", [10.0, "auto"])
def test_arrays_are_composed_as_the_command_composes_files(
    synthetic: Path, bg20k: Path, tmp_path: Path, sigma: float | str
) -> None:
    steps = [replace(step, sigma=sigma) if isinstance(step, Denoise) else step for step in RECIPE.steps]
    recipe = replace(RECIPE, steps=tuple(steps), foreground="multiply")
    output = Output("png")
    run_compose(job_of(synthetic / "matting", bg20k, tmp_path / "out", recipe, seed=5, output=output), LocalRunner())
    pairs = {sample.foreground_id: sample for sample in map(load_pair, find_pairs(synthetic / "matting").pairs)}
    backgrounds = {each.background_id: each for each in find_backgrounds(bg20k)[0]}
    stored = list(rows(tmp_path / "out"))
    assert len(stored) == 12
    for row in stored:
        pair, data = pairs[row["foreground_id"]], background_bytes(backgrounds[row["background_id"]])
        sample = api.compose(
            image=to_uint8(pair.picture),
            alpha=to_uint8(pair.alpha),
            background=background_pixels(open_header(data)),
            recipe=recipe,
            seed=5,
            foreground_id=row["foreground_id"],
            k=row["k"],
        )
        assert sample.drawn.seed == row["draw_seed"]
        assert sample.foreground_method == row["foreground_method"]
        for name in ("image", "foreground", "background"):
            assert np.array_equal(getattr(sample, name), decode_pixels(row[name]["bytes"])), name
