from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pipelines.compose.layers as layers_module
from pipelines.compose.job import Output, run_compose
from pipelines.compose.layer_cache import LayerCache
from pipelines.compose.pack import PackJob, run_pack
from pipelines.executor.runner import LocalRunner
from pipelines.executor.work import ErrorBudget
from pipelines.inspect.inspect import ReportOptions, run_inspect
from pipelines.inspect.recompose import Recomposed, open_sources
from pipelines.inspect.step_strips import GAIN, STRIP_SIDE, blend_difference, step_strip
from rssn.dataset.dataset import open_dataset
from rssn.errors import DependencyError
from rssn.image.arrays import Pixels, encode_png, to_float, to_uint8
from rssn.image.decoding import decode_pixels
from rssn.route import denoise as denoise_module
from rssn.route.recipe import load_recipe
from tests.pipelines.composing import RECIPE, job_of, rows


def _layers(height: int = 700, width: int = 40) -> tuple[Pixels, Pixels, Pixels, Pixels]:
    dice = np.random.default_rng(3)
    alpha = dice.integers(0, 256, (height, width), np.uint8)
    foreground, background = (dice.integers(60, 190, (height, width, 3), np.uint8) for _ in range(2))
    share = alpha[..., None] / 255
    blend = np.rint(share * foreground + (1 - share) * background).astype(np.uint8)
    return alpha, foreground, background, blend


def test_a_blend_of_its_layers_has_no_difference() -> None:
    alpha, foreground, background, blend = _layers()
    found = blend_difference(blend, encode_png(alpha), foreground, background)
    assert abs(found.mean) < 0.02
    assert found.deviation == pytest.approx(1 / 12**0.5, rel=0.05)
    assert found.pixels.max() <= GAIN / 2


def test_what_was_added_is_measured_and_shown() -> None:
    alpha, foreground, background, blend = _layers()
    brighter = blend_difference(blend + 5, encode_png(alpha), foreground, background)
    assert brighter.mean == pytest.approx(5, abs=0.02)
    assert np.abs(brighter.pixels.astype(int) - 5 * GAIN).max() <= GAIN / 2 + 1
    noise = np.random.default_rng(0).normal(0, 10, blend.shape)
    noisy = np.clip(np.rint(blend + noise), 0, 255).astype(np.uint8)
    found = blend_difference(noisy, encode_png(alpha), foreground, background)
    assert found.deviation == pytest.approx(10, rel=0.02)
    assert found.pixels.max() == 255


class Strip:
    """Reads a strip's tiles back, where pictures are smaller than a tile and so are shown pixel by pixel."""

    def __init__(self, row: dict[str, Any], again: Recomposed | str) -> None:
        self.sheet = step_strip(row, RECIPE, again)
        self._shape = (row["height"], row["width"])
        self._tops = [10]
        for name in ("background", "image"):  # each stands in a line of its own
            stored = decode_pixels(row[name]["bytes"])
            self._tops += [
                next(
                    top
                    for top in range(self._tops[-1], self.sheet.shape[0])
                    if any(np.array_equal(self.tile(top, column), stored) for column in range(4))
                )
            ]

    def tile(self, top: int, column: int) -> Pixels:
        left = 10 + column * (STRIP_SIDE + 10)
        return self.sheet[top : top + self._shape[0], left : left + self._shape[1]]

    def shows(self, line: int, column: int, pixels: Pixels) -> bool:
        return np.array_equal(self.tile(self._tops[line], column), pixels)

    def is_empty(self, line: int, column: int) -> bool:
        """Words on paper: no picture is so pale."""
        return bool((self.tile(self._tops[line], column) == (250, 250, 248)).all(axis=2).mean() > 0.7)


