"""A recipe: which steps of Pipeline 1 run, how often, and with which parameters (section 4.4).

A recipe is data. It is read from YAML, every key is checked, and its digest is written into each row.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, TypeAlias, get_args

from rssn.errors import InputError
from rssn.route.denoise import DenoiseBackend
from rssn.route.foreground import ForegroundMethod
from rssn.storage.documents import brief, load_mapping

Fit: TypeAlias = Literal["cover", "stretch"]
"""How a background meets the foreground's frame: aspect kept and cropped, or squeezed."""

ForegroundChoice: TypeAlias = ForegroundMethod | Literal["given"]
"""How F comes about: estimated from the photograph, or `given`: taken from the data set."""

MAX_BLUR = 1000
"""Largest kernel of the averaging filter, px."""

FOREGROUND_CHOICES: tuple[str, ...] = (*get_args(ForegroundMethod), "given")


@dataclass(frozen=True)
class DenoiseStep:
    """BM3D on both layers, one coin for the two (lines 12 to 15)."""

    probability: float = 0.5
    sigma: float | Literal["auto"] = 10.0  # 8-bit units, or as much as each picture has; the paper names none
    backend: DenoiseBackend = "native"

    def __post_init__(self) -> None:
        _probability("denoise.probability", self.probability)
        if self.sigma != "auto":
            _between("denoise.sigma", self.sigma, 0, 255, " in 8-bit units, or auto")
        _one_of("denoise.backend", self.backend, get_args(DenoiseBackend))


@dataclass(frozen=True)
class BlurStep:
    """Averaging filter on the background: a large aperture (lines 16 to 19)."""

    probability: float = 0.5
    sizes: tuple[int, ...] = (20, 30, 40, 50, 60)  # px

    def __post_init__(self) -> None:
        _probability("blur.probability", self.probability)
        if not isinstance(self.sizes, tuple) or not self.sizes:
            raise InputError(
                f"blur.sizes is {brief(self.sizes)}: list at least one kernel size in px, such as [20, 30]"
            )
        for size in self.sizes:
            if not _is_whole(size) or not 1 <= size <= MAX_BLUR:
                raise InputError(
                    f"blur.sizes holds {brief(size)}: a kernel size is a whole number of px, 1 to {MAX_BLUR}"
                )


@dataclass(frozen=True)
class NoiseStep:
    """Gaussian noise on the composite (lines 21 to 23)."""

    probability: float = 0.5
    sigma: float = 10.0  # 8-bit units

    def __post_init__(self) -> None:
        _probability("noise.probability", self.probability)
        _between("noise.sigma", self.sigma, 0, 255, " in 8-bit units")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how composites look, apart from the pictures and the seed."""

    name: str
    k: int = 5
    foreground: ForegroundChoice = "levin"  # where a data set ships F alone, F is taken whatever stands here
    fit: Fit = "cover"
    max_upscale: float = 1.5  # a background that would have to be enlarged more is not eligible for a foreground
    denoise: DenoiseStep = field(default_factory=DenoiseStep)
    blur: BlurStep = field(default_factory=BlurStep)
    noise: NoiseStep = field(default_factory=NoiseStep)

    def __post_init__(self) -> None:
        if not self.name or not isinstance(self.name, str):
            raise InputError("the key 'name' is missing; give the recipe a name in letters")
        if not re.fullmatch(r"[\w.-]+", self.name):
            raise InputError(f"name is {brief(self.name)}; use letters, digits, dots, dashes and underscores")
        if not _is_whole(self.k) or self.k < 1:
            raise InputError(f"k is {brief(self.k)}; expected a whole number of 1 or more")
        _one_of("foreground", self.foreground, FOREGROUND_CHOICES)
        _one_of("fit", self.fit, get_args(Fit))
        _at_least("max_upscale", self.max_upscale, 1)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain values, for manifests and digests."""
        return asdict(self)

    @property
    def label(self) -> str:
        """`<name>@<digest>`; the digest covers what shapes one composite, so neither the name nor K."""
        shaping = {key: value for key, value in self.to_dict().items() if key not in ("name", "k")}
        digest = hashlib.sha256(json.dumps(_canonical(shaping), sort_keys=True).encode()).hexdigest()
        return f"{self.name}@{digest[:12]}"


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
    try:
        recipe: Recipe = _build(Recipe, {"name": ""} | dict(values), "")
        return recipe
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


_STEPS: dict[str, type] = {"denoise": DenoiseStep, "blur": BlurStep, "noise": NoiseStep}


def _build(kind: type[Any], values: Mapping[str, Any], prefix: str) -> Any:
    known = {item.name for item in fields(kind)}
    for key in values:
        if key not in known:
            raise InputError(f"unknown key '{prefix}{key}'; known here: {', '.join(sorted(known))}")
    arguments = {key: _value(key, value) for key, value in values.items()}
    return kind(**arguments)


def _value(key: str, value: Any) -> Any:
    if key in _STEPS:
        if not isinstance(value, dict):
            raise InputError(f"'{key}' is {brief(value)}; expected a mapping such as {{probability: 0.5}}")
        return _build(_STEPS[key], value, f"{key}.")
    return tuple(value) if isinstance(value, list) else value


def _probability(name: str, value: object) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise InputError(f"{name} is {brief(value)}; a probability lies in [0, 1]")


def _at_least(name: str, value: object, least: float) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value < math.inf:
        raise InputError(f"{name} is {brief(value)}; expected a number of {least} or more")


def _between(name: str, value: object, least: float, most: float, unit: str) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(f"{name} is {brief(value)}; expected a number from {least} to {most}{unit}")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _canonical(value: Any) -> Any:
    """Plain values in which 10 and 10.0 are the same number."""
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_canonical(item) for item in value]
    return float(value) if isinstance(value, int) else value


def _one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{name} is {brief(value)}; expected one of {', '.join(choices)}")
