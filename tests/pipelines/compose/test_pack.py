from __future__ import annotations

from pathlib import Path

import numpy as np

from pipelines.compose.job import Output
from pipelines.compose.pack import PackJob, run_pack
from pipelines.executor.ray_runner import RayRunner
from pipelines.executor.runner import LocalRunner
from pipelines.executor.work import ErrorBudget
from pipelines.inspect.inspect import run_inspect
from rssn.image.arrays import to_uint8
from rssn.image.decoding import decode_image
from rssn.route import compose as route
from rssn.route.foreground import estimate_foreground
from rssn.route.recipe import load_recipe
from rssn.sources.mattes import read_matte
from tests.pipelines.composing import digests, rows


def job(synthetic: Path, out: Path) -> PackJob:
    return PackJob(synthetic / "matting", out, load_recipe("ori"), ErrorBudget(), Output(codec="png"))


def test_layers_are_the_closed_form_and_blend_back_to_the_photograph(synthetic: Path, tmp_path: Path) -> None:
    run_pack(job(synthetic, tmp_path / "ori"), LocalRunner())
    for row in rows(tmp_path / "ori"):
        image, foreground, background = (decode_image(row[n]["bytes"]) for n in ("image", "foreground", "background"))
        alpha = read_matte(row["alpha"]["bytes"]).alpha
        expected = estimate_foreground(image, alpha)
        assert np.array_equal(to_uint8(expected[0]), to_uint8(foreground))
        assert np.array_equal(to_uint8(expected[1]), to_uint8(background))
        residual = np.abs(route.blend(foreground, background, alpha) - image)
        assert residual.mean() < 3 / 255
        assert residual[(alpha == 0) | (alpha == 1)].max() < 1e-6


def test_workers_change_no_byte_and_a_second_run_does_nothing(
    synthetic: Path, tmp_path: Path, ray_runner: RayRunner
) -> None:
    run_pack(job(synthetic, tmp_path / "one"), LocalRunner())
    run_pack(job(synthetic, tmp_path / "two"), ray_runner)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    again = run_pack(job(synthetic, tmp_path / "one"), LocalRunner())
    assert (again.written, again.reused) == (0, 3)


def test_it_is_a_data_set_like_any_other(synthetic: Path, tmp_path: Path) -> None:
    run_pack(job(synthetic, tmp_path / "ori"), LocalRunner())
    found = run_inspect(tmp_path / "ori")
    assert found.problems == []
    assert found.facts["rows"] == 3
