"""The loop in workers of Ray Train; the one test here that starts Ray."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rssn.errors import InputError
from train.ray_launch import _MARK, _own


def losses(out: Path) -> list[float]:
    return [json.loads(line)["total"] for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_two_ray_workers_have_the_losses_of_one_process_with_twice_the_batch(shards: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray.train.torch", reason="Ray Train is not installed: pip install 'rssn[ray-train]'")
    for name, words in (("alone", ["--batch-size", "4"]), ("ray", ["--batch-size", "2", "--ray-workers", "2"])):
        options = ["--data", str(shards), "--out", str(tmp_path / name), "--backbone", "tiny", "--max-steps", "3"]
        options += ["--crop-size", "64", "--input-size", "64", "--workers", "0", "--learning-rate", "1e-3", *words]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "train.cli", "run", *options]
        said = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
        assert "step 3 of 3" in said
    assert losses(tmp_path / "ray") == pytest.approx(losses(tmp_path / "alone"), rel=1e-4)


def test_a_workers_own_message_is_found_among_rays_words() -> None:
    found = _own(
        RuntimeError(f"Worker 1 failed:\n  RuntimeError: {_MARK}shards/: no manifest.json{_MARK}\n  at line 3")
    )
    assert isinstance(found, InputError)
    assert str(found) == "shards/: no manifest.json"
    assert _own(RuntimeError("out of memory")) is None
