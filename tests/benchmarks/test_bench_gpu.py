"""What the benchmark does on a GPU, with a tiny network on the CPU."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.benchmarks import bench_gpu
from tests.benchmarks.bench_gpu import Deadline, Plan, lines
from train.config import TrainConfig
from train.loop.loop import StepReport, train

pytestmark = pytest.mark.slow

SMALL = Plan(
    shots=2,
    backgrounds=2,
    size=(96, 72),
    settings={
        "backbone": "tiny",
        "batch_size": 2,
        "workers": 0,
        "crop_sizes": (64,),
        "input_size": 64,
        "learning_rate": 1e-3,
    },
    ways={"fp32": {}, "bf16, channels-last": {"precision": "bf16", "channels_last": True}},
    warm=1,
    steps=3,
    resumed=2,
)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Its folder, and what it says."""
    folder = tmp_path_factory.mktemp("measured")
    return folder, list(lines(SMALL, folder))


@pytest.fixture
def data(measured: tuple[Path, list[str]]) -> Path:
    return measured[0] / "shards"


def test_each_way_is_measured_and_a_resumed_run_is_compared(measured: tuple[Path, list[str]]) -> None:
    said = measured[1]
    assert said[0].startswith("4 composites of 96 x 72 px")
    rows = {row.split(" | ")[0].removeprefix("| "): row.strip("| ").split(" | ")[1:] for row in said[4:6]}
    assert list(rows) == list(SMALL.ways)
    for speed, waiting, without in rows.values():
        assert 0 < float(speed) <= float(without)
        assert 0 <= float(waiting.removesuffix(" %")) < 100
        assert float(without) == pytest.approx(float(speed) / (1 - float(waiting[:-2]) / 100), rel=0.1)
    assert said[-1] == "resumed: the loss is 0 of it apart from an unbroken run's, at most (2 steps after 2)"


def test_a_run_that_goes_on_otherwise_is_found(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(config: TrainConfig, on_step: object, *words: object) -> object:
        def changed(report: StepReport) -> None:
            losses = {**report.losses, "total": report.losses["total"] * 1.002}
            on_step(StepReport(report.step, losses, 1.0, 0.5))  # type: ignore[operator]

        return train(config, changed if config.out.name == "resumed" else on_step, *words)  # type: ignore[arg-type]

    monkeypatch.setattr(bench_gpu, "train", other)
    monkeypatch.setattr(bench_gpu, "write_composites", lambda *_: data)
    with pytest.raises(bench_gpu.RssnError, match=r"resumed: the loss is 0\.002 of it apart .*; more than 0\.001"):
        list(lines(replace(SMALL, ways={}), tmp_path))


def test_time_that_is_over_ends_the_run_at_work_and_leaves_the_others_out(data: Path, tmp_path: Path) -> None:
    config = bench_gpu._config(SMALL, data, tmp_path / "run", {}, 100)
    over = Deadline(time.monotonic() - 1)
    assert "left out: the time is over" in bench_gpu._row("fp32", SMALL, config, over)
    steps: list[StepReport] = []
    assert train(config, steps.append, over).stopped_by == bench_gpu.SIGTERM  # type: ignore[arg-type]
    assert len(steps) < 2


def test_a_way_that_fails_is_named_and_hides_no_other(data: Path, tmp_path: Path) -> None:
    config = bench_gpu._config(SMALL, data, tmp_path / "run", {"crop_sizes": (64,), "weights": tmp_path}, 4)
    assert bench_gpu._row("fp32", SMALL, config, Deadline(time.monotonic() + 99)).startswith("| fp32 | failed: ")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_ends_well() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.bench_gpu"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "no GPU here: nothing was measured\n")
