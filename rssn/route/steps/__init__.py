"""The steps that a recipe may name: a file each here, and those of other packages (entry points `rssn.steps`)."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pkgutil import iter_modules
from types import ModuleType
from typing import get_args

from rssn.errors import InputError
from rssn.route.step import GROUP, STAGES, ActsOn, Step

BLEND = "blend"
"""Stands in a recipe's list where F and B become one picture; no step may be called so."""


@lru_cache(maxsize=1)
def shipped_steps() -> Mapping[str, type[Step]]:
    """The steps of this package by name, in the order of the route."""
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    found = [step for module in modules for step in _steps_in(module)]
    return {step.name: step for step in sorted(found, key=lambda step: STAGES.index(step.stage))}


def step_names() -> list[str]:
    """The names of all steps that are installed."""
    return list(dict.fromkeys([*shipped_steps(), *sorted(entry.name for entry in entry_points(group=GROUP))]))


def find_step(name: str) -> type[Step]:
    """The step of a name.

    Raises:
        InputError: If there is none, or the package that offers it is broken.
    """
    offered = list(entry_points(group=GROUP, name=name))
    sources = ["rssn"] * (name in shipped_steps()) + [_source(entry) for entry in offered]
    if len(sources) > 1:
        raise InputError(f"the step '{name}' is offered by {' and by '.join(sources)}; remove all but one")
    if name in shipped_steps():
        return shipped_steps()[name]
    if not offered:
        raise InputError(f"no step is called '{name}'; there are {', '.join(step_names())}, and {BLEND}")
    return _load(offered[0])


def package_of(step: type[Step]) -> str:
    """The package that a step is from, for lists."""
    return step.__module__.partition(".")[0]


def _load(entry: EntryPoint) -> type[Step]:
    source = f"the step '{entry.name}' of {_source(entry)}"
    try:
        found = entry.load()
    except Exception as error:  # another's code: whatever it raises, it cannot be used
        raise InputError(f"{source} cannot be loaded: {error}; mend or remove that package") from error
    if not (inspect.isclass(found) and issubclass(found, Step) and not inspect.isabstract(found)):
        raise InputError(f"{source} is no rssn.route.step.Step with all its methods; mend or remove that package")
    if wrong := _fault(found, entry.name):
        raise InputError(f"{source} {wrong}; mend or remove that package")
    return found


def _source(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.value


def _fault(step: type[Step], name: str) -> str | None:
    """What keeps a class from being a step; None where nothing does."""
    missing = [each for each in ("name", "acts_on", "stage", "reference") if not hasattr(step, each)]
    if missing:
        return f"does not say its {', '.join(missing)}"
    if step.name != name or name == BLEND:
        return f"calls itself '{step.name}'; that must be the entry point's name, and not '{BLEND}'"
    if step.stage not in STAGES or step.acts_on not in get_args(ActsOn):
        return f"acts on {step.acts_on} at the stage {step.stage}; see rssn.route.step for both"
    for what, stage in (("composite", "composite"), ("cut-out", "placement")):
        if (step.acts_on == what) != (step.stage == stage):
            return f"acts on {step.acts_on} at the stage {step.stage}; a {what} is there at the stage {stage} alone"
    where = {"measured": "source", "cached": "source", "also_on_layers": "composite", "takes_other": "placement"}
    wrong = [each for each, stage in where.items() if getattr(step, each) and step.stage != stage]
    if wrong:
        return f"says {wrong[0]}, which only steps at the stage {where[wrong[0]]} can"
    ways = {"placement": ("apply_to_cut_out",), "frame": ("apply", "apply_to_scene")}.get(step.stage, ("apply",))
    lacks = all(getattr(step, way) is getattr(Step, way) for way in ways)
    return f"has no method {' or '.join(ways)}" if lacks else None


def _steps_in(module: ModuleType) -> list[type[Step]]:
    classes = [kind for _, kind in inspect.getmembers(module, inspect.isclass) if kind.__module__ == module.__name__]
    return [kind for kind in classes if issubclass(kind, Step) and not inspect.isabstract(kind)]
