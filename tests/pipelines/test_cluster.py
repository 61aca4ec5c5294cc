"""A running cluster of two nodes: the same bytes, also when a node is lost in the middle."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.compose import run_compose
from pipelines.runner import LocalRunner
from rssn.cache import LayerCache
from tests.pipelines.composing import RECIPE, digests, job_of


@pytest.fixture
def cluster() -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, "-m", "tests.pipelines.cluster"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, env=environment, **pipes) as process:
        yield process
        assert process.stdin
        process.stdin.close()


def test_a_lost_node_changes_no_byte(cluster: subprocess.Popen[str], studio: Path, bg20k: Path, tmp_path: Path) -> None:
    cache = LayerCache(tmp_path / "cache", 0)
    run_compose(job_of(studio / "matting", bg20k, tmp_path / "whole", RECIPE, cache=cache), LocalRunner())
    assert cluster.stdout
    assert cluster.stdin
    address = cluster.stdout.readline().strip()
    command = [
        sys.executable, "-m", "pipelines.cli", "compose", "--matting", studio / "matting", "--backgrounds", bg20k,
        "--out", tmp_path / "out", "--k", 4, "--denoiser", "nlmeans", "--cache-size", 0, "--address", address,
    ]  # fmt: skip
    with subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        progress = tmp_path / "out" / "progress"
        deadline = time.time() + 240
        while len(list(progress.glob("*.item"))) < 2 and time.time() < deadline:
            assert running.poll() is None, "the run ended before a node was lost"
            time.sleep(0.005)
        cluster.stdin.write("lose a node\n")
        cluster.stdin.flush()
        said, complained = running.communicate(timeout=400)
    assert running.returncode == 0, complained
    assert "12 composites written, 0 reused, 0 rejected" in said
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.suffix in (".tmp", ".item")] == []


def test_where_no_cluster_answers(studio: Path, bg20k: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pipelines.cli",
        "compose",
        "--matting",
        studio / "matting",
        "--backgrounds",
        bg20k,
    ]
    command += ["--out", tmp_path / "out", "--address", "127.0.0.1:1"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "--address 127.0.0.1:1: no Ray cluster answers there" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
