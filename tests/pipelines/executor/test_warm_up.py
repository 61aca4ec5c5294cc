from __future__ import annotations

import fcntl
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.executor.warm_up import warm_up
from rssn.errors import InputError
from rssn.route.recipe import load_recipe
from tests.conftest import PlainKernels


def test_of_processes_that_start_together_one_compiles(plain_kernels: PlainKernels) -> None:
    assert plain_kernels.words == ["0 1", "0 1", "1 0"]  # compiled, loaded


_KEEPS = """
from dataclasses import replace
from resource import RUSAGE_SELF, getrusage
import pyarrow as pa
from pipelines.executor.warm_up import warm_up
from rssn.route.recipe import load_recipe
warm_up(replace(load_recipe("rssn-noise-only"), foreground="given"))
b"x" * (96 << 20)
before = getrusage(RUSAGE_SELF).ru_minflt
b"x" * (96 << 20)
print(pa.default_memory_pool().backend_name, getrusage(RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
def test_workers_keep_what_a_picture_frees_for_the_next() -> None:
    pool, faults = subprocess.run(
        [sys.executable, "-c", _KEEPS], check=True, capture_output=True, text=True
    ).stdout.split()
    assert pool == "system"
    assert int(faults) < 100


_TWO_PARTS = """
from pipelines.executor import warm_up as warm
from rssn.route.recipe import load_recipe

warm._parts = lambda recipe: ((name, lambda name=name: print(name, flush=True)) for name in ("held", "free"))
warm.warm_up(load_recipe("comp-rssn"))
"""


def test_what_another_process_compiles_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    folder = tmp_path / f"rssn-{os.getuid()}-kernels"
    folder.mkdir(mode=0o700)
    with (folder / "held.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = subprocess.Popen([sys.executable, "-c", _TWO_PARTS], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "free\n"
        assert process.poll() is None
    assert process.communicate(timeout=60)[0] == "held\n"


def test_a_lock_that_others_could_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / f"rssn-{os.getuid()}-kernels"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(InputError, match="not a folder of this user alone; set TMPDIR to a folder of your own"):
        warm_up(replace(load_recipe("rssn-noise-only"), foreground="multiply"))
