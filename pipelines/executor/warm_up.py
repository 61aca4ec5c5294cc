"""Kernels are compiled once per node, not once per process: of those that start together each compiles another one.

Where the compiled code is kept says `rssn.kernels.compiling`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial

import pyarrow as pa

from rssn.errors import InputError, first_line
from rssn.route import foreground
from rssn.route.recipe import Recipe
from rssn.route.step import Step
from rssn.storage.lock import lock_file
from rssn.storage.machine import keep_freed_memory, private_folder

_DONE: set[str] = set()  # labels of recipes


def warm_up(recipe: Recipe) -> None:
    """Make this process ready for pictures, once: what a recipe needs is compiled or loaded, what it frees is kept.

    What another process compiles at the moment comes last, and is loaded then.

    Raises:
        DependencyError: If a step of the recipe needs a package that is not installed.
        InputError: If somebody else's folder is where locks are kept.
    """
    if recipe.label in _DONE:
        return
    keep_freed_memory()
    pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own gives back what it frees
    parts = dict(_parts(recipe))
    for wait in (False, True):
        parts = {name: part for name, part in parts.items() if not _compile(name, part, wait=wait)}
    _DONE.add(recipe.label)


def _parts(recipe: Recipe) -> Iterator[tuple[str, Callable[[], None]]]:
    if recipe.foreground != "given":
        yield "foreground", partial(foreground.warm_up, recipe.foreground)
    for step in recipe.drawn:
        if type(step).warm_up is not Step.warm_up:
            yield step.name, step.warm_up


def _compile(name: str, part: Callable[[], None], *, wait: bool) -> bool:
    """Returns False, having done nothing, where another process is at it and shall not be waited for."""
    try:
        lock = private_folder("kernels") / f"{name}.lock"
    except OSError as error:
        raise InputError(f"{first_line(error)}; set TMPDIR to a folder of your own") from error
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    try:
        if lock_file(descriptor, wait=wait) is False:
            return False
        part()  # without locks, more than one compiles
        return True
    finally:
        os.close(descriptor)
