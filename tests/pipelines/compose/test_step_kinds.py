"""Steps of every kind, through a whole composition: drawn, measured, stored, rolled again, replayed and shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from pydantic import Field

from pipelines.compose.job import Output, run_compose
from pipelines.executor.runner import LocalRunner
from pipelines.inspect.inspect import ReportOptions, run_inspect
from pipelines.inspect.replay import run_replay
from rssn.image.arrays import Image, to_float, to_uint8
from rssn.image.decoding import decode_image, decode_pixels
from rssn.route import compose as route
from rssn.route.recipe import Recipe
from rssn.route.step import Step, Values
from rssn.sources.mattes import read_matte
from rssn.storage.settings import settings
from tests.pipelines.composing import job_of, rows


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
