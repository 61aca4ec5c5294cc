from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from rssn.route.compose import fitted_size, place_crop
from rssn.route.draw import draw
from rssn.route.draw_check import count_draws, mismatch
from rssn.route.recipe import Recipe
from rssn.route.steps.blur import Blur
from rssn.route.steps.denoise import Denoise
from rssn.route.steps.noise import Noise

RECIPE = Recipe("r", steps=(Denoise(), Blur(1.0, (20, 30)), Noise(0.0)))
SIZE = (640, 480)


def _row(**changes: Any) -> dict[str, Any]:
    drawn = draw(RECIPE, 3, "f", 1)
    values = {name: None if one is None else dict(one) for name, one in drawn.steps.items()}
    if values["denoise"] is not None:
        values["denoise"] |= {"foreground_sigma": 10.0, "background_sigma": 10.0}  # measured, not drawn
    crop = place_crop(fitted_size(SIZE, (300, 200), "cover"), (300, 200), drawn)
    row = {"foreground_id": "f", "k": 1, "width": 300, "height": 200, "recipe": RECIPE.label, "draw_seed": drawn.seed}
    return row | {"steps": values, "background_crop": asdict(crop)} | changes


def test_a_row_as_it_was_drawn_has_no_mismatch() -> None:
    assert mismatch(RECIPE, 3, _row(), SIZE) is None
    assert mismatch(RECIPE, 3, _row(), None) is None


def test_every_value_is_compared() -> None:
    row = _row()
    wrong = {
        "draw_seed": 1,
        "recipe": "other@0",
        "background_crop": row["background_crop"] | {"x": 99_999},
        "steps": row["steps"] | {"blur": {"size": 40}},
    }
    for name, value in wrong.items():
        words = mismatch(RECIPE, 3, row | {name: value}, SIZE)
        assert words is not None
        assert words.startswith(f"{'blur' if name == 'steps' else name} is ")
    assert mismatch(RECIPE, 4, row, SIZE) is not None


@pytest.mark.parametrize("steps", [None, {}])
def test_a_step_that_should_be_there_is_missed(steps: dict[str, Any] | None) -> None:
    words = mismatch(RECIPE, 3, _row(steps=steps), SIZE)
    assert words is not None
    assert "blur is None, the dice say {'size': " in words


def test_another_recipe_is_another_draw() -> None:
    assert "recipe is" in str(mismatch(replace(RECIPE, steps=(Blur(0.5),)), 3, _row(), SIZE))


def test_draws_are_counted_step_by_step() -> None:
    rows = [{"blur": {"size": size}, "denoise": None, "noise": None} for size in (20, 30, 20)]
    assert count_draws(RECIPE, rows) == {"denoise": "0 of 3", "blur": "3 of 3: 2 x 20 px, 1 x 30 px", "noise": "0 of 3"}
    many = [{"noise": {"sigma": float(n), "seed": n}} for n in range(20)]
    assert count_draws(Recipe("r", steps=(Noise(),)), many) == {"noise": "20 of 20"}
