"""The training loop in the workers of Ray Train, for `train run --ray-workers N` over a Ray cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from rssn.errors import DependencyError, InputError, RssnError
from train.checkpoint import load_checkpoint
from train.config import TrainConfig
from train.device import available_cpus, limit_threads
from train.loop import StepReport, TrainResult, train

_PAUSE = 10.0  # seconds between two lines of progress


def train_on_ray(config: TrainConfig) -> TrainResult:
    """Train with `config.world_size` workers of a Ray cluster (`RAY_ADDRESS`), or of one that is started here.

    `config.out`, and local `config.data`, must lie where every worker reaches them.

    Raises:
        DependencyError: If Ray Train is not installed.
        RssnError: What a worker refused, as `train.loop.train` does.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry
    os.environ.setdefault("RAY_TRAIN_ENABLE_PRINT_PATCH", "0")
    try:
        from ray.train import RunConfig, ScalingConfig  # noqa: PLC0415  (optional, and slow to load)
        from ray.train.torch import TorchTrainer  # noqa: PLC0415
    except ImportError as error:
        raise DependencyError(
            f"--ray-workers: Ray Train is not installed ({error}): pip install 'rssn[ray-train]'"
        ) from error
    config = replace(config, out=config.out.absolute(), data=tuple(_absolute(root) for root in config.data))
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"config": config},
        scaling_config=ScalingConfig(num_workers=config.world_size, use_gpu=torch.cuda.is_available()),
        run_config=RunConfig(name="ray", storage_path=str(config.out)),
    )
    try:
        trainer.fit()
    except Exception as error:
        raise _own(error) or error from None
    checkpoint = config.out / "last.pt"
    return TrainResult(load_checkpoint(checkpoint).step, checkpoint, config.out / "curve.png", None)


def _worker(settings: dict[str, Any]) -> None:
    config: TrainConfig = settings["config"]
    limit_threads(max(1, available_cpus() // config.world_size))
    try:
        train(config, _line_by_line(config))
    except RssnError as error:
        raise RuntimeError(f"{_MARK}{error}{_MARK}") from error


_MARK = "\u2063"  # invisible; around a message of ours among Ray's words


def _own(error: Exception) -> RssnError | None:
    """The message of a worker's own error, if that is what ended the run."""
    parts = str(error).split(_MARK)
    return InputError(parts[1]) if len(parts) >= 3 else None


def _line_by_line(config: TrainConfig) -> Callable[[StepReport], None]:
    shown = 0.0

    def show(report: StepReport) -> None:
        nonlocal shown
        if time.monotonic() - shown > _PAUSE or report.step == config.max_steps:
            shown = time.monotonic()
            speed = config.step_size / report.seconds
            print(f"step {report.step} of {config.max_steps}: loss {report.losses['total']:.4f}, {speed:.1f} samples/s")  # noqa: T201

    return show


def _absolute(root: str) -> str:
    return root if "://" in root else os.path.abspath(root)  # noqa: PTH100  (a Path would fold the slashes of a URL)
