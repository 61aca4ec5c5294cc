"""Steps of every kind, through a whole composition: drawn, measured, stored, rolled again, replayed and shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from pydantic import Field

from pipelines.compose.job import Output, run_compose
from pipelines.compose.plan import load_plan
from pipelines.executor.runner import LocalRunner
from pipelines.inspect.inspect import ReportOptions, run_inspect
from pipelines.inspect.replay import run_replay
from rssn.image.arrays import Image, encode_pixels, to_float, to_uint8
from rssn.image.decoding import decode_image, decode_pixels
from rssn.route import compose as route
from rssn.route.recipe import Recipe
from rssn.route.step import Step, Values
from rssn.route.steps.denoise import Denoise
from rssn.route.steps.harmonise import Harmonise
from rssn.route.steps.match_sharpness import MatchSharpness
from rssn.route.steps.merge import Merge
from rssn.route.steps.noise import Noise
from rssn.route.steps.place import Place
from rssn.sources.mattes import read_matte
from rssn.storage.settings import settings
from tests.pipelines.composing import job_of, rejects, rows
from tests.rssn.route.test_placement import disc


class _Plain(Step):
    reference: ClassVar = "these tests"

    def draw(self, dice: np.random.Generator) -> Values:
        return {"gain": float(dice.choice([0.5, 0.75]))}

    def apply(self, pixels: Image, values: Values) -> Image:
        return pixels * np.float32(values["gain"])

    def describe(self, values: Values) -> str:
        return f"times {values['gain']:g}"

    @property
    def cpu_seconds(self) -> float:
        return 0.01


@settings
class Level(_Plain):
    """Brings both layers to one mean, as each photograph needs it."""

    name: ClassVar = "level"
    acts_on: ClassVar = "layers"
    stage: ClassVar = "source"
    measured: ClassVar = {"gain": pa.float64()}
    columns: ClassVar = {}

    target: Annotated[float, Field(ge=0, le=1)] = 0.3

    def draw(self, dice: np.random.Generator) -> Values:
        return {}

    def measure(self, photograph: Callable[[], Image]) -> Values:
        return {"gain": min(1.0, self.target / float(photograph().mean()))}

    def describe(self, values: Values) -> str:
        return "levelled"


@settings
class Dim(_Plain):
    """Darkens F."""

    name: ClassVar = "dim"
    acts_on: ClassVar = "foreground"
    stage: ClassVar = "frame"
    columns: ClassVar = {"gain": pa.float64()}


@settings
class Dusk(_Plain):
    """Darkens the composite, and its layers with it."""

    name: ClassVar = "dusk"
    acts_on: ClassVar = "composite"
    stage: ClassVar = "composite"
    columns: ClassVar = {"gain": pa.float64()}
    also_on_layers: ClassVar = True


@settings
class Negate(_Plain):
    """Draws nothing: turns B into its negative."""

    name: ClassVar = "negate"
    acts_on: ClassVar = "background"
    stage: ClassVar = "frame"

    def draw(self, dice: np.random.Generator) -> Values:
        return {}

    def apply(self, pixels: Image, values: Values) -> Image:
        return 1 - pixels

    def describe(self, values: Values) -> str:
        return "the negative"


RECIPE = Recipe("kinds", k=3, foreground="multiply", steps=(Level(0.5), Dim(0.5), Negate(0.5), Dusk(0.5)))


@pytest.fixture
def composed(synthetic: Path, bg20k: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    kinds = {"level": Level, "dim": Dim, "negate": Negate, "dusk": Dusk}
    monkeypatch.setattr("rssn.route.recipe.find_step", kinds.__getitem__)
    monkeypatch.setattr("rssn.route.recipe.step_names", lambda: list(kinds))
    out = tmp_path / "out"
    run_compose(job_of(synthetic / "matting", bg20k, out, RECIPE, output=Output("png")), LocalRunner())
    return out


def test_the_stored_layers_explain_the_composite_whatever_was_drawn(composed: Path) -> None:
    found = list(rows(composed))
    assert {row["steps"]["negate"] and row["steps"]["negate"]["drawn"] for row in found} == {None, True}
    assert len({tuple(row["steps"][name] is not None for name in ("level", "dim", "dusk")) for row in found}) >= 4
    for row in found:
        layers = (decode_image(row[name]["bytes"]) for name in ("foreground", "background"))
        blended = to_uint8(route.blend(*layers, read_matte(row["alpha"]["bytes"]).alpha)).astype(int)
        assert np.abs(blended - decode_pixels(row["image"]["bytes"])).max() <= 2


def test_the_foreground_is_the_photograph_after_its_steps(composed: Path, synthetic: Path) -> None:
    for row in rows(composed):
        photograph = to_float(decode_pixels((synthetic / "matting" / row["foreground_source"]).read_bytes()))
        level, dim, dusk = (row["steps"][name] for name in ("level", "dim", "dusk"))
        gain = level["foreground_gain"] if level else 1.0
        assert not level or gain == min(1.0, 0.3 / float(photograph.mean()))
        gain *= (dim or {"gain": 1.0})["gain"] * (dusk or {"gain": 1.0})["gain"]
        stored = to_float(decode_pixels(row["foreground"]["bytes"]))
        opaque = decode_pixels(row["alpha"]["bytes"])[..., 0] == 255
        assert np.abs(stored - np.float32(gain) * photograph)[opaque].max() <= 1.01 / 255


def test_rows_are_rolled_again_replayed_and_shown(composed: Path) -> None:
    found = run_inspect(composed, ReportOptions(2, 9))
    assert found.problems == []
    assert len([path for path in found.sheets if path.name.startswith("step-strip")]) == 9
    for row in rows(composed):
        assert run_replay(composed, row["sample_id"], None).differences == []


SCENES = Recipe(
    "scenes",
    k=3,
    foreground="multiply",
    max_upscale=4.0,
    steps=(
        Denoise(0.5, backend="nlmeans"),
        Place(0.7, canvas=1.25, sizes=(0.4, 0.8), max_upscale=2.0),
        Merge(0.7, sizes=(0.3, 0.6)),
        Harmonise(0.7),
        MatchSharpness(0.7),
        Noise(0.3, sigma=4.0),
    ),
)


@pytest.fixture
def scenes(synthetic: Path, bg20k: Path, tmp_path: Path) -> Path:
    out = tmp_path / "scenes"
    run_compose(job_of(synthetic / "matting", bg20k, out, SCENES, output=Output("png")), LocalRunner())
    return out


def test_steps_that_place_and_see_the_scene_are_stored_rolled_again_replayed_and_shown(scenes: Path) -> None:
    found = list(rows(scenes))
    drawn = Counter(name for row in found for name, values in row["steps"].items() if values)
    assert min(drawn[step.name] for step in SCENES.steps) >= 1
    assert run_inspect(scenes, ReportOptions(2, len(found))).problems == []
    for row in found:
        assert run_replay(scenes, row["sample_id"], None).differences == []


def test_the_layers_of_a_placed_scene_explain_it_and_have_its_size(scenes: Path) -> None:
    for row in rows(scenes):
        pictures = {name: decode_pixels(row[name]["bytes"]) for name in ("image", "foreground", "background", "alpha")}
        assert {each.shape[:2] for each in pictures.values()} == {(row["height"], row["width"])}
        if row["steps"]["noise"] is None:
            layers = (to_float(pictures[name]) for name in ("foreground", "background"))
            blended = to_uint8(route.blend(*layers, to_float(pictures["alpha"][..., 0]))).astype(int)
            assert np.abs(blended - pictures["image"]).max() <= 2


def test_a_placed_one_has_the_canvas_and_another_its_own_frame(scenes: Path) -> None:
    sizes = {one.foreground_id: (one.width, one.height) for one in load_plan(scenes).foregrounds}
    for row in rows(scenes):
        width, height = sizes[row["foreground_id"]]
        expected = (round(1.25 * width), round(1.25 * height)) if row["steps"]["place"] else (width, height)
        assert (row["width"], row["height"]) == expected


def test_the_other_foreground_is_named_and_is_another(scenes: Path) -> None:
    planned = {one.foreground_id: one for one in load_plan(scenes).foregrounds}
    merged = [row for row in rows(scenes) if row["steps"]["merge"]]
    for row in merged:
        taken = row["steps"]["merge"]
        assert taken["other_id"] != row["foreground_id"]
        assert taken["other_source"] == planned[taken["other_id"]].source
    assert len({row["steps"]["merge"]["other_id"] for row in merged}) > 1


def test_another_that_would_be_cut_off_is_passed_over_and_not_named(bg20k: Path, tmp_path: Path) -> None:
    """A portrait that is cut off at left, right and below has no place in a wide frame."""
    matting = tmp_path / "matting"
    matting.mkdir()
    portrait = (np.arange(120)[:, None] >= 20) * np.ones((1, 60), np.float32)
    wide = [disc((120, 80), (place, 40), 25) for place in (50, 70)]
    for name, alpha in zip(("portrait", "left", "right"), (portrait, *wide), strict=True):
        colours = np.random.default_rng(len(name)).integers(0, 255, (*alpha.shape, 3), dtype=np.uint8)
        (matting / f"{name}.png").write_bytes(encode_pixels(".png", colours, []))
        (matting / f"{name}_matte.png").write_bytes(encode_pixels(".png", to_uint8(alpha), []))
    recipe = Recipe("merged", k=6, foreground="multiply", max_upscale=9.0, steps=(Merge(1.0),))
    run_compose(job_of(matting, bg20k, tmp_path / "out", recipe), LocalRunner())
    taken = [(row["foreground_source"], row["steps"]["merge"]["other_source"]) for row in rows(tmp_path / "out")]
    assert Counter(taken)["left.png", "right.png"] == Counter(taken)["right.png", "left.png"] == 6
    assert len(taken) == 18
    assert rejects(tmp_path / "out") == []
