from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys

import pytest

_LOAD = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def _modules(package: str) -> list[str]:
    root = importlib.import_module(package)
    return [package, *(found.name for found in pkgutil.walk_packages(root.__path__, f"{package}."))]


def _loaded_by(names: list[str]) -> set[str]:
    done = subprocess.run([sys.executable, "-c", _LOAD, *names], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_kernels_are_not_loaded_before_they_are_needed() -> None:
    """numba takes a second to import: commands that only read or look must not pay for it."""
    compiled = "rssn.kernels."
    light = [name for name in _modules("rssn") if not name.startswith(compiled)]
    assert "rssn.route.denoise" in light
    assert "rssn.route.foreground" in light
    assert _loaded_by(light).isdisjoint({"numba", "llvmlite"})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "barred"),
    [
        ("rssn", {"ray", "torch", "bm3d", "pymatting", "bg20k", "pipelines", "train"}),
        ("bg20k", {"ray", "torch", "ultralytics", "onnxruntime", "pipelines", "train"}),
        ("train", {"ray", "pipelines", "bg20k"}),
    ],
)
def test_imports_run_downwards_only(package: str, barred: set[str]) -> None:
    names = _modules(package)
    assert len(names) > 5
    loaded = _loaded_by(names)
    assert package in loaded
    assert loaded.isdisjoint(barred)
