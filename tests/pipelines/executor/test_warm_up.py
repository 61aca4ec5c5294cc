from __future__ import annotations

import subprocess
import sys

from tests.conftest import PlainKernels

_POOL = """
from dataclasses import replace
import pyarrow as pa
from pipelines.executor.warm_up import warm_up
from rssn.route.recipe import load_recipe
warm_up(replace(load_recipe("rssn-noise-only"), foreground="given"))
print(pa.default_memory_pool().backend_name)
"""


def test_of_processes_that_start_together_one_compiles(plain_kernels: PlainKernels) -> None:
    assert plain_kernels.words == ["0 1", "0 1", "1 0"]  # compiled, loaded


def test_arrow_takes_the_memory_that_arrays_leave() -> None:
    found = subprocess.run([sys.executable, "-c", _POOL], check=True, capture_output=True, text=True)
    assert found.stdout == "system\n"
