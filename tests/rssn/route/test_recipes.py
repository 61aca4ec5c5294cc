from __future__ import annotations

from pathlib import Path

import pytest

from rssn.errors import InputError
from rssn.route.recipes import load_recipe, shipped


def test_comp_rssn_is_section_4_4() -> None:
    recipe = load_recipe("comp-rssn")
    assert recipe.k == 5
    assert recipe.foreground == "levin"
    assert (recipe.denoise.probability, recipe.denoise.backend) == (0.5, "native")
    assert (recipe.blur.probability, recipe.blur.sizes) == (0.5, (20, 30, 40, 50, 60))
    assert (recipe.noise.probability, recipe.noise.sigma) == (0.5, 10)


def test_comp_bg20k_is_plain_blending() -> None:
    recipe = load_recipe("comp-bg20k")
    assert recipe.denoise.probability == recipe.blur.probability == recipe.noise.probability == 0


@pytest.mark.parametrize("name", shipped())
def test_every_recipe_that_ships_is_valid_and_named_as_its_file(name: str) -> None:
    assert load_recipe(name).name == name


def test_the_ablations_of_table_3_have_one_step_each() -> None:
    for step in ("denoise", "blur", "noise"):
        recipe = load_recipe(f"rssn-{step}-only")
        whole = load_recipe("comp-rssn")
        for other in ("denoise", "blur", "noise"):
            assert getattr(recipe, other).probability == (0.5 if other == step else 0)
        assert getattr(recipe, step) == getattr(whole, step)


def test_comp_coco_takes_small_pictures_and_blends_only() -> None:
    recipe = load_recipe("comp-coco")
    assert recipe.max_upscale == 8
    assert recipe.denoise.probability == recipe.blur.probability == recipe.noise.probability == 0


def test_a_recipe_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("{name: mine, blur: {sizes: [7]}}")
    assert load_recipe(str(tmp_path / "mine.yaml")).blur.sizes == (7,)


def test_an_unknown_name_lists_what_ships() -> None:
    with pytest.raises(InputError, match="comp-rsn: no such recipe file; recipes that ship: comp-bg20k, comp-coco, "):
        load_recipe("comp-rsn")
