"""`rssn.compose` on arrays gives the draws and the pixels of the command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rssn as api
from pipelines.compose.job import Output, run_compose
from pipelines.executor.runner import LocalRunner
from rssn.errors import InputError
from rssn.image.arrays import to_float, to_uint8
from rssn.image.decoding import background_pixels, decode_pixels, open_header
from rssn.route.recipe import Recipe
from rssn.route.steps.denoise import Denoise
from rssn.route.steps.harmonise import Harmonise
from rssn.route.steps.merge import Merge
from rssn.route.steps.place import Place
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


def test_arrays_are_placed_and_merged_as_the_command_does_it(synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    steps = (Place(0.5, sizes=(0.4, 0.8)), Merge(0.7, sizes=(0.3, 0.6)), Harmonise(0.5))
    recipe = Recipe("scenes", k=3, foreground="multiply", max_upscale=4.0, steps=steps)
    output = Output("png")
    run_compose(job_of(synthetic / "matting", bg20k, tmp_path / "out", recipe, seed=5, output=output), LocalRunner())
    pairs = {sample.foreground_id: sample for sample in map(load_pair, find_pairs(synthetic / "matting").pairs)}
    cut_outs = {
        name: (api.estimate_foreground(pair.picture, pair.alpha, method="multiply")[0], pair.alpha)
        for name, pair in pairs.items()
    }
    backgrounds = {each.background_id: each for each in find_backgrounds(bg20k)[0]}
    stored = list(rows(tmp_path / "out"))
    assert sum(row["steps"]["merge"] is not None for row in stored) >= 3
    for row in stored:
        pair, data = pairs[row["foreground_id"]], background_bytes(backgrounds[row["background_id"]])
        arrays = {
            "image": pair.picture,
            "alpha": pair.alpha,
            "background": to_float(background_pixels(open_header(data))),
            "recipe": recipe,
            "seed": 5,
            "foreground_id": row["foreground_id"],
            "k": row["k"],
        }
        taken = row["steps"]["merge"]
        if taken:
            with pytest.raises(InputError, match="takes another foreground; give other, a pair of its F"):
                api.compose(**arrays)
        sample = api.compose(**arrays, other=cut_outs[taken["other_id"]] if taken else None)
        for name in ("image", "foreground", "background"):
            assert np.array_equal(to_uint8(getattr(sample, name)), decode_pixels(row[name]["bytes"])), name
        assert np.array_equal(to_uint8(sample.alpha), decode_pixels(row["alpha"]["bytes"])[..., 0])
