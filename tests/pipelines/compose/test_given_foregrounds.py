"""Pipeline 1, lines 2 to 9: F is computed where there is a photograph, and taken where the data set ships F alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest

from pipelines.compose.dry_run import forecast
from pipelines.compose.job import Output, run_compose
from pipelines.compose.layer_cache import LayerCache
from pipelines.compose.pack import PackJob, run_pack
from pipelines.executor.runner import LocalRunner
from pipelines.executor.work import ErrorBudget
from rssn.image.arrays import encode_png, to_uint8
from rssn.image.decoding import decode_image, decode_pixels
from rssn.route.foreground import estimate_foreground
from rssn.route.recipe import load_recipe
from rssn.route.steps.denoise import Denoise
from rssn.sources.mattes import read_matte
from tests.pipelines.composing import PLAIN, job_of, rejects, rows

Rssn = Callable[..., CompletedProcess[str]]


@pytest.fixture
def table(synthetic: Path, tmp_path: Path) -> Path:
    """The pairs by a table: the first row has photograph and F, the second F alone, the third a photograph."""
    shutil.copytree(synthetic / "matting", tmp_path / "matting")
    (tmp_path / "matting" / "fg").mkdir()
    stems = [path.stem for path in sorted((synthetic / "matting" / "original").iterdir())]
    for number, stem in enumerate(stems[:2]):
        shape = decode_pixels((tmp_path / "matting" / "original" / f"{stem}.jpg").read_bytes()).shape
        (tmp_path / "matting" / "fg" / f"{stem}.png").write_bytes(encode_png(np.full(shape, 90 + number, np.uint8)))
    cells = [(True, True), (False, True), (True, False)]
    lines = [
        f"{f'original/{stem}.jpg' if image else ''},{f'fg/{stem}.png' if given else ''},mask/{stem}.png"
        for stem, (image, given) in zip(stems, cells, strict=True)
    ]
    path = tmp_path / "matting" / "pairs.csv"
    path.write_text("\n".join(["image,foreground,alpha", *lines]))
    return path


def foregrounds(out: Path, grey: int) -> list[dict[str, Any]]:
    """Rows whose stored F is one flat grey, which only a shipped one is."""
    return [row for row in rows(out) if np.unique(decode_pixels(row["foreground"]["bytes"])).tolist() == [grey]]


@pytest.mark.parametrize("method", ["levin", "multilevel", "multiply"])
def test_f_is_computed_where_there_is_a_photograph(table: Path, bg20k: Path, tmp_path: Path, method: Any) -> None:
    recipe = replace(PLAIN, foreground=method)
    assert run_compose(job_of(table, bg20k, tmp_path / "out", recipe), LocalRunner()).rejected == 0
    assert [row["foreground_method"] for row in rows(tmp_path / "out")] == [method] * 2 + ["given"] * 2 + [method] * 2
    assert foregrounds(tmp_path / "out", 90) == []
    assert len(foregrounds(tmp_path / "out", 91)) == 2
    first = next(rows(tmp_path / "out"))
    picture = decode_image((table.parent / first["foreground_source"]).read_bytes())
    alpha = read_matte(first["alpha"]["bytes"]).alpha
    expected = to_uint8(estimate_foreground(picture, alpha, method)[0]).astype(int)
    assert np.abs(expected - decode_pixels(first["foreground"]["bytes"])).mean() < 3


def test_given_takes_f_wherever_it_ships_and_refuses_the_rest(table: Path, bg20k: Path, tmp_path: Path) -> None:
    job = job_of(table, bg20k, tmp_path / "out", replace(PLAIN, foreground="given"))
    assert "4 composites" in forecast(job)
    summary = run_compose(job, LocalRunner())
    assert (summary.written, summary.rejected) == (4, 1)
    assert {row["foreground_method"] for row in rows(tmp_path / "out")} == {"given"}
    assert len(foregrounds(tmp_path / "out", 90)) == len(foregrounds(tmp_path / "out", 91)) == 2
    (refused,) = rejects(tmp_path / "out")
    assert (refused["stage"], refused["reason"]) == ("foreground", "not_given")
    assert refused["message"].endswith("--foreground levin computes it, or add its F")


@pytest.mark.slow
def test_the_cache_tells_a_given_f_from_a_computed_one(table: Path, bg20k: Path, tmp_path: Path) -> None:
    denoised = replace(PLAIN, k=1, steps=(Denoise(1.0, backend="nlmeans"),))
    cache = LayerCache(tmp_path / "cache", 1 << 30)
    for method in ("levin", "given", "levin"):
        recipe = replace(denoised, foreground=method)  # type: ignore[arg-type]
        for name, kept in (("with", cache), ("without", LayerCache(tmp_path, 0))):
            out = tmp_path / f"{method}-{name}"
            run_compose(job_of(table, bg20k, out, recipe, cache=kept), LocalRunner())
        assert list(rows(tmp_path / f"{method}-with")) == list(rows(tmp_path / f"{method}-without"))


def test_a_data_set_without_f_is_refused_in_one_line(synthetic: Path, bg20k: Path, tmp_path: Path, rssn: Rssn) -> None:
    command = ["compose", "--matting", synthetic / "matting", "--backgrounds", bg20k, "--out", tmp_path / "out"]
    run = rssn(*command, "--foreground", "given", "--recipe", "comp-bg20k", "--workers", 0, "--cache-size", 0)
    assert run.returncode == 1
    assert "none of its 3 pairs can be composed" in run.stderr
    assert "--foreground levin computes it" in run.stderr
    assert not (tmp_path / "out").exists()


def test_the_command_line_overrides_the_recipes_method(table: Path, bg20k: Path, tmp_path: Path, rssn: Rssn) -> None:
    command = ["compose", "--matting", table, "--backgrounds", bg20k, "--out", tmp_path / "out", "--k", 1]
    run = rssn(*command, "--foreground", "multiply", "--recipe", "comp-bg20k", "--workers", 0, "--cache-size", 0)
    assert run.returncode == 1, run.stderr
    assert [row["foreground_method"] for row in rows(tmp_path / "out")] == ["multiply", "multiply"]
    (refused,) = rejects(tmp_path / "out")
    assert (refused["stage"], refused["reason"]) == ("foreground", "no_photograph")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["levin", "multilevel", "multiply"])
def test_a_method_that_was_asked_for_is_used_or_refused(shared: Path, tmp_path: Path, rssn: Rssn, method: str) -> None:
    case = shared / "cases/22-ppm-fg/PPM-100"
    command = ["compose", "--matting", case, "--backgrounds", case.parents[1] / "09-skipped-formats/bgs", "--k", 1]
    command += ["--recipe", "comp-coco", "--workers", 0, "--cache-size", 0, "--out", tmp_path / "out"]
    run = rssn(*command, "--foreground", method)
    assert run.returncode == 1
    assert f"none of its 2 pairs can be composed; the first: train/fg/14299080.jpg: --foreground {method}" in run.stderr
    assert rssn(*command).returncode == 0
    assert {row["foreground_method"] for row in rows(tmp_path / "out")} == {"given"}
    asked = [*command, "--foreground", method, "--matting-format", "fg-photographs"]
    run = rssn(*asked)
    assert "as F, not as now" in run.stderr
    assert rssn(*asked, "--overwrite").returncode == 0
    assert {row["foreground_method"] for row in rows(tmp_path / "out")} == {method}


def test_pack_estimates_both_layers_whatever_ships(table: Path, tmp_path: Path) -> None:
    job = PackJob(table, tmp_path / "ori", load_recipe("ori"), ErrorBudget(), Output())
    run_pack(job, LocalRunner())
    assert [row["foreground_method"] for row in rows(tmp_path / "ori")] == ["levin", "levin"]
    assert [row["reason"] for row in rejects(tmp_path / "ori")] == ["no_photograph"]
