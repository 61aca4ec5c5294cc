"""A small studio on disk, curated once, and one Ray for all tests that need it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bg20k.rules import CurationRules
from pipelines.build_bg20k import CurationJob, run_curation
from pipelines.runner import LocalRunner, RayRunner
from pipelines.work import Budget
from rssn.studio import StudioPlan, write_studio

MIN_SIDE = 120
PLAN = StudioPlan(
    foregrounds=3, evaluation=1, backgrounds=7, copies=1, small=1, shot_size=(144, 96), photo_side=MIN_SIDE + 8, seed=3
)


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shots of 144 x 96 px, and photographs of which 12 are good."""
    folder = tmp_path_factory.mktemp("studio")
    write_studio(folder, PLAN)
    return folder


@pytest.fixture(scope="session")
def bg20k(studio: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The studio's photographs, curated."""
    out = tmp_path_factory.mktemp("curated") / "bg20k"
    rules = CurationRules(min_side=MIN_SIDE)
    run_curation(CurationJob(studio / "photos", out, rules, None, Budget()), LocalRunner())
    return out


@pytest.fixture(scope="session")
def ray_runner() -> Iterator[RayRunner]:
    """Two workers on a Ray that all tests share."""
    runner = RayRunner(2)
    yield runner
    runner.close()


@pytest.fixture(scope="session")
def rssn() -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command as a user runs it, in a process of its own."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pipelines.cli", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run
