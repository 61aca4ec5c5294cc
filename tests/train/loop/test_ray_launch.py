"""The loop in workers of Ray Train."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch

from rssn.errors import InputError
from train.checkpoint import load_checkpoint
from train.config import TrainConfig
from train.loop import ray_launch
from train.loop.ray_launch import _MARK, _own, train_on_ray


def losses(out: Path) -> list[float]:
    return [json.loads(line)["total"] for line in (out / "metrics.jsonl").read_text().splitlines()]


def command(shards: Path, out: Path, steps: int, *words: str) -> list[str]:
    options = ["--data", str(shards), "--out", str(out), "--backbone", "tiny", "--max-steps", str(steps), *words]
    options += ["--crop-size", "64", "--input-size", "64", "--workers", "0", "--learning-rate", "1e-3"]
    options += ["--optimiser", "adam", "--schedule", "constant", "--weight-decay", "0", "--ema", "0"]
    options += ["--seed", "3"]  # with which no px of the glance lies between two classes: rounding stays rounding
    return [sys.executable, "-m", "train.cli", "run", *options]


@pytest.mark.slow
def test_two_ray_workers_are_one_process_with_twice_the_batch_and_save_when_they_are_stopped(
    shards: Path, photographs: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray.train.torch", reason="Ray Train is not installed: pip install 'rssn[ray-train]'")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command(shards, tmp_path / "alone", 3, "--batch-size", "4"), env=environment, check=True)
    words = ["--batch-size", "2", "--ray-workers", "2", "--checkpoint-every", "100000"]
    words += ["--validation", photographs.name, "--validate-every", "2"]  # a path as seen from here
    log = tmp_path / "log.txt"
    with log.open("wb") as said:
        started = subprocess.Popen(
            command(shards, tmp_path / "ray", 100_000, *words),
            env=environment,
            cwd=photographs.parent,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
    record = tmp_path / "ray" / "metrics.jsonl"
    while not (record.is_file() and record.read_text().count("\n") >= 3):
        assert started.poll() is None
        time.sleep(0.1)
    started.send_signal(signal.SIGINT)
    shown = started.communicate(timeout=120)[0]
    assert started.returncode == 128 + signal.SIGINT
    found = losses(tmp_path / "ray")
    assert found[:3] == pytest.approx(losses(tmp_path / "alone"), rel=1e-4)
    assert load_checkpoint(tmp_path / "ray" / "last.pt").step == len(found)
    assert f"validation/{photographs.name}/sad" in record.read_text().splitlines()[1]
    best = json.loads((tmp_path / "ray" / "best.json").read_text())
    path = tmp_path / "ray" / "best.pt"
    assert f"best: {path}, step {best['step']}, sad {best['value']:.5g} on {photographs.name}\n" in shown
    lines = re.findall(r"\b(\d+) of 100000 steps \(0 %\), .*loss [\d.]+, [\d.]+ samples/s, ", log.read_text())
    assert [lines[0], lines[-1]] == ["1", str(len(found))]
    assert len(lines) <= 10  # a line every half minute


def refused_for_lack(shards: Path, out: Path, said: Connection) -> None:
    """What is said of seven workers on a cluster with two processors.

    In a process of its own, for Ray ends the process whose thread still asks it for workers when it is shut down.
    """
    import ray  # noqa: PLC0415

    ray_launch._PATIENCE, ray_launch._LOOK_SECONDS = 3.0, 0.5
    ray.init(address="local", num_cpus=2, num_gpus=2, include_dashboard=False)
    os.environ["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
    try:
        train_on_ray(TrainConfig(data=(str(shards),), out=out, backbone="tiny", world_size=7))
    except InputError as error:
        said.send(str(error))
    ray.shutdown()


@pytest.mark.slow
def test_a_cluster_that_is_too_small_is_not_waited_for(shards: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray.train.torch", reason="Ray Train is not installed: pip install 'rssn[ray-train]'")
    kind = "GPU" if torch.cuda.is_available() else "CPU"
    words = f"--ray-workers 7 need a {kind} each, and the cluster has had 2 for .* minutes; give fewer --ray-workers"
    processes = multiprocessing.get_context("spawn")
    here, there = processes.Pipe(duplex=False)
    process = processes.Process(target=refused_for_lack, args=(shards, tmp_path, there))
    process.start()
    there.close()  # the process's own end alone is left: should it die, `recv` raises
    assert here.poll(300)
    assert re.match(words, here.recv())
    process.join(300)


def test_a_workers_own_message_is_found_among_rays_words() -> None:
    found = _own(
        RuntimeError(f"Worker 1 failed:\n  RuntimeError: {_MARK}shards/: no manifest.json{_MARK}\n  at line 3")
    )
    assert isinstance(found, InputError)
    assert str(found) == "shards/: no manifest.json"
    assert _own(RuntimeError("out of memory")) is None
