"""What a training run is: one frozen dataclass, validated when it is made, stored as plain values in checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field

from rssn.errors import InputError
from rssn.storage.files import sha256
from rssn.storage.location import BucketPath, Location, parse_location
from rssn.storage.settings import settings
from rssn.storage.urls import scrub
from rssn.storage.weights import weights_copy, weights_file
from train.metrics.paper import METRICS
from train.network.backbones import backbone_named
from train.network.networks import OPTIONAL, OptimiserKind, Span, Update, network_named
from train.network.strategy import Strategy
from train.targets.rosta import Rosta
from train.validation_sets import ValidationSet

Plain: TypeAlias = str | int | float | list[Any] | dict[str, Any] | None

WEIGHTS = ("raw", "ema")
"""Of a checkpoint: as the optimiser left them, or their moving average."""

_OPTIONS = {
    "crop_sizes": "--crop-size",
    "ablations": "--ablation",
    "mixture": "--mix",
    "losses": "--loss-weight",
    "step_size": "--batch-size times --accumulate times the number of processes",
}
"""Of `train run`, where it is not called as the setting."""

_FREE_ON_RESUME = frozenset(
    {
        "data", "out", "checkpoint_every", "keep", "workers", "keep_decoded", "compile", "tensorboard", "batch_size",
        "validation", "validate_every", "validation_side", "validation_hybrid",
        "best_by", "patience", "weights", "part_weights", "override",
    }
)  # fmt: skip
"""Settings that may be others when a run is resumed."""

FIXED = frozenset({"network", "backbone", "rosta", "ablations", "width", "init"})
"""Settings that a run has for good: which tensors its network has, and where they came from."""

ORDER = frozenset({"seed", "mixture"})
"""Settings that the order of the samples depends on."""

_FORMERLY: Mapping[str, Plain] = {
    "network": "gfm", "width": 1.0,
    "accumulate": 1, "schedule": "constant", "warm_up": None, "freeze": [], "freeze_stages": 0,
    "encoder_rate": 1.0,
}  # fmt: skip
"""What runs did of which an earlier version stored no setting."""

Count: TypeAlias = Annotated[int, Field(ge=0, le=10**12)]
Positive: TypeAlias = Annotated[int, Field(ge=1, le=10**12)]
Batch: TypeAlias = Annotated[int, Field(ge=1, le=1 << 16)]
Side: TypeAlias = Annotated[int, Field(ge=1, le=1 << 16)]
Weight: TypeAlias = Annotated[float, Field(ge=0)]


def parse_loss_weights(words: tuple[str, ...]) -> dict[str, float]:
    """From `name=value` words.

    Raises:
        InputError: If a value is no number.
    """
    found: dict[str, float] = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            found[name] = float(value)
        except ValueError as error:
            raise InputError(f"--loss-weight {word}: give NAME=NUMBER, as in composition=0") from error
    return found


@dataclass(frozen=True)
class Origin:
    """A file of weights that a run starts from."""

    path: Location
    digest: str  # sha256; empty where the file is gone

    @classmethod
    def of(cls, path: Location) -> Origin:
        """With the file's digest."""
        return cls(path, sha256(weights_copy(path)) if path.is_file() else "")

    @classmethod
    def stored(cls, plain: Plain) -> Origin | None:
        """As `TrainConfig.to_plain` stores it."""
        if not isinstance(plain, dict):
            return None
        return cls(parse_location(str(plain.get("path"))), str(plain.get("digest")))

    def same(self, other: Origin | None) -> bool:
        """Whether another is this file, be it in another place; one that is gone is known by its path."""
        known = self.digest and other is not None and other.digest
        return other is not None and (self.digest == other.digest if known else self.path == other.path)

    def __str__(self) -> str:
        return f"{self.path} (sha256 {self.digest[:12] or 'unknown'})"


