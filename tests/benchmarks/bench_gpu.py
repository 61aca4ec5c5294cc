"""`python -m tests.benchmarks.bench_gpu`: a GFM trains on one GPU, within ten minutes, and needs nothing but this code.

For each way to compute: samples a second, what part of the time the GPU waited for data, and its memory; then how far
the losses of a run that stopped and went on are from those of an unbroken one. The composites are rendered here, at the
size of AM-2k's photographs. Without a GPU it says so.
"""

from __future__ import annotations

import multiprocessing
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM, Signals
from typing import Any

import numpy as np
import torch

from rssn.dataset.schema import COMPOSITES, picture
from rssn.dataset.shards import DatasetFolder, shard_name, write_shard
from rssn.errors import RssnError, first_line
from rssn.image.arrays import encode_jpeg, encode_png, to_uint8
from rssn.route.compose import blend
from rssn.storage.files import write_json
from rssn.storage.machine import available_cpus
from rssn.synthetic import render_background, render_shot
from train.config import TrainConfig
from train.loop.loop import StepReport, train

TOLERANCE = 1e-3
"""How far a resumed run's loss may be from an unbroken one's, as a part of it."""

WAYS: Mapping[str, Mapping[str, Any]] = {
    "fp32": {},
    "fp32, channels-last": {"channels_last": True},
    "bf16": {"precision": "bf16"},
    "bf16, channels-last": {"precision": "bf16", "channels_last": True},
    "fp16, channels-last": {"precision": "fp16", "channels_last": True},
    "bf16, channels-last, compiled": {"precision": "bf16", "channels_last": True, "compile": True},
}


@dataclass(frozen=True)
class Plan:
    """What is trained on what, and for how long.

    Attributes:
        shots: Foregrounds.
        backgrounds: Composites of each.
        size: Longer and shorter side of a composite, px.
        settings: Of `TrainConfig`; the defaults here are the paper's for r34.
        ways: Settings of each measurement, beside these.
        warm: Steps that are not counted.
        steps: Steps that are.
        resumed: Steps before a run is stopped, and after.
        seconds: After so many no measurement is begun, and the one at work ends.
    """

    shots: int = 64
    backgrounds: int = 4
    size: tuple[int, int] = (1620, 1080)
    settings: Mapping[str, Any] = field(default_factory=lambda: {"backbone": "r34", "batch_size": 32, "workers": 8})
    ways: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: WAYS)
    warm: int = 10
    steps: int = 50
    resumed: int = 5
    seconds: float = 480.0


@dataclass(frozen=True)
class Deadline:
    """Ends a training when the time is over, as a signal would."""

    at: float  # by `time.monotonic`

    @property
    def received(self) -> Signals | None:
        """SIGTERM, from then on."""
        return SIGTERM if time.monotonic() > self.at else None


def write_composites(plan: Plan, root: Path) -> Path:
    """Render foregrounds, and blend each onto backgrounds: a finished data set, a shard for each foreground."""
    processes = min(plan.shots, available_cpus())
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_write_shot, [plan] * plan.shots, [root] * plan.shots, range(plan.shots)))
    write_json(DatasetFolder(root).manifest_path, {"plan": {"kind": "composites"}})
    return root


def lines(plan: Plan, work: Path) -> Iterator[str]:
    """The report, line by line; the last one says whether the resumed losses are the same.

    Raises:
        RssnError: If they are not.
    """
    started = time.monotonic()
    data = write_composites(plan, work / "shards")
    yield f"{plan.shots * plan.backgrounds} composites of {plan.size[0]} x {plan.size[1]} px, {_machine()}"
    yield f"{time.monotonic() - started:.0f} s to render them; then {plan.warm} steps before {plan.steps} that count"
    yield "| way | samples/s | waiting for data | samples/s but for that | GPU memory |"
    yield "| --- | --- | --- | --- | --- |"
    deadline = Deadline(started + plan.seconds)
    for number, (name, settings) in enumerate(plan.ways.items()):
        yield _row(name, plan, _config(plan, data, work / f"run{number}", settings, plan.warm + plan.steps), deadline)
    apart = resumed_difference(plan, data, work)
    verdict = f"{apart:.1g} of it apart from an unbroken run's, at most ({plan.resumed} steps after {plan.resumed})"
    if not apart <= TOLERANCE:
        raise RssnError(f"resumed: the loss is {verdict}; more than {TOLERANCE:g}")
    yield f"resumed: the loss is {verdict}"


