from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import EntryPoint
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest

import rssn.route.steps
from rssn.errors import InputError, Rejected
from rssn.image.arrays import Image
from rssn.route.draw import roll
from rssn.route.recipe import Recipe
from rssn.route.step import Applied, CutOut, Scene, Step, Values
from rssn.route.steps import find_step, shipped_steps
from rssn.storage.settings import settings


@settings
class Good(Step):
    """Does nothing."""

    name: ClassVar = "good"
    acts_on: ClassVar = "foreground"
    stage: ClassVar = "frame"
    reference: ClassVar = "this test"

    def draw(self, dice: np.random.Generator) -> Values:
        return {}

    def apply(self, pixels: Image, values: Values) -> Image:
        return pixels

    def describe(self, values: Values) -> str:
        return "done"

    @property
    def cpu_seconds(self) -> float:
        return 0.0


class Unsaid(Step):
    draw, apply, describe, cpu_seconds = Good.draw, Good.apply, Good.describe, Good.cpu_seconds


class Cached(Good):
    cached = True


class Late(Good):
    stage = "composite"


class Alike(Good):
    also_on_layers = True


class Unplaced(Good):
    stage = "layers"


class Nowhere(Good):
    acts_on = "alpha"


class Blends(Good):
    name = "blend"


class Idle(Good):
    apply = Step.apply


class Unmoved(Good):
    acts_on, stage = "cut-out", "placement"


class Moved(Good):
    acts_on = "cut-out"


class Takes(Good):
    takes_other = True


def _offer(monkeypatch: pytest.MonkeyPatch, kind: str, offered: str = "good") -> None:
    entry = EntryPoint(offered, f"{__name__}:{kind}", "rssn.steps")
    monkeypatch.setattr(EntryPoint, "load", lambda self: eval(self.value.rpartition(":")[2], globals()))  # noqa: S307
    monkeypatch.setattr(rssn.route.steps, "entry_points", lambda group, name=offered: [entry] * (name == offered))


def test_the_steps_that_ship_stand_in_the_order_of_the_route() -> None:
    names = [
        "denoise",
        "merge",
        "place",
        "blur",
        "bokeh",
        "harmonise",
        "match-grain",
        "match-sharpness",
        "grain",
        "jpeg",
        "noise",
    ]
    assert list(shipped_steps()) == names


def test_a_step_of_a_package_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    _offer(monkeypatch, "Good")
    assert find_step("good") is Good
    assert find_step("blur") is shipped_steps()["blur"]


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("Good", "other", "calls itself 'good'; that must be the entry point's name"),
        ("Blends", "blend", "calls itself 'blend'; that must be the entry point's name, and not 'blend'"),
        ("Cached", "good", "says cached, which only steps at the stage source can"),
        ("Unplaced", "good", "acts on foreground at the stage layers; see rssn.route.step for both"),
        ("Nowhere", "good", "acts on alpha at the stage frame; see rssn.route.step for both"),
        ("Late", "good", "acts on foreground at the stage composite"),
        ("Alike", "good", "says also_on_layers, which only steps at the stage composite can"),
        ("Idle", "good", "has no method apply or apply_to_scene; mend"),
        ("Unmoved", "good", "has no method apply_to_cut_out; mend"),
        ("Moved", "good", "acts on cut-out at the stage frame; a cut-out is there at the stage placement alone"),
        ("Takes", "good", "says takes_other, which only steps at the stage placement can"),
        ("Unsaid", "good", "does not say its name, acts_on, stage, reference"),
        ("Step", "good", "is no rssn.route.step.Step with all its methods"),
        ("np", "good", "is no rssn.route.step.Step with all its methods"),
        ("nothing_of_this_name", "good", "cannot be loaded: name 'nothing_of_this_name' is not defined"),
    ],
)
def test_what_is_no_step_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, kind: str, name: str, words: str) -> None:
    _offer(monkeypatch, kind, name)
    with pytest.raises(InputError, match=f"^the step '{name}' of .*{words}"):
        find_step(name)


def test_a_step_that_makes_no_picture_of_the_same_size_is_refused() -> None:
    class Shrinks(Good):
        def apply(self, pixels: Image, values: Values) -> Image:
            return pixels[::2]

    with pytest.raises(Rejected, match=r"the step 'good' makes \(2, 5, 3\) float32 of \(4, 5, 3\) float32"):
        Applied(Shrinks(), {})(np.zeros((4, 5, 3), np.float32))


def test_a_step_that_makes_a_scene_or_a_cut_out_of_another_size_is_refused() -> None:
    class Crops(Good):
        def apply_to_scene(self, scene: Scene, values: Values) -> Scene:
            return replace(scene, background=scene.background[:, 1:])

        def apply_to_cut_out(self, cut_out: CutOut, values: Values, others: Iterable[CutOut]) -> CutOut:
            return CutOut(cut_out.foreground, cut_out.alpha[1:])

    picture, alpha = np.zeros((4, 5, 3), np.float32), np.zeros((4, 5), np.float32)
    with pytest.raises(Rejected, match=r"makes \(4, 4, 3\) float32 of \(4, 5, 3\) float32"):
        Applied(Crops(), {}).on_scene(Scene(picture, picture, alpha))
    with pytest.raises(Rejected, match=r"makes \(3, 5\) float32 of \(4, 5\) float32"):
        Applied(Crops(), {}).on_cut_out(CutOut(picture, alpha), ())


def test_a_scene_keeps_its_alpha_whatever_a_step_does() -> None:
    class Fades(Good):
        def apply_to_scene(self, scene: Scene, values: Values) -> Scene:
            return replace(scene, foreground=scene.foreground + 1, alpha=scene.alpha + 1)

    picture, alpha = np.zeros((4, 5, 3), np.float32), np.zeros((4, 5), np.float32)
    made = Applied(Fades(), {}).on_scene(Scene(picture, picture, alpha))
    assert made.alpha is alpha
    assert made.foreground.min() == 1


def test_a_step_that_draws_what_it_has_no_column_for_is_refused() -> None:
    class Draws(Good):
        def draw(self, dice: np.random.Generator) -> Values:
            return {"x": 1.0}

    with pytest.raises(InputError, match="the step 'good' draws x, its columns are none; mend the package"):
        roll(Recipe("r", steps=(Draws(),)), 1)


class Rounds(Good):
    columns: ClassVar = {"x": pa.float32(), "many": pa.list_(pa.int32())}

    def draw(self, dice: np.random.Generator) -> Values:
        return {"x": 0.1, "many": (1, 2)}


def test_values_are_rolled_as_rows_give_them_back() -> None:
    values = roll(Recipe("r", steps=(Rounds(1.0),)), 1).steps["good"]
    assert values == {"x": float(np.float32(0.1)), "many": [1, 2]}


def test_a_name_that_two_packages_offer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _offer(monkeypatch, "Good", "blur")
    with pytest.raises(InputError, match=r"the step 'blur' is offered by rssn and by .*; remove all but one"):
        find_step("blur")
