"""Kernels are compiled once per node, not once per process: of those that start together one compiles, the others load.

Where the compiled code is kept says `rssn.kernels.compiling`.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pyarrow as pa

from rssn.route import foreground
from rssn.route.recipe import Recipe
from rssn.storage.lock import lock_file
from rssn.storage.machine import keep_freed_memory

_DONE: set[str] = set()  # labels of recipes


def warm_up(recipe: Recipe) -> None:
    """Make this process ready for pictures, once: what a recipe needs is compiled (about half a minute), or loaded.

    Raises:
        DependencyError: If a step of the recipe needs a package that is not installed.
    """
    if recipe.label in _DONE:
        return
    keep_freed_memory()
    pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own gives back what it frees
    lock = Path(tempfile.gettempdir()) / f"rssn-{os.getuid()}-kernels.lock"
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    try:
        lock_file(descriptor, wait=True)  # without locks, more than one compiles
        if recipe.foreground != "given":
            foreground.warm_up(recipe.foreground)
        for step in recipe.drawn:
            step.warm_up()
        _DONE.add(recipe.label)
    finally:
        os.close(descriptor)
