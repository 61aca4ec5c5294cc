"""The best checkpoint of a run by a metric of its validations, and how long ago it was.

Every `last.pt` says which step was the best up to it. A new best is saved as `last.pt` first, which is then copied
to `best.pt`. So whenever a run is killed, the checkpoint it resumes from knows of every step that `best.pt` may hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from itertools import count
from pathlib import Path

from rssn.errors import InputError
from rssn.storage.atomic import sweep
from rssn.storage.files import content_id, write_json
from train.checkpoint import Checkpoint, duplicate, load_checkpoint
from train.config import Plain, TrainConfig
from train.evaluation.examples import ExampleSet
from train.metrics.paper import METRICS
from train.network.strategy import Scales, Strategy


@dataclass(frozen=True)
class Best:
    """The best validation of a run, up to some step."""

    by: str  # the metric, as `am2k/sad`
    weights: str  # of `train.config.WEIGHTS`, those that were evaluated
    judged: str  # a name for the photographs and how the network sees them: only equal ones compare
    step: int
    value: float
    photographs: int  # that could be evaluated
    after: int = 0  # no validation up to this step was looked at; 0: all were
    worse: int = 0  # validations since, none of them better

    def to_plain(self) -> dict[str, Plain]:
        """As a checkpoint stores it."""
        return asdict(self)

    @classmethod
    def from_plain(cls, stored: Mapping[str, Plain]) -> Best | None:
        """What a checkpoint says; None where it says nothing, or not this."""
        kinds = {"str": str, "int": int, "float": float}
        try:
            return cls(**{each.name: kinds[str(each.type)](stored[each.name]) for each in fields(cls)})
        except (KeyError, TypeError, ValueError):
            return None

    def exhausts(self, patience: int) -> bool:
        """Whether there were so many validations since, none of them better; 0 is endless patience."""
        return 0 < patience <= self.worse

    def comparable(self, other: Best) -> bool:
        """Whether both are by the same metric, on the same photographs."""
        return (self.by, self.weights, self.judged) == (other.by, other.weights, other.judged)

    def __str__(self) -> str:
        of, _, metric = self.by.rpartition("/")
        since = f", the best since step {self.after}" if self.after else ""
        return f"step {self.step}, {metric} {self.value:.5g} on {of}{since}"


def validation_id(config: TrainConfig, scales: Scales, examples: Mapping[str, ExampleSet]) -> str:
    """A name for the photographs that choose the best, see `Best.judged`; empty without validation sets."""
    chosen = next((each for each in config.validation if each.name == config.best_metric[0]), None)
    if chosen is None:
        return ""
    seen = (config.validation_strategy or Strategy.as_trained(scales)).describe()
    words = [seen, str(chosen.alpha_scale), *(example.name for example in examples[chosen.name].examples)]
    return content_id(*(word.encode() for word in words))


class BestTracker:
    """Follows the validations of a run, and keeps the checkpoint of the best.

    Args:
        config: The run's settings.
        folder: Its files.
        judged: Of `validation_id`.
        stored: The checkpoint that the run resumes from; None at its start.
        log: Told, in sentences, where the best so far no longer counts, and what is renamed.
    """

    def __init__(
        self, config: TrainConfig, folder: Path, judged: str, stored: Checkpoint | None, log: Callable[[str], None]
    ) -> None:
        self._last, self._path, self._record_path = (folder / name for name in ("last.pt", "best.pt", "best.json"))
        self._patience = config.patience
        self._metric = METRICS[config.best_metric[1]]
        weights = "ema" if config.ema else "raw"
        self._now = Best("/".join(config.best_metric), weights, judged, 0, self._metric.worst, 0)
        self.best = Best.from_plain(stored.best) if stored else None
        self._log = log
        self._foreign = False  # whether best.pt holds a step that does not belong to this run as it is now
        if config.validation:
            sweep(folder, self._record_path.name)
            self._resume(stored.step if stored else 0)

    @property
    def exhausted(self) -> bool:
        """Whether there were as many validations without a better one as the run is patient for."""
        return self.best is not None and self.best.exhausts(self._patience)

    def update(self, step: int, value: float, photographs: int) -> bool:
        """Take in a validation's mean over so many photographs; whether it is the best so far."""
        best = self.best or self._now
        rank = self._metric.rank
        better = math.isfinite(value) and (-photographs, rank(value)) < (-best.photographs, rank(best.value))
        if better:
            self.best = replace(self._now, step=step, value=value, photographs=photographs)
        elif self.best:
            self.best = replace(self.best, worse=self.best.worse + 1)
        return better

    def save(self) -> None:
        """Copy `last.pt`, which must hold the best step, to `best.pt`; another run's `best.pt` is renamed."""
        if self._foreign:
            free = next(path for n in count(1) if not (path := self._path.with_name(f"best.{n}.pt")).exists())
            self._path.rename(free)
            self._foreign = False
            self._log(f"{self._path} is not from this run with its present settings; it was renamed to {free.name}")
        duplicate(self._last, self._path)
        self._write_record()

    def _resume(self, step: int) -> None:
        """Take over the best so far; begin anew where another metric chose it, or `best.pt` does not hold it."""
        before, here = self.best, self._here()
        fits = before is not None and before.comparable(self._now)
        outdone = before and fits and here and here.comparable(before) and here.step <= before.step
        self._foreign = self._path.exists() and not outdone
        if before is None:
            return
        if fits and before.step == step and before.worse == 0:  # perhaps killed between the two files
            self.save()
        elif not fits or here != replace(before, worse=0):
            self.best, self._now = None, replace(self._now, after=step)
            reason = f"is not in {self._path}" if fits else "was chosen by another metric, or on other photographs"
            self._log(f"the best so far, {before}, {reason}; the search for the best starts again at step {step}")
            if not self._path.exists():
                self._record_path.unlink(missing_ok=True)
            return
        self._now = replace(self._now, after=before.after)
        self._write_record()

    def _here(self) -> Best | None:
        """Which step `best.pt` says that it holds; None where there is none, or a damaged one."""
        try:
            return Best.from_plain(load_checkpoint(self._path).best)
        except (InputError, FileNotFoundError):
            return None

    def _write_record(self) -> None:
        if self.best:
            facts = {name: value for name, value in self.best.to_plain().items() if name not in ("judged", "worse")}
            of, _, metric = self.best.by.rpartition("/")
            write_json(self._record_path, {"checkpoint": self._path.name, "set": of, "metric": metric, **facts})
