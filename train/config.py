"""What a training run is: one frozen dataclass, checked when it is made, stored as plain values in checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeAlias

from rssn.errors import InputError
from train.network.backbones import backbone_named
from train.rosta import Rosta

Plain: TypeAlias = str | int | float | list[int] | list[str] | None

MAX_SIDE = 1600
"""The longer side of what the network sees of a whole photograph, px, unless the user says otherwise."""

_OPTIONS = {"crop_sizes": "--crop-size", "ablations": "--ablation"}
_FREE_ON_RESUME = frozenset({"data", "out", "max_steps", "checkpoint_every", "workers"})


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The settings of `train run`; defaults are the paper's COMP-Track (section 5.2.2)."""

    data: Path  # a folder of shards
    out: Path  # checkpoints, metrics and curve
    backbone: str = "r34"
    rosta: Rosta = Rosta.TT
    max_steps: int = 10_000
    batch_size: int = 4
    learning_rate: float = 1e-5
    seed: int = 0
    ablations: tuple[str, ...] = ()  # what of `train.network.gfm.Ablation` is left out
    crop_sizes: tuple[int, ...] = (640, 960, 1280)  # px, sides of the square crops
    input_size: int = 320  # px, what a crop is resized to
    weights: Path | None = None  # a torchvision state dict for the encoder
    checkpoint_every: int = 500  # steps
    workers: int = 1  # processes that prepare samples; 0 prepares them in this one

    def __post_init__(self) -> None:
        backbone_named(self.backbone)
        for flag, least in (("max_steps", 1), ("batch_size", 1), ("seed", 0), ("checkpoint_every", 1), ("workers", 0)):
            if getattr(self, flag) < least:
                raise InputError(f"{_option(flag)} {getattr(self, flag)}: must be {least} or more")
        if not 0.0 < self.learning_rate < 1.0:
            raise InputError(f"--learning-rate {self.learning_rate}: must lie between 0 and 1")
        if self.input_size < 64 or self.input_size % 32:
            raise InputError(f"--input-size {self.input_size}: must be a multiple of 32, at least 64")
        if "single" in self.ablations and ("no-ppm" in self.ablations or self.rosta is not Rosta.TT):
            raise InputError("--ablation single: without a glance there is no PPM, and only --rosta TT")
        if not self.crop_sizes or min(self.crop_sizes) < 1:
            raise InputError(f"--crop-size {self.crop_sizes}: give at least one side of 1 px or more")

    def to_plain(self) -> dict[str, Plain]:
        """The settings as values that `torch.load(weights_only=True)` and JSON know."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    def difference(self, stored: Mapping[str, Plain]) -> list[str]:
        """Where a stored run of the same folder had other settings, in words; those that may change are left out."""
        return [
            f"{_option(name)} was {stored.get(name)}, now {value}"
            for name, value in self.to_plain().items()
            if name not in _FREE_ON_RESUME and stored.get(name) != value
        ]


def _option(name: str) -> str:
    return _OPTIONS.get(name, "--" + name.replace("_", "-"))


def _plain(value: object) -> Plain:
    if isinstance(value, tuple):
        return list(value)
    if value is None or type(value) in (int, float, str):
        return value  # type: ignore[return-value]
    return str(value)