def resumed_difference(plan: Plan, data: Path, work: Path) -> float:
    """The largest difference of the loss between an unbroken run and one that stopped, as a part of the loss."""
    halves = [plan.resumed, 2 * plan.resumed]
    unbroken = _losses(_config(plan, data, work / "unbroken", {}, halves[1]))
    for steps in halves:
        resumed = _losses(_config(plan, data, work / "resumed", {}, steps))
    assert resumed.keys() == set(range(halves[0] + 1, halves[1] + 1)), "it did not go on where it was"
    return max(abs(loss - unbroken[step]) / abs(unbroken[step]) for step, loss in resumed.items())


def _row(name: str, plan: Plan, config: TrainConfig, deadline: Deadline) -> str:
    reports: list[StepReport] = []
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    if deadline.received:
        return f"| {name} | left out: the time is over | | | |"
    try:
        train(config, reports.append, deadline)
    except (RssnError, RuntimeError) as error:  # one way that fails hides no other
        return f"| {name} | failed: {first_line(error)} | | | |"
    counted = reports[plan.warm :]
    if not counted:
        return f"| {name} | the time was over after {len(reports)} steps | | | |"
    samples = config.step_size * len(counted)
    seconds, waited = (sum(getattr(each, of) for each in counted) for of in ("seconds", "waited"))
    memory = f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB" if torch.cuda.is_available() else ""
    figures = f"{samples / seconds:.1f} | {100 * waited / seconds:.1f} % | {samples / (seconds - waited):.1f}"
    return f"| {name} | {figures} | {memory} |"


def _losses(config: TrainConfig) -> dict[int, float]:
    found: dict[int, float] = {}

    def keep(report: StepReport) -> None:
        found[report.step] = report.losses["total"]

    train(config, keep)
    return found


def _config(plan: Plan, data: Path, out: Path, settings: Mapping[str, Any], steps: int) -> TrainConfig:
    fixed = {"schedule": "constant", **plan.settings, **settings}  # with which a run may go on for longer
    return TrainConfig(data=(str(data),), out=out, max_steps=steps, **fixed)


def _write_shot(plan: Plan, root: Path, number: int) -> None:
    write_shard(DatasetFolder(root), shard_name("composites", number, plan.shots), COMPOSITES, _rows(plan, number), [])


def _rows(plan: Plan, number: int) -> Iterator[dict[str, object]]:
    width, height = plan.size
    shot = render_shot(number, width, height)
    for k in range(plan.backgrounds):
        background = render_background(number * plan.backgrounds + k, width, height)
        layers = {
            "image": blend(shot.foreground, background, shot.alpha),
            "foreground": shot.foreground,
            "background": background,
        }
        pictures: dict[str, object] = {
            name: picture(encode_jpeg(to_uint8(layer)), f"{name}.jpg") for name, layer in layers.items()
        }
        alpha = picture(encode_png(to_uint8(shot.alpha)), "alpha.png")
        facts = {"sample_id": f"shot{number}/{k}", "k": k, "width": width, "height": height}
        yield {**pictures, "alpha": alpha, **facts}


def _machine() -> str:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor()
    return f"{device}, {available_cpus()} CPUs, torch {torch.__version__}, numpy {np.__version__}"


def main() -> int:
    """Measure and print; the exit code."""
    if not torch.cuda.is_available():
        print("no GPU here: nothing was measured")  # noqa: T201
        return 0
    with tempfile.TemporaryDirectory() as folder:
        try:
            for line in lines(Plan(), Path(folder)):
                print(line, flush=True)  # noqa: T201
        except RssnError as error:
            print(error)  # noqa: T201
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
