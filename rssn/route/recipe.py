"""A recipe: how F is made, how backgrounds fit, and the steps of the route in their order (section 4.4).

A recipe is data: read from YAML, checked key by key; its digest is written into each row.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from functools import cached_property, reduce
from importlib.resources import files
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import Field, InstanceOf

from rssn.errors import InputError
from rssn.route.denoise import DenoiseBackend
from rssn.route.foreground import ForegroundMethod
from rssn.route.step import STAGES, Step
from rssn.route.steps import BLEND, find_step, step_names
from rssn.route.steps.denoise import Denoise
from rssn.storage.documents import brief, load_mapping, read_text
from rssn.storage.location import parse_location
from rssn.storage.settings import parse_settings, settings

Fit: TypeAlias = Literal["cover", "stretch"]
"""How a background meets the foreground's frame: aspect kept and cropped, or squeezed."""

ForegroundChoice: TypeAlias = ForegroundMethod | Literal["given"]
"""How F comes about: estimated from the photograph, or `given`: taken from the data set."""

FOREGROUND_CHOICES: tuple[str, ...] = (*get_args(ForegroundMethod), "given")

DEFAULT = "comp-rssn"
_SHIPPED = files("rssn.route") / "recipes"


@settings
class Recipe:
    """Everything that decides how composites look, apart from the pictures and the seed."""

    name: Annotated[str, Field(pattern=r"^[\w.-]+$", description="letters, digits, dots, dashes and underscores")]
    k: Annotated[int, Field(ge=1, description="composites for each foreground")] = 5
    foreground: ForegroundChoice = "levin"  # where a data set ships F alone, F is taken whatever stands here
    fit: Fit = "cover"
    max_upscale: Annotated[float, Field(ge=1, description="how much a background may be enlarged")] = 1.5
    steps: tuple[InstanceOf[Step], ...] = ()  # in order; the blend stands before the first one on the composite

    def __post_init__(self) -> None:
        names = [step.name for step in self.steps]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"steps has '{name}' twice; a sample draws each step once, so remove one")
        takers = [step.name for step in self.steps if step.takes_other]
        if len(takers) > 1:
            raise InputError(
                f"steps has {' and '.join(takers)}, which take another foreground each; remove all but one"
            )
        for before, after in zip(self.steps, self.steps[1:], strict=False):
            if STAGES.index(before.stage) > STAGES.index(after.stage):
                raise InputError(f"steps has '{after.name}' after '{before.name}'; {_ORDER[after.stage]}")

    @property
    def drawn(self) -> tuple[Step, ...]:
        """The steps that some sample may draw."""
        return tuple(step for step in self.steps if step.probability > 0)

    def frame(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the largest composites of a foreground of this size, px."""
        return reduce(lambda size, step: step.frame(*size), self.drawn, (width, height))

    def to_dict(self) -> dict[str, Any]:
        """The recipe as the plain values of its YAML, for manifests and digests."""
        names = [field.name for field in fields(self) if field.name != "steps"]
        listed: list[Any] = [{step.name: _plain(step)} for step in self.steps]
        listed.insert(sum(step.stage != "composite" for step in self.steps), BLEND)
        return {name: getattr(self, name) for name in names} | {"steps": listed}

    @cached_property
    def label(self) -> str:
        """`<name>@<digest>`; the digest covers what shapes one composite, so neither the name nor K."""
        shaping = {key: value for key, value in self.to_dict().items() if key not in ("name", "k")}
        digest = hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()
        return f"{self.name}@{digest[:12]}"


_ORDER = {
    "source": "it acts on pictures at their own size: put it before the steps that place F or act in the frame",
    "placement": "it places F and alpha: put it after the steps on sources and before those on layers in the frame",
    "frame": f"it acts on layers in the frame: put it before {BLEND}, after the steps on sources or that place F",
    "composite": f"it acts on the composite: put it after {BLEND}",
}


def load_recipe(name: str) -> Recipe:
    """Load a recipe that ships by its name, or any YAML file by its path or URL.

    Raises:
        InputError: If there is no such recipe, or it is not valid.
    """
    if name in shipped_recipes():
        return parse_recipe(shipped_text(name), f"recipe {name}")
    path = parse_location(name)
    if not path.is_file():
        raise InputError(f"{name}: no such recipe file; recipes that ship: {', '.join(shipped_recipes())}")
    return parse_recipe(read_text(path), str(path))


def chosen_recipe(name: str, denoiser: DenoiseBackend | None = None, **changes: Any) -> Recipe:
    """A recipe with what a command's options say instead.

    Args:
        name: As `load_recipe` takes it.
        denoiser: Another backend for the step `denoise`.
        changes: Other values of `Recipe`; None leaves the recipe's own.

    Raises:
        InputError: As `load_recipe` does, or if an option has no effect on this recipe.
    """
    recipe = load_recipe(name)
    if denoiser:
        if not any(isinstance(step, Denoise) for step in recipe.drawn):
            words = f"the recipe {recipe.name} denoises nothing; leave it out, or choose another --recipe"
            raise InputError(f"--denoiser {denoiser} has no effect here: {words}")
        steps = [replace(step, backend=denoiser) if isinstance(step, Denoise) else step for step in recipe.steps]
        changes["steps"] = tuple(steps)
    return replace(recipe, **{key: value for key, value in changes.items() if value is not None})


def shipped_recipes() -> list[str]:
    """Names of the recipes that ship."""
    return sorted(item.name.removesuffix(".yaml") for item in _SHIPPED.iterdir() if item.name.endswith(".yaml"))


def shipped_text(name: str) -> str:
    """The YAML of a recipe that ships.

    Raises:
        InputError: If none has that name.
    """
    if name not in shipped_recipes():
        raise InputError(f"{name}: no such recipe; recipes that ship: {', '.join(shipped_recipes())}")
    return (_SHIPPED / f"{name}.yaml").read_text(encoding="utf-8")


def parse_recipe(text: str, source: str) -> Recipe:
    """Read a recipe from YAML.

    Args:
        text: The YAML document.
        source: Its file name, for messages.

    Raises:
        InputError: Naming file, key and remedy, for anything that is not a valid recipe.
    """
    return recipe_from_dict(load_mapping(text, source, "a recipe is a mapping with at least the key 'name'"), source)


def recipe_from_dict(values: Mapping[str, Any], source: str) -> Recipe:
    """A recipe from plain values, for instance those of a manifest; checked as a file is.

    Raises:
        InputError: Naming source, key and remedy.
    """
    steps = step_names()  # to look takes milliseconds
    misplaced = next((key for key in values if key in steps), None)
    if misplaced:
        words = f"'{misplaced}' is a step: write it into the list 'steps', as `rssn recipe {DEFAULT}` shows"
        raise InputError(f"{source}: {words}")
    plain = {key: value for key, value in values.items() if key != "steps"}
    recipe = parse_settings(Recipe, plain, source)
    if "steps" not in values:
        raise InputError(f"{source}: the key 'steps' is missing; `steps: [{BLEND}]` blends and does nothing else")
    try:
        return replace(recipe, steps=tuple(_parse_steps(values["steps"], source)))
    except InputError as error:
        raise InputError(str(error) if str(error).startswith(source) else f"{source}: {error}") from error


def _parse_steps(listed: object, source: str) -> Iterable[Step]:
    """The steps of a list such as `[{blur: {probability: 1}}, blend, noise]`; a name alone takes its defaults."""
    if not isinstance(listed, list | tuple):
        raise InputError(f"steps is {brief(listed)}; expected a list of steps, with {BLEND} among them")
    entries = [_entry(one) for one in listed]
    names = [name for name, _ in entries]
    if names.count(BLEND) != 1:
        found = f"occurs {names.count(BLEND)} times" if BLEND in names else "is missing"
        raise InputError(f"steps: {BLEND} {found}; it stands once, where F and B become one picture")
    for place, (name, values) in enumerate(entries):
        if name == BLEND:
            continue
        step: Step = parse_settings(find_step(name), values, f"{source}: steps.{name}")
        if (step.stage == "composite") == (place < names.index(BLEND)):
            raise InputError(f"steps has '{name}' on the wrong side of {BLEND}; {_ORDER[step.stage]}")
        yield step


def _entry(one: object) -> tuple[str, Mapping[str, Any]]:
    if isinstance(one, str):
        return one, {}
    if isinstance(one, dict) and len(one) == 1:
        [(name, values)] = one.items()
        if name != BLEND and isinstance(values, dict):
            return str(name), values
    words = "a step is its name, or its name with settings: {blur: {sizes: [30]}}"
    raise InputError(f"steps holds {brief(one)}; {words}")


def _plain(step: Step) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(step).items()}
