"""The training loop (section 5.2.2): the same for one process, for those of `torchrun` and for those of Ray Train.

A step is a function of the seed, the data and the steps before it, so a resumed run gives the same losses. Nothing is
printed here: the caller hears of every step through `on_step`.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch

from rssn.errors import InputError
from rssn.files import sweep, write_json
from train.batch import Batch
from train.checkpoint import Checkpoint, load_checkpoint, rotate, save_checkpoint
from train.config import TrainConfig
from train.curve import draw_curve
from train.data import ShardDataset, batches
from train.distributed import Group, joined
from train.examples import find_examples
from train.folder import owned
from train.history import Board, History
from train.learner import Learner
from train.resume import resumed
from train.stopping import Stop, StopSignals


@dataclass(frozen=True)
class StepReport:
    """What a finished step says."""

    step: int  # counted from 1
    losses: dict[str, float]
    seconds: float  # since the step before, loading included
    waited: float  # of them, for data
    notes: tuple[str, ...] = ()  # what a validation found besides its metrics


@dataclass(frozen=True)
class TrainResult:
    """How a run ended."""

    step: int
    checkpoint: Path
    curve: Path
    stopped_by: signal.Signals | None  # the signal that ended it early


def train(
    config: TrainConfig,
    on_step: Callable[[StepReport], None],
    stop: Stop | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> TrainResult:
    """Train until `config.max_steps`, from where `config.out` stopped, or from the start.

    Writes `last.pt`, `metrics.jsonl`, `config.json` and, at the end, `curve.png` into `config.out`. The first SIGINT or
    SIGTERM ends the run after the step at hand and saves; a second one has its usual effect. So does what `stop` says,
    where it is given. `say` is told what a user should know before the first step, in sentences.

    Raises:
        InputError: If the data, the weights, the validation set or an earlier run in the same folder do not fit, or
            another run is at work there.
        NonFiniteLoss: If the loss is not finite; the last checkpoint stays.
    """
    with joined() as group:
        return _train(config, group, on_step, stop, say if group.chief else lambda _: None)


def _train(
    config: TrainConfig,
    group: Group,
    on_step: Callable[[StepReport], None],
    stop: Stop | None,
    say: Callable[[str], None],
) -> TrainResult:
    """A function of its own, so that nothing uses the group any more when it is left: that would wait for ever."""
    dataset = ShardDataset(config)
    if config.validation is not None:
        find_examples(config.validation, config.out, config.alpha_scale)  # hours before it is needed
    with owned(config.out) if group.chief else nullcontext():
        run = _Run(config, group, dataset.digest, say)
        with StopSignals() as signals:
            stop = stop or signals
            stream = batches(dataset, config, run.learner.place, group.rank, stop)
            stopped_by = run.steps(stream, stop, on_step)
        return run.finish(stopped_by)


class _Run:
    """A learner, its records, and its files; only the chief of the group writes."""

    def __init__(self, config: TrainConfig, group: Group, data_digest: str, say: Callable[[str], None]) -> None:
        self.config = config
        self.group = group
        self.data_digest = data_digest
        self.path = config.out / "last.pt"
        stored = self._stored(say)
        if config.precision == "fp16" and group.device.type == "cpu":
            say("--precision fp16 on a CPU takes ten times as long as fp32, and bf16 does not; it is for GPUs")
        self.learner = Learner(config, group, stored)
        if group.chief:
            self.history = History(config.out / "metrics.jsonl", keep=self.learner.step)
            self.board = Board(config.out / "tensorboard" if config.tensorboard else None, self.learner.step)
            sweep(config.out, "config.json")
            write_json(config.out / "config.json", config.to_plain())

    def steps(
        self, stream: Iterator[Batch], stop: Stop, on_step: Callable[[StepReport], None]
    ) -> signal.Signals | None:
        """Take every batch of the stream, or those until a signal comes to any of the processes."""
        before = time.perf_counter()
        for batch in chain(stream, (None,)):
            waited = time.perf_counter() - before
            number = self._agreed(stop)  # each has its batch, or heard a signal while it waited for one
            if number or batch is None:
                return signal.Signals(number) if number else None
            losses = self.learner.update(batch)
            notes = self._validate(losses)
            now = time.perf_counter()
            if self.group.chief:
                self.history.append(self.learner.step, losses, now - before)
                self.board.append(self.learner.step, losses)
                on_step(StepReport(self.learner.step, losses, now - before, waited, notes))
            before = now
            if self.learner.step % self.config.checkpoint_every == 0:
                self.save()
        return None

    def save(self) -> None:
        """Write the checkpoint of this step, and rotate older ones."""
        if self.group.chief:
            save_checkpoint(self.path, self.learner.state(self.data_digest))
            rotate(self.path, self.learner.step, self.config.keep)

    def finish(self, stopped_by: signal.Signals | None) -> TrainResult:
        """Save, and draw the curve."""
        self.save()
        curve = self.config.out / "curve.png"
        if self.group.chief:
            self.board.close()
            draw_curve(self.history.read(), curve)
        return TrainResult(self.learner.step, self.path, curve, stopped_by)

    def _validate(self, losses: dict[str, float]) -> tuple[str, ...]:
        """Add the metrics of a validation step to its losses; what else it found is returned."""
        due = self.config.validation is not None and self.learner.step % self.config.validate_every == 0
        if not due or not self.group.chief:
            return ()
        from train.validation import validate  # noqa: PLC0415  (loads compiled kernels, which take a second)

        found = validate(self.learner.network, self.learner.state(self.data_digest), self.config)
        losses |= found.metrics
        return found.notes

    def _agreed(self, stop: Stop) -> int:
        """The number of a signal that came to any of the processes, 0 for none: all stop after the same step."""
        number = int(stop.received or 0)
        if self.group.size == 1:
            return number
        found = torch.tensor(float(number), device=self.group.device)
        torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX)
        return int(found)

    def _stored(self, say: Callable[[str], None]) -> Checkpoint | None:
        """What to go on from, if the folder holds a run."""
        if not self.path.is_file():
            if self.config.override:
                raise InputError(f"--override has no effect here: {self.config.out} holds no run to go on with")
            return None
        stored, overridden = resumed(self.path, load_checkpoint(self.path), self.config, self.data_digest)
        for words in overridden:
            say(f"--override: {words}")
        return stored
