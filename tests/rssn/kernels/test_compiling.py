"""Compiled code is kept by content: what was changed is compiled anew, what was only moved is not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import rssn

RUN = """
import sys
import numpy as np
from rssn.kernels.curve import interpolate

made = np.empty(3, np.float32)
interpolate(np.array([0.25, -0.5, 2.0], np.float32), np.array([0, 1, 4], np.float32), np.float32(1), made)
stats = interpolate.stats
print(*made, stats.cache_misses.total(), stats.cache_hits.total(), "numba.np.arraymath" in sys.modules)
"""


def _run(tree: Path, kept: Path, **more: str) -> str:
    """What the function gives in a copy of the package, how often it was compiled and loaded, if the compiler was."""
    environment = os.environ | {"PYTHONPATH": str(tree), "NUMBA_CACHE_DIR": str(kept)} | more
    command = [sys.executable, "-c", RUN]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_code_is_kept_by_the_content_of_all_kernels(tmp_path: Path) -> None:
    trees, kept = [tmp_path / "one", tmp_path / "other"], tmp_path / "kept"
    for tree in trees:
        shutil.copytree(Path(rssn.__file__).parent, tree / "rssn", ignore=shutil.ignore_patterns("__pycache__"))
    assert _run(trees[0], kept) == "0.5 -1.0 5.0 1 0 True"
    assert _run(trees[0], kept) == "0.5 -1.0 5.0 0 1 False"
    assert _run(trees[1], kept) == "0.5 -1.0 5.0 0 1 False"  # another environment of the same version
    other = trees[1] / "rssn" / "kernels" / "simd.py"
    other.write_text(other.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert _run(trees[1], kept) == "0.5 -1.0 5.0 1 0 True"  # a kernel that it may be made of was changed
    assert _run(trees[0], kept) == "0.5 -1.0 5.0 0 1 False"  # and the other's code is still there
    assert _run(trees[0], kept, NUMBA_CPU_NAME="generic") == "0.5 -1.0 5.0 1 0 True"  # of another processor
    assert _run(trees[0], kept) == "0.5 -1.0 5.0 0 1 False"
    assert len(list(kept.rglob("*.nbi"))) == len(list(kept.rglob("*.nbc"))) == 3
