"""Networks as data: what the trainer, the loader and the command line have to know of each. No torch here.

A network is one file in this folder and one row here. The row says how it learns, in stages; the file what it computes,
see `train.network.network`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Literal, TypeAlias

from rssn.errors import InputError

OptimiserKind: TypeAlias = Literal["adam", "adamw", "sgd"]


@dataclass(frozen=True)
class OwnOptimiser:
    """An optimiser that has nothing of the run's settings: its rate is constant, and nothing decays."""

    kind: OptimiserKind
    rate: float
    betas: tuple[float, float] = (0.9, 0.999)


@dataclass(frozen=True)
class Update:
    """What a step does to some parts of a network: a pass, a loss, a step of an optimiser."""

    method: str  # of the network, that is run
    terms: Mapping[str, float]  # of the loss, with their weights
    reads: tuple[str, ...] = ("image",)  # what the method takes: fields of `train.batch.Batch`, or `predicted.NAME`
    trains: tuple[str, ...] = ()  # the parts that learn, by the names of modules; none: all of the network
    rate: float = 1.0  # factor of the run's learning rate
    optimiser: OwnOptimiser | None = None  # None: the run's


@dataclass(frozen=True)
class Stage:
    """A part of a run, in which the same things learn in the same way. Each begins with fresh optimisers."""

    name: str
    updates: tuple[Update, ...]  # of each step; a later one may read what an earlier one predicted
    share: float = 1.0  # of the run's steps
    norms: bool = True  # whether norms learn; else they stay as they are, statistics included
    whole: bool = False  # whether crops are as large as the pictures allow
    context: bool = False  # whether each crop comes with such a square around it


@dataclass(frozen=True)
class Span:
    """A stage of a run of so many steps."""

    stage: Stage
    start: int  # steps before it
    end: int

    @property
    def length(self) -> int:
        """Its steps."""
        return self.end - self.start


@dataclass(frozen=True)
class Unused:
    """Parameters that the paper's figure counts and no matte needs; they are not built."""

    parameters: int
    why: str


@dataclass(frozen=True)
class NetworkRow:
    """A network as the rest of the package knows it before torch is loaded."""

    name: str  # as `--network` takes it
    module: str  # module:class, a `train.network.network.MattingNetwork`
    what: str  # a few words
    stages: tuple[Stage, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)  # of the options of `train run`, where they are others
    takes: frozenset[str] = frozenset()  # of `OPTIONAL`, what it makes use of
    coloured: frozenset[str] = frozenset()  # terms that read F and B
    paper: tuple[float, float] | None = None  # Table 4: million parameters, GMac
    operations: int = 1  # of the paper's figure, for a multiply and an add
    unused: tuple[Unused, ...] = ()
    parts: Mapping[str, str] = field(default_factory=dict)  # further encoders that take weights, and of what

    @property
    def terms(self) -> tuple[str, ...]:
        """Every term of its losses, once."""
        return tuple(dict.fromkeys(name for stage in self.stages for each in stage.updates for name in each.terms))

    def spans(self, steps: int) -> list[Span]:
        """The stages of a run of so many steps, in their order; each has a step at least.

        Raises:
            InputError: If there are fewer steps than stages.
        """
        count, whole = len(self.stages), sum(stage.share for stage in self.stages)
        if steps < count:
            raise InputError(f"--max-steps {steps}: {self.name} learns in {count} stages; give {count} at least")
        spans: list[Span] = []
        for at, (stage, share) in enumerate(
            zip(self.stages, accumulate(each.share for each in self.stages), strict=True)
        ):
            start = spans[-1].end if spans else 0
            end = min(max(round(steps * share / whole), start + 1), steps - count + at + 1)
            spans.append(Span(stage, start, end))
        return spans


def span_at(spans: Sequence[Span], step: int) -> Span:
    """The stage that a step, counted from 0, belongs to; the last one's end belongs to it."""
    return next((span for span in spans if step < span.end), spans[-1])


OPTIONAL = ("rosta", "ablations", "width", "validation_hybrid", "preset")
"""Options of `train run` that not every network has a use for."""

_GFM_TERMS = ("cross_entropy", "focus_alpha", "focus_laplacian", "alpha", "laplacian", "composition")

_SHM_ALPHA = {"alpha": 0.5, "composition": 0.5}

_LF_BRANCHES = {"cross_entropy": 1.0, "difference": 1.0, "gradient": 1.0}
_LF_DECODERS = ("encoder", "foreground", "background")
_LF_FINEST = tuple(
    f"{branch}.{part}" for branch in ("foreground", "background") for part in ("laterals", "blocks", "sides.0")
)
_LF_ALL = ("encoder", *_LF_FINEST, "fusion")  # without the coarser sides, which the blend does not read
_HATT_TERMS = {"squared": 1.0, "structure": 0.1}
_HATT_BODY = ("encoder", "decoder")
_SHMC_REFINED = {"alpha": 0.5, "colours": 0.5}
_SHMC_AROUND = ("image", "context", "window")
_SHMC_UNITY = {"identity": 0.25, "repair": 0.25, "consistency": 0.5}

