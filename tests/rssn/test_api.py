"""What `import rssn` gives, and what it costs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import rssn

NAMES = ["compose", "denoise", "estimate_foreground", "load_recipe", "open_dataset"]


def _loaded_after(code: str) -> set[str]:
    words = f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_import_loads_nothing_but_python_and_two_of_our_files() -> None:
    python = _loaded_after(
        "import math, os, pathlib, stat, tempfile, contextlib, contextvars, collections.abc, importlib, typing"
    )
    ours = {"rssn", "rssn.storage", "rssn.storage.machine"}
    assert _loaded_after("import rssn") - python == ours


def test_no_name_loads_ray_torch_or_compiled_kernels() -> None:
    loaded = _loaded_after(f"import rssn; [getattr(rssn, name) for name in {NAMES}]")
    assert "rssn.route.compose" in loaded
    assert loaded.isdisjoint({"ray", "torch", "numba", "llvmlite", "bm3d", "pymatting"})


def test_every_name_is_a_documented_function_of_ours() -> None:
    assert rssn.__all__ == NAMES
    assert set(NAMES) <= set(dir(rssn))
    for name in NAMES:
        found = getattr(rssn, name)
        assert (found.__name__, found.__module__.split(".")[0]) == (name, "rssn")
        assert "Raises:" in found.__doc__


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'rssn' has no attribute 'composite'"):
        _ = rssn.composite
