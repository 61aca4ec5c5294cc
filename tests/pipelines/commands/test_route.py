from __future__ import annotations

from click.testing import CliRunner

from pipelines.commands.route import recipe, steps
from rssn.route.recipe import load_recipe, parse_recipe, shipped_recipes
from rssn.route.steps import step_names


def test_a_recipe_is_printed_as_it_ships() -> None:
    printed = CliRunner().invoke(recipe, ["comp-rssn"]).stdout
    assert parse_recipe(printed, "printed") == load_recipe("comp-rssn")
    assert CliRunner().invoke(recipe, []).stdout.split() == shipped_recipes()
    assert CliRunner().invoke(recipe, ["nobody"]).exit_code == 1


def test_every_step_is_listed_with_settings_units_source_and_cost() -> None:
    printed = CliRunner().invoke(steps).stdout.split("\n\n")
    assert [text.partition(":")[0] for text in printed] == [*step_names(), ""]
    denoise, blur, noise, jpeg = (printed[step_names().index(name)] for name in ("denoise", "blur", "noise", "jpeg"))
    assert "acts on   layers, at their own size, before a background is fitted" in denoise
    assert "sigma: 10.0  # 0 to 255, 8-bit units, or auto" in denoise
    assert "backend: native  # native or bm3d or nlmeans" in denoise
    assert "sizes: [20, 30, 40, 50, 60]  # sides of the kernel, whole px" in blur
    assert "source    section 4.3 (package rssn)" in noise
    assert "cost      about 0.04 CPU-seconds a megapixel" in noise
    assert "quality: [70, 95]  # lowest and highest of libjpeg's, 1 to 100; [70, 95] where there are no tables" in jpeg
