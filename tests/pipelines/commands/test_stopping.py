"""SIGTERM while a shard is being written: a line, 143, nothing left over, and the same command goes on."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rssn.synthetic import SyntheticPlan, write_synthetic

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """So many that they take some seconds."""
    folder = tmp_path_factory.mktemp("pictures")
    plan = SyntheticPlan(
        foregrounds=6, evaluation=0, backgrounds=12, copies=0, small=0, shot_size=(240, 180), photo_side=360
    )
    write_synthetic(folder, plan)
    return folder


def half_written(out: Path) -> list[Path]:
    return [path for path in out.rglob(".*.tmp") if path.parent.name == "data"]


def stop(command: list[str], out: Path) -> tuple[int, str]:
    """Send SIGTERM to a command as soon as a shard is half-written; its exit code, and the last line that it said."""
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as running:
        while not half_written(out):
            assert running.poll() is None, "the run ended before it was stopped"
            time.sleep(0.001)
        running.send_signal(signal.SIGTERM)
        said = running.communicate(timeout=300)[1]
    assert "Traceback" not in said
    return running.returncode, said.splitlines()[-1]


COMMANDS = {
    "pack": ("photographs", "pack --matting {0}/matting --out {1}"),
    "build-bg20k": ("photos", "build-bg20k {0}/photos --min-side 320 --out {1}"),
}


@pytest.mark.parametrize(("name", "workers"), [("pack", 0), ("build-bg20k", 0), ("pack", 2)])
def test_sigterm(pictures: Path, tmp_path: Path, name: str, workers: int) -> None:
    unit, words = COMMANDS[name]
    out = tmp_path / "out"
    command = [sys.executable, "-m", "pipelines.cli", *words.format(pictures, out).split(), "--workers", str(workers)]
    code, said = stop(command, out)
    assert code == 128 + signal.SIGTERM, said
    counts, again = rf"\d+ {unit} written, \d+ reused, \d+ rejected", "run the same command again to resume"
    assert re.fullmatch(f"stopped by SIGTERM: {counts}; {again}", said), said
    left = [path.name for path in out.rglob("*") if path.suffix in (".tmp", ".item") or path.name == ".lease.json"]
    assert left == []
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
