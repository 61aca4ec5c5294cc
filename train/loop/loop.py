"""The training loop (section 5.2.2): the same for one process, for those of `torchrun` and for those of Ray Train.

A step is a function of the seed, the data and the steps before it, so a resumed run gives the same losses. Nothing is
printed here: every step is reported through `on_step`.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from rssn.errors import InputError
from rssn.storage.atomic import sweep
from rssn.storage.files import write_json
from rssn.storage.location import Location
from train.batch import Batch
from train.checkpoint import Checkpoint, load_checkpoint, rotate, save_checkpoint
from train.config import Origin, TrainConfig
from train.data.loader import ShardDataset, staged_batches
from train.evaluation.examples import ExampleSet, find_validation
from train.loop.best import Best, BestTracker, validation_id
from train.loop.curve import draw_curve
from train.loop.distributed import Group, process_group
from train.loop.history import History, TensorBoardLogger
from train.loop.learner import Learner
from train.loop.resume import resume
from train.loop.run_folder import RunFolder, open_run
from train.network.networks import network_named
from train.signals import Stop, StopSignals

if TYPE_CHECKING:
    from train.evaluation.validation import Validation


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
    checkpoint: Location
    curve: Location
    stopped_by: signal.Signals | None  # the signal that ended it early
    best: Best | None = None  # the best validation, whose checkpoint is `best.pt`; known to rank 0 alone


def train(
    config: TrainConfig,
    on_step: Callable[[StepReport], None],
    stop: Stop | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> TrainResult:
    """Train until `config.max_steps`, from where `config.out` stopped, or from the start.

    Writes `last.pt`, `metrics.jsonl`, `config.json` and, at the end, `curve.png` into `config.out`, and of the best
    validation so far `best.pt` and `best.json`. The first SIGINT or SIGTERM ends the run after the step at hand and
    saves; a second one has its usual effect. So does what `stop` says, where it is given. After `config.patience`
    validations without a better one the run ends, too. `say` is told what a user should know besides the
    steps, in sentences. Where `config.out` is in a bucket, see `train.loop.run_folder`.

    Raises:
        InputError: If the data, the weights, the validation set or an earlier run in the same folder do not fit, or
            another run is at work there.
        NonFiniteLoss: If the loss is not finite; the last checkpoint stays.
    """
    with process_group() as group:
        return _train(config, group, on_step, stop, say if group.is_rank_zero else lambda _: None)


def _train(
    config: TrainConfig,
    group: Group,
    on_step: Callable[[StepReport], None],
    stop: Stop | None,
    say: Callable[[str], None],
) -> TrainResult:
    """A function of its own, so that nothing uses the group any more when it is left: that would wait for ever."""
    dataset = ShardDataset(config)
    examples = find_validation(config.validation, config.out)  # a set that is none is refused now, not hours later
    with open_run(config.out, config.keep, say) if group.is_rank_zero else nullcontext() as folder:
        run = _Run(config, group, folder, dataset, examples, say)
        with StopSignals() as signals:
            stop = stop or signals
            stream = staged_batches(dataset, config, run.learner.place, group.rank, stop)
            stopped_by = run.steps(stream, stop, on_step)
        return run.finish(stopped_by)


class _Run:
    """A learner, its records, and its files; only rank 0 has them."""

    def __init__(
        self,
        config: TrainConfig,
        group: Group,
        folder: RunFolder | None,  # None: of another rank than 0
        dataset: ShardDataset,
        examples: Mapping[str, ExampleSet],
        say: Callable[[str], None],
    ) -> None:
        self.config = config
        self.group = group
        self.folder = folder
        self.data_digest = dataset.digest
        self.examples = examples
        stored = self._stored(say)
        if stored:  # the weights that it started from are not looked at again, nor forgotten
            self.config = config = replace(config, init=Origin.stored(stored.config.get("init")))
        if config.precision == "fp16" and group.device.type == "cpu":
            say("--precision fp16 on a CPU takes ten times as long as fp32, and bf16 does not; it is for GPUs")
        self.learner = Learner(config, group, stored)
        self.learner.network.scales = dataset.scales
        if self.learner.started:
            say(self.learner.started)
        self.written: int | None = None  # the step of the last.pt that this process wrote
        self.is_published = True  # whether a bucket has, or is about to have, the checkpoint that was written last
        if folder:
            path = folder.path
            judged = validation_id(config, dataset.scales, examples)
            self.tracker = BestTracker(config, path, judged, stored, lambda words: say(folder.shown(words)))
            self.history = History(path / "metrics.jsonl", keep=self.learner.step)
            self.tensorboard = TensorBoardLogger(
                path / "tensorboard" if config.tensorboard else None, self.learner.step
            )
            sweep(path, "config.json")
            write_json(path / "config.json", config.to_plain())

    def steps(
        self, stream: Iterator[Batch], stop: Stop, on_step: Callable[[StepReport], None]
    ) -> signal.Signals | None:
        """Take every batch of the stream, or those until patience ends or a signal comes to any of the processes."""
        if self._patience_ends():
            return None
        before = time.perf_counter()
        for batch in chain(stream, (None,)):
            waited = time.perf_counter() - before
            number = self._agreed(int(stop.received or 0))  # each has its batch, or a signal came while it waited
            if number or batch is None:
                return signal.Signals(number) if number else None
            losses = self.learner.update(batch)
            found = self._validate() if self._due() else None
            now = time.perf_counter()
            if self.folder:
                on_step(self._record(self.folder, losses, found, now - before, waited))
            before = now
            if self.learner.step % self.config.checkpoint_every == 0:
                self.save()
            self._publish()
            if self._due() and self._patience_ends():
                return None
        return None

    def save(self) -> None:
        """Write the checkpoint of this step, and rotate older ones."""
        if self.folder:
            rotate(self._write(self.folder), self.learner.step, self.config.keep)

    def finish(self, stopped_by: signal.Signals | None) -> TrainResult:
        """Save, and draw the curve."""
        self.save()
        out, best = self.config.out, None
        if self.folder:
            self.tensorboard.close()
            terms = network_named(self.config.network).terms
            draw_curve(self.history.read(), self.folder.path / "curve.png", self.config.best_metric[1], terms)
            self.folder.publish()
            best = self.tracker.best
        return TrainResult(self.learner.step, out / "last.pt", out / "curve.png", stopped_by, best)

    def _due(self) -> bool:
        """Whether this step is validated: every so many are, and the last."""
        step, last = self.learner.step, self.config.max_steps
        return bool(self.config.validation) and (step % self.config.validate_every == 0 or step == last)

    def _validate(self) -> Validation | None:
        if not self.folder:
            return None
        from train.evaluation.validation import validate  # noqa: PLC0415  (loads compiled kernels, which take a second)

        state = self.learner.state(self.data_digest)
        return validate(self.learner.network, state, self.config, self.examples, self.folder.path)

    def _record(
        self, folder: RunFolder, losses: Mapping[str, float], found: Validation | None, seconds: float, waited: float
    ) -> StepReport:
        """Write down a step; the checkpoint of the best validation so far is kept."""
        step, figures = self.learner.step, {**losses, **(found.metrics if found else {})}
        self.history.append(step, figures, seconds)
        self.tensorboard.append(step, figures, found.pictures if found else {})
        if found:
            of, metric = self.config.best_metric
            if self.tracker.update(step, figures[f"validation/{of}/{metric}"], found.photographs[of]):
                self._write(folder)
                self.tracker.save()
        return StepReport(step, figures, seconds, waited, found.notes if found else ())

    def _write(self, folder: RunFolder) -> Path:
        path = folder.path / "last.pt"
        if self.written != self.learner.step:
            best = self.tracker.best.to_plain() if self.tracker.best else {}
            save_checkpoint(path, replace(self.learner.state(self.data_digest), best=best))
            self.written, self.is_published = self.learner.step, False
        return path

    def _publish(self) -> None:
        """Let a bucket have the checkpoint of this step, and all that goes with it."""
        if self.folder and not self.is_published:
            self.tensorboard.flush()
            self.folder.publish()
            self.is_published = True

    def _patience_ends(self) -> bool:
        """Whether rank 0 has seen enough validations without a better one."""
        return bool(self._agreed(int(self.group.is_rank_zero and self.tracker.exhausted)))

    def _agreed(self, number: int) -> int:
        """The largest of all processes' numbers, so that all stop after the same step."""
        if self.group.size == 1:
            return number
        found = torch.tensor(float(number), device=self.group.device)
        torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX)
        return int(found)

    def _stored(self, say: Callable[[str], None]) -> Checkpoint | None:
        """The checkpoint to resume from, if the folder holds a run."""
        name = self.config.out / "last.pt"
        path = self.folder.path / "last.pt" if self.folder else name
        if not path.is_file():
            if self.config.override:
                raise InputError(f"--override has no effect here: {self.config.out} holds no run to resume")
            return None
        stored, overridden = resume(name, load_checkpoint(path), self.config, self.data_digest)
        for words in overridden:
            say(f"--override: {words}")
        return stored
