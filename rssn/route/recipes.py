"""Finding recipes: one YAML file for each row of the paper's tables, or the user's own file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from rssn.errors import InputError
from rssn.route.recipe import Recipe, parse_recipe
from rssn.storage.documents import read_text

DEFAULT = "comp-rssn"


def load_recipe(name: str) -> Recipe:
    """Load a recipe that ships by its name, or any YAML file by its path.

    Raises:
        InputError: If there is no such recipe, or it is not valid.
    """
    if name in shipped():
        text = (files("rssn.route") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
        return parse_recipe(text, f"recipe {name}")
    path = Path(name)
    if not path.is_file():
        raise InputError(f"{name}: no such recipe file; recipes that ship: {', '.join(shipped())}")
    return parse_recipe(read_text(path), str(path))


def chosen_recipe(settings: Mapping[str, Any]) -> Recipe:
    """The recipe that the options of `rssn compose` name, with what they say instead.

    Raises:
        InputError: As `load_recipe` does.
    """
    recipe = load_recipe(settings["recipe"])
    given = {key: settings[key] for key in ("k", "foreground", "fit", "max_upscale") if settings[key] is not None}
    if settings["denoiser"]:
        if not recipe.denoise.probability:
            words = f"the recipe {recipe.name} denoises nothing; leave it out, or choose another --recipe"
            raise InputError(f"--denoiser {settings['denoiser']} has no effect here: {words}")
        given["denoise"] = replace(recipe.denoise, backend=settings["denoiser"])
    return replace(recipe, **given)


def shipped() -> list[str]:
    """Names of the recipes that ship."""
    folder = files("rssn.route") / "recipes"
    return sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml"))