def _sorted(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


@settings
class TrainConfig:
    """The settings of `train run`. Network, crops and losses are the paper's by default (section 5.2.2).

    How fast it learns is not: the paper's rate of 1e-5 is for the 900,000 samples of its COMP-Track; `train.presets`
    has the paper's settings.

    Raises:
        InputError: If a value is out of its bounds, or values do not go together.
    """

    data: tuple[str, ...]  # folders or URLs of shards
    out: Location  # a folder, or one in a bucket: checkpoints, metrics and curve
    mixture: tuple[float, ...] = ()  # share of samples from each of `data`; empty: each row once an epoch
    network: str = "gfm"  # of `train.network.networks.NETWORKS`
    backbone: str = "r34"
    rosta: Annotated[Rosta, BeforeValidator(Rosta)] = Rosta.TT
    ablations: tuple[Literal["single", "no-ppm", "no-bb"], ...] = ()  # what of `train.network.gfm.Ablation` is left out
    width: Annotated[float, Field(gt=0, le=4)] = 1.0  # factor of the channels beside the encoder
    max_steps: Positive = 10_000
    batch_size: Batch = 4  # samples that a process computes with at once
    accumulate: Batch = 1  # such batches of each process to a step
    world_size: int = 1  # processes
    optimiser: OptimiserKind = "adamw"
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 5e-4  # the highest of the schedule
    schedule: Literal["constant", "cosine", "poly"] = "cosine"  # of the learning rate, see `train.loop.optimiser`
    warm_up: Annotated[int, Field(ge=0)] | None = None  # steps in which the rate rises; None: the schedule's own
    weight_decay: Annotated[float, Field(ge=0, le=1e6)] = 0.01  # of weights; biases and norms have none
    clip: Weight = 0.0  # norm to which gradients are clipped; 0: they are not
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999  # decay of the weights' moving average; 0: none is kept
    losses: Mapping[str, float] = field(default_factory=dict)  # factors of the terms' own weights; 1 where not named
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    channels_last: bool = False
    compile: bool = False
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 0
    crop_sizes: Annotated[tuple[Side, ...], Field(min_length=1)] = (640, 960, 1280)  # px, of the square crops
    input_size: Annotated[int, Field(multiple_of=32, ge=64, le=1 << 13)] = 320  # px, what a crop is resized to
    weights: Location | None = None  # a state dict for the encoder, in torchvision's or timm's names
    part_weights: tuple[str, ...] = ()  # PART=FILE, as `weights` for a further encoder
    init: Origin | None = None  # a whole network to start from
    freeze: Annotated[tuple[Literal["encoder", "norms"], ...], AfterValidator(_sorted)] = ()  # what does not learn
    freeze_stages: Annotated[int, Field(ge=0, le=8)] = 0  # the encoder's first ones, which do not learn
    encoder_rate: Annotated[float, Field(ge=1e-6, le=1e6)] = 1.0  # factor of the learning rate, for the encoder
    checkpoint_every: Positive = 500  # steps
    keep: Count = 0  # older checkpoints beside last.pt
    workers: Annotated[int, Field(ge=0, le=1 << 10)] = 1  # processes that prepare samples; 0: this one does
    keep_decoded: Count = 0  # MB of rows and their decoded pictures that are kept for later epochs, in all processes
    validation: tuple[ValidationSet, ...] = ()
    validate_every: Positive = 1000  # steps; there is a validation after the last one, too
    best_by: str = "sad"  # what chooses best.pt: a metric of the first validation set, or SET/METRIC
    patience: Count = 0  # validations without a better one after which the run ends; 0: it goes on
    validation_side: int | None = None  # px, see `train.network.strategy`; None and no hybrid: as trained
    validation_hybrid: tuple[str, str] | None = None  # d1 and d2 of Table 2, as fractions or decimals
    tensorboard: bool = False
    override: bool = False  # resume an earlier run although it had other settings

    @staticmethod
    def key_name(name: str) -> str:
        """The option by which `train run` takes a setting, with its dashes."""
        return _OPTIONS.get(name, "--" + name.replace("_", "-"))

    def __post_init__(self) -> None:
        backbone_named(self.backbone)
        self._check_network()
        shortest = min(self.spans, key=lambda span: span.length)
        if self.warm_up is not None and self.warm_up >= shortest.length:
            words = f" of the stage {shortest.stage.name}" if len(self.spans) > 1 else ""
            raise InputError(f"--warm-up {self.warm_up}: must be less than the {shortest.length} steps{words}")
        if "single" in self.ablations and ("no-ppm" in self.ablations or self.rosta is not Rosta.TT):
            raise InputError("--ablation single: without a glance there is no PPM, and only --rosta TT")
        chosen, metric = self.best_metric
        if chosen not in ["", *(each.name for each in self.validation)] or metric not in METRICS:
            sets = " or ".join(each.name for each in self.validation)
            raise InputError(f"--best-by {self.best_by}: give one of {', '.join(METRICS)}, or {sets or 'SET'}/METRIC")
        if self.mixture and len(self.mixture) != len(self.data):
            raise InputError(f"--mix: {len(self.mixture)} shares for {len(self.data)} sets; give one for each --data")
        if self.mixture and not (min(self.mixture) >= 0 and 0 < sum(self.mixture) < math.inf):
            raise InputError(f"--mix {self.mixture}: shares must be 0 or more, and not all 0")
        _ = self.validation_strategy

    def _check_network(self) -> None:
        """Refuse what the network has no use for."""
        row = network_named(self.network)
        defaults = {each.name: each.default for each in fields(self)}
        for name in OPTIONAL:
            if name in defaults and name not in row.takes and getattr(self, name) != defaults[name]:
                raise InputError(f"{self.key_name(name)}: the network {row.name} has no use for it; leave it out")
        unknown = [name for name in self.losses if name not in row.terms]
        if unknown:
            words = f"the network {row.name} has no such term; it has {', '.join(row.terms)}"
            raise InputError(f"--loss-weight {unknown[0]}={self.losses[unknown[0]]:g}: {words}")
        negative = [name for name, factor in self.losses.items() if factor < 0]
        if negative:
            raise InputError(f"--loss-weight {negative[0]}={self.losses[negative[0]]:g}: expected 0 or more")
        if not all(any(self.weights_of(each).values()) for stage in row.stages for each in stage.updates):
            raise InputError(f"--loss-weight {self.losses}: all are 0; nothing would be learned")
        if self.patience and len(row.stages) > 1:
            words = f"{row.name} learns in stages, and mattes of all but the last say little; leave it out"
            raise InputError(f"--patience {self.patience}: {words}")
        self.parse_part_weights()

    def parse_part_weights(self) -> dict[str, Location]:
        """Files of weights for further encoders, by the names of parts.

        Raises:
            InputError: If the network has no such part.
        """
        parts = network_named(self.network).parts
        found: dict[str, Location] = {}
        for word in self.part_weights:
            part, _, path = word.partition("=")
            if part not in parts or not path:
                known = "; ".join(f"{name}=FILE with {what}" for name, what in parts.items())
                raise InputError(f"--part-weights {scrub(word)}: the network {self.network} takes {known or 'none'}")
            found[part] = weights_file(path)
        return found

    def weights_of(self, update: Update) -> dict[str, float]:
        """The weights of the terms of a loss."""
        return {name: weight * self.losses.get(name, 1.0) for name, weight in update.terms.items()}

    @property
    def spans(self) -> list[Span]:
        """The stages of the run."""
        return network_named(self.network).spans(self.max_steps)

    @property
    def reads_colours(self) -> bool:
        """Whether a loss reads F and B."""
        return any(self.losses.get(name, 1.0) for name in network_named(self.network).coloured)

    @property
    def validation_strategy(self) -> Strategy | None:
        """What validation sees of a photograph; None: what training saw.

        Raises:
            InputError: If the settings make no strategy.
        """
        try:
            return Strategy.parse(self.validation_side, self.validation_hybrid)
        except InputError as error:
            words = str(error).replace("--max-side", "--validation-side").replace("--hybrid", "--validation-hybrid")
            raise InputError(words) from error

    @property
    def rank_size(self) -> int:
        """Samples of a step and process."""
        return self.batch_size * self.accumulate

    @property
    def step_size(self) -> int:
        """Samples of a step, of all processes together."""
        return self.rank_size * self.world_size

    @property
    def best_metric(self) -> tuple[str, str]:
        """The set and the metric of `best_by`; without sets the first is empty."""
        chosen, _, metric = self.best_by.rpartition("/")
        return chosen or (self.validation[0].name if self.validation else ""), metric

    def to_plain(self) -> dict[str, Plain]:
        """The settings as values that `torch.load(weights_only=True)` and JSON know."""
        plain = {each.name: _plain(getattr(self, each.name)) for each in fields(self)}
        weights: dict[str, Plain] = {name: self.losses.get(name, 1.0) for name in network_named(self.network).terms}
        return plain | {"losses": weights, "step_size": self.step_size}

    def difference(self, stored: Mapping[str, Plain]) -> dict[str, str]:
        """In which settings a stored run of the same folder differs, and how; those that may change are left out.

        Only a constant rate in a single stage does not depend on where the run ends.
        """
        endless = self.schedule == "constant" and len(self.spans) == 1
        free = _FREE_ON_RESUME | {"world_size"} | ({"max_steps"} if endless else set())
        before = {**_FORMERLY, **stored}
        origin = Origin.stored(before.get("init"))
        if self.init is None or self.init.same(origin):
            free |= {"init"}
        before["init"] = str(origin)
        now = {**self.to_plain(), "init": f"{self.init}; leave it out to resume"}
        return {
            name: f"{self.key_name(name)} was {before.get(name)}, now {value}"
            for name, value in now.items()
            if name not in free and before.get(name) != value
        }


def _plain(value: object) -> Plain:
    if is_dataclass(value) and not isinstance(value, BucketPath):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if value is None or type(value) in (bool, int, float, str):
        return value  # type: ignore[return-value]
    return str(value)
