"""The composition route of the paper: photographs and mattes in, composites and a Parquet contract out.

The public API; what it names is loaded when it is first used, so that `import rssn` costs nothing:

* `compose`: one foreground onto one background, arrays in, arrays out.
* `estimate_foreground`: closed-form F and B of a photograph.
* `denoise`: BM3D.
* `load_recipe`: a recipe that ships, or a YAML file.
* `open_dataset`: what `rssn compose`, `pack` or `build-bg20k` wrote.

Floor 1 of the house: no Ray, no torch, no printing.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

from rssn.storage.machine import use_cache_home as _use_cache_home

if _TYPE_CHECKING:
    from rssn.dataset.dataset import open_dataset as open_dataset
    from rssn.route.arrays import compose as compose
    from rssn.route.denoise import denoise as denoise
    from rssn.route.foreground import estimate_foreground as estimate_foreground
    from rssn.route.recipe import load_recipe as load_recipe

_PLACES = {
    "compose": "rssn.route.arrays",
    "denoise": "rssn.route.denoise",
    "estimate_foreground": "rssn.route.foreground",
    "load_recipe": "rssn.route.recipe",
    "open_dataset": "rssn.dataset.dataset",
}

__all__ = ["compose", "denoise", "estimate_foreground", "load_recipe", "open_dataset"]

_use_cache_home()  # before a library looks for its own


if not _TYPE_CHECKING:  # else a type checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        if name not in _PLACES:
            raise AttributeError(f"module 'rssn' has no attribute '{name}'")
        return getattr(_import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