_ROWS = (
    NetworkRow(
        name="gfm",
        module="train.network.gfm:GFM",
        what="Glance and Focus Matting, the paper's",
        stages=(Stage("whole", (Update("forward", dict.fromkeys(_GFM_TERMS, 1.0)),)),),
        takes=frozenset({"rosta", "ablations", "validation_hybrid", "preset"}),
        coloured=frozenset({"composition"}),
    ),
    NetworkRow(
        name="shm",
        module="train.network.shm:SHM",
        what="Semantic Human Matting",
        stages=(
            Stage("tnet", (Update("segment", {"cross_entropy": 1.0}, trains=("tnet",)),), share=0.4),
            Stage("mnet", (Update("refine", _SHM_ALPHA, ("image", "glance"), ("mnet",)),), share=0.3),
            Stage("both", (Update("forward", {**_SHM_ALPHA, "cross_entropy": 0.01}, rate=0.1),), 0.3, norms=False),
        ),
        defaults={"backbone": "r50_8", "optimiser": "adam", "learning_rate": 1e-4, "weight_decay": 5e-4},
        takes=frozenset({"width"}),
        coloured=frozenset({"composition"}),
        paper=(79.27, 870.16),
        unused=(Unused(263_171, "a classifier of layer3 that a public T-Net builds and never calls"),),
        parts={"mnet": "torchvision's VGG-16 or VGG-16-BN"},
    ),
    NetworkRow(
        name="lf",
        module="train.network.lf:LF",
        what="Late Fusion",
        stages=(
            Stage("branches", (Update("branches", _LF_BRANCHES, trains=_LF_DECODERS),), share=0.6),
            Stage("fusion", (Update("forward", {"fusion": 1.0}, trains=("fusion",)),), share=0.15),
            Stage("all", (Update("forward", {"fusion": 1.0}, trains=_LF_ALL, rate=0.1),), share=0.25, norms=False),
        ),
        defaults={"backbone": "d201", "optimiser": "adam", "learning_rate": 1e-4, "weight_decay": 0.0},
        takes=frozenset({"width"}),
        paper=(37.91, 2821.14),
        operations=2,
    ),
    NetworkRow(
        name="hatt",
        module="train.network.hatt:HATT",
        what="HAttMatting",
        stages=(
            Stage("warm-up", (Update("forward", _HATT_TERMS, trains=_HATT_BODY),), share=0.1),
            Stage(
                "adversarial",
                (
                    Update("forward", {**_HATT_TERMS, "adversarial": 0.05}, trains=_HATT_BODY),
                    Update(
                        "judge",
                        {"discriminator": 1.0},
                        ("image", "alpha", "predicted.alpha"),
                        ("discriminator",),
                        optimiser=OwnOptimiser("adam", 1e-4, (0.5, 0.999)),
                    ),
                ),
                share=0.9,
            ),
        ),
        defaults={"backbone": "rx101_8", "optimiser": "adam", "learning_rate": 1e-4, "weight_decay": 5e-4},
        takes=frozenset({"width"}),
        paper=(106.96, 1502.46),
        unused=(Unused(2_049_000, "ImageNet's classifier, 2048 x 1000 weights and 1000 biases"),),
    ),
    NetworkRow(
        name="shmc",
        module="train.network.shmc:SHMC",
        what="Semantic Human Matting with Coarse Annotations",
        stages=(
            Stage("mpn", (Update("masks", {"foreground": 0.5, "background": 0.5}, trains=("mpn",)),), 0.3, whole=True),
            Stage("qun", (Update("unify", _SHMC_UNITY, ("image", "alpha"), ("qun",)),), 0.2, whole=True),
            Stage("mrn", (Update("refine", _SHMC_REFINED, _SHMC_AROUND, ("mrn",)),), 0.5, context=True),
        ),
        defaults={"backbone": "r34", "optimiser": "adam", "learning_rate": 1e-3, "weight_decay": 0.0},
        coloured=frozenset({"colours"}),
        paper=(78.23, 139.55),
        unused=(Unused(3 * 513_000, "ImageNet's classifier of each encoder, 512 x 1000 weights and 1000 biases"),),
    ),
)
NETWORKS: dict[str, NetworkRow] = {row.name: row for row in _ROWS}
"""By the name that `--network` takes; a new network is one more row and its file."""


def network_named(name: str) -> NetworkRow:
    """Look a network up.

    Raises:
        InputError: If there is none of this name.
    """
    if name not in NETWORKS:
        raise InputError(f"--network {name}: unknown; choose one of {', '.join(NETWORKS)}")
    return NETWORKS[name]
