from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CODE = """
from rssn.route.recipe import load_recipe
from pipelines.executor.warm_up import warm_up
from rssn.kernels.closed_form.solver import iterate
warm_up(load_recipe("comp-rssn"))
print(iterate.stats.cache_misses.total(), iterate.stats.cache_hits.total())
"""


def test_of_processes_that_start_together_one_compiles(tmp_path: Path) -> None:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "kernels"), "TMPDIR": str(tmp_path)}
    running = [
        subprocess.Popen([sys.executable, "-c", CODE], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(3)
    ]
    found = sorted(process.communicate(timeout=500)[0].strip() for process in running)
    assert found == ["0 1", "0 1", "1 0"]  # compiled, loaded