@pytest.fixture(scope="module")
def shards(synthetic: Path, bg20k: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every combination of steps, losslessly, so that tiles can be compared value by value."""
    out = tmp_path_factory.mktemp("steps") / "shards"
    matting = Path(shutil.copytree(synthetic / "matting", out.parent / "matting"))
    cache = LayerCache(out.parent / "cache", 1 << 30)
    run_compose(job_of(matting, bg20k, out, replace(RECIPE, k=8), cache=cache, output=Output("png")), LocalRunner())
    return out


@pytest.mark.slow
def test_every_step_that_was_drawn_is_shown_and_no_other(shards: Path) -> None:
    sources = open_sources(open_dataset(shards), LayerCache(shards, 0))
    seen: set[tuple[bool, ...]] = set()
    for row in rows(shards):
        combination = tuple(row["steps"][name] is not None for name in ("denoise", "blur", "noise"))
        if combination in seen:
            continue
        seen.add(combination)
        denoised, blurred, noisy = combination
        again = Recomposed(row, sources)
        strip = Strip(row, again)
        stored = {name: decode_pixels(row[name]["bytes"]) for name in ("image", "foreground", "background")}
        assert strip.shows(0, 0, decode_pixels((shards.parent / "matting" / row["foreground_source"]).read_bytes()))
        assert strip.shows(0, 1, decode_pixels(row["alpha"]["bytes"]))
        assert strip.shows(0, 2, to_uint8(again.layer("foreground", 0)))
        assert strip.shows(0, 3, stored["foreground"]) is denoised
        assert strip.is_empty(0, 3) is not denoised
        assert strip.shows(1, 0, to_uint8(again.layer("background", 0)))
        assert strip.shows(1, 1, to_uint8(again.layer("background", 1))) is denoised
        assert strip.is_empty(1, 1) is not denoised
        assert strip.shows(1, 2, stored["background"]) is blurred
        assert strip.is_empty(1, 2) is not blurred
        assert strip.shows(2, 0, stored["image"]) is not noisy
        assert strip.shows(2, 1, stored["image"]) is noisy
        assert strip.is_empty(2, 1) is not noisy
        assert np.abs(again.composite(0) - to_float(stored["image"])).max() < (0.003 if not noisy else 0.3)
        assert {name: value["bytes"] for name, value in again.pictures().items()} == {
            name: row[name]["bytes"] for name in again.pictures()
        }
    assert len(seen) == 8


def test_what_cannot_be_made_again_is_left_empty_and_the_rest_is_shown(shards: Path) -> None:
    row = next(row for row in rows(shards) if row["steps"]["denoise"] and row["steps"]["blur"])
    strip = Strip(row, "the plan is gone")
    for place in ((0, 0), (0, 2), (1, 0), (1, 1)):
        assert strip.is_empty(*place)
    assert strip.shows(0, 3, decode_pixels(row["foreground"]["bytes"]))
    assert strip.shows(1, 2, decode_pixels(row["background"]["bytes"]))


def test_a_missing_denoiser_leaves_one_tile_empty(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise DependencyError("not installed")

    monkeypatch.setattr(denoise_module, "backend_version", missing)
    row = next(row for row in rows(shards) if row["steps"]["denoise"] and row["steps"]["blur"])
    strip = Strip(row, Recomposed(row, open_sources(open_dataset(shards), LayerCache(shards, 0))))
    assert [strip.is_empty(*place) for place in ((0, 0), (0, 2), (1, 0), (1, 1))] == [False, False, False, True]


def test_the_report_makes_nothing_again_that_the_cache_holds(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("the cache holds it")

    for module, name in ((layers_module, "estimate_layers"), (denoise_module, "denoise")):
        monkeypatch.setattr(module, name, fail)
    said: list[str] = []
    found = run_inspect(shards, ReportOptions(1, 24, LayerCache(shards.parent / "cache", 1 << 30), said.append))
    strips = [path for path in found.sheets if path.name.startswith("step-strip")]
    assert (len(strips), said, found.problems) == (24, [], [])
    sources = open_sources(open_dataset(shards), LayerCache(shards.parent / "cache", 1 << 30))
    assert {Recomposed(row, sources).cost(whole=True) for row in rows(shards)} == {0.0}


def test_the_report_says_beforehand_what_takes_long(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.inspect.step_strips._LONG_SECONDS", 1e-4)
    said: list[str] = []
    run_inspect(shards, ReportOptions(1, 24, log=said.append))
    assert {line.split()[1] for line in said} == {row["sample_id"] for row in rows(shards) if row["steps"]["denoise"]}
    assert all(line.endswith("--strips 0 does without") for line in said)
    assert [path for path in run_inspect(shards, ReportOptions(1, 0)).sheets if "strip" in path.name] == []


def test_a_source_that_is_gone_fails_no_report(shards: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(shards, tmp_path / "shards"))
    (shards.parent / "matting").rename(shards.parent / "elsewhere")
    try:
        found = run_inspect(copy, ReportOptions(2, 2))
    finally:
        (shards.parent / "elsewhere").rename(shards.parent / "matting")
    assert found.problems == []
    shutil.rmtree(copy / "plan")
    assert len([p for p in run_inspect(copy, ReportOptions(2, 2)).sheets if "strip" in p.name]) == 2


def test_packed_photographs_show_their_layers(synthetic: Path, tmp_path: Path) -> None:
    run_pack(PackJob(synthetic / "matting", tmp_path, load_recipe("ori"), ErrorBudget(), Output("png")), LocalRunner())
    row = next(rows(tmp_path))
    strip = Strip(row, "")
    for column, name in enumerate(("image", "alpha", "foreground", "background")):
        assert strip.shows(0, column, decode_pixels(row[name]["bytes"]))
