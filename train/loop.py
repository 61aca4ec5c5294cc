"""The training loop: one process, one loop, Adam at a fixed rate (section 5.2.2).

A step is a function of the seed, the data and the steps before it, so a resumed run gives the same losses. Nothing is
printed here: the caller hears of every step through `on_step`.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType

import torch

from rssn.errors import InputError, RssnError
from rssn.shards import write_json
from train.batch import Batch
from train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from train.config import TrainConfig
from train.curve import draw_curve
from train.data import batches, open_dataset
from train.device import best_device
from train.history import History
from train.losses import gfm_losses
from train.network.gfm import GFM, seeded_gfm


class NonFiniteLoss(RssnError):
    """Training diverged; the message names the step, the terms and the samples."""


@dataclass(frozen=True)
class StepReport:
    """What a finished step says."""

    step: int  # counted from 1
    losses: dict[str, float]
    seconds: float  # since the step before, loading included


@dataclass(frozen=True)
class TrainResult:
    """How a run ended."""

    step: int
    checkpoint: Path
    curve: Path
    stopped_by: signal.Signals | None  # the signal that ended it early


class _Trainer:
    """A network, its optimiser and its position."""

    def __init__(self, config: TrainConfig, data_digest: str) -> None:
        self.config = config
        self.data_digest = data_digest
        self.device = best_device()
        self.path = config.out / "last.pt"
        stored = load_checkpoint(self.path) if self.path.is_file() else None
        if stored:
            self._check(stored)
        weights = None if stored else config.weights
        self.network: GFM = seeded_gfm(config.backbone, config.rosta, config.seed, weights, config.ablations)
        self.network.to(self.device).train()
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate)
        self.step = 0
        if stored:
            self.network.load_state_dict(stored.model)
            self.optimiser.load_state_dict(dict(stored.optimiser))
            self.step = stored.step

    def update(self, batch: Batch) -> dict[str, float]:
        """One step of the optimiser; a loss that is not finite changes nothing."""
        batch = batch.to(self.device)
        losses = gfm_losses(self.network(batch.image), batch)
        values = {name: float(value.detach()) for name, value in losses.items()}
        if not torch.isfinite(losses["total"]):
            terms = ", ".join(f"{name} {value:g}" for name, value in values.items())
            raise NonFiniteLoss(
                f"step {self.step + 1}: the loss is not finite ({terms}); samples: {', '.join(batch.sample_ids)}; "
                f"look at them with `rssn inspect`, or lower --learning-rate; {self.path} is from before"
            )
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(losses["total"])
        self.optimiser.step()
        self.step += 1
        return values

    def save(self) -> None:
        """Write the checkpoint of this step."""
        state = Checkpoint(
            step=self.step,
            config=self.config.to_plain(),
            data_digest=self.data_digest,
            model=self.network.state_dict(),
            optimiser=self.optimiser.state_dict(),
        )
        save_checkpoint(self.path, state)

    def _check(self, stored: Checkpoint) -> None:
        different = self.config.difference(stored.config)
        if stored.data_digest != self.data_digest:
            different.append(f"--data {self.config.data} holds other shards than before")
        if different:
            raise InputError(f"{self.path}: this run was started otherwise: {'; '.join(different)}; give another --out")


def train(config: TrainConfig, on_step: Callable[[StepReport], None]) -> TrainResult:
    """Train until `config.max_steps`, from where `config.out` stopped, or from the start.

    Writes `last.pt`, `metrics.jsonl`, `config.json` and, at the end, `curve.png` into `config.out`. The first SIGINT or
    SIGTERM ends the run after the step at hand and saves; a second one has its usual effect.

    Raises:
        InputError: If the data, the weights or an earlier run in the same folder do not fit.
        NonFiniteLoss: If the loss is not finite; the last checkpoint stays.
    """
    dataset = open_dataset(config)
    trainer = _Trainer(config, dataset.digest)
    history = History(config.out / "metrics.jsonl", keep=trainer.step)
    write_json(config.out / "config.json", config.to_plain())
    with _StopSignals() as stop:
        before = time.perf_counter()
        for batch in batches(dataset, config, trainer.step):
            losses = trainer.update(batch)
            now = time.perf_counter()
            history.append(trainer.step, losses, now - before)
            on_step(StepReport(trainer.step, losses, now - before))
            before = now
            if stop.received:
                break
            if trainer.step % config.checkpoint_every == 0:
                trainer.save()
        trainer.save()
    curve = draw_curve(history.read(), config.out / "curve.png")
    return TrainResult(trainer.step, trainer.path, curve, stop.received)


class _StopSignals:
    """Notes the first SIGINT or SIGTERM instead of dying of it; main thread only, as Python's signals are."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> _StopSignals:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = signal.Signals(number)
        for each, handler in self._before.items():
            signal.signal(each, handler)  # type: ignore[arg-type]
