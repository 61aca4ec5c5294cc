"""Our commands as a person types them, from the modules that they are."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

_PROGRAMS = {"pipelines.cli": ("rssn",), "train.cli": ("train",)}


def typed(module: str, arguments: Sequence[str]) -> str:
    """What to type into a shell to run a module's command with these arguments."""
    return shlex.join([*_PROGRAMS.get(module, ("python", "-m", module)), *arguments])
