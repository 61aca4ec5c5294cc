"""Our commands as a person types them, from the modules that they are, and their end."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence

_PATIENCE_SECONDS = 120.0  # with a command that was asked to end

_PROGRAMS = {"pipelines.cli": ("rssn",), "train.cli": ("train",)}


def typed(module: str, arguments: Sequence[str]) -> str:
    """What to type into a shell to run a module's command with these arguments."""
    return shlex.join([*_PROGRAMS.get(module, ("python", "-m", module)), *arguments])


def end(child: subprocess.Popen[bytes]) -> None:
    """Ask a command to end; one that does not is killed."""
    child.terminate()
    try:
        child.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
