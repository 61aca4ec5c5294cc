"""The examples of train/README.md, which tests run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import train

README = Path(train.__file__).with_name("README.md")


def run_example(heading: str, module: str = "example") -> dict[str, object]:
    """Execute the Python of a section as a module of some name; returns its names."""
    section = README.read_text(encoding="utf-8").split(f"## {heading}\n", 1)[1].split("\n## ")[0]
    [code] = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    names: dict[str, object] = {"__name__": module}
    exec(compile(code, str(README), "exec"), names)  # noqa: S102
    return names
