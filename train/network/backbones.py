"""Backbones as data: what the decoders, the weight loader and the command line have to know. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rssn.errors import InputError


@dataclass(frozen=True)
class Backbone:
    """An encoder of five stages E0 .. E4 (section 3.1)."""

    name: str
    family: str  # how `train.network.encoders` builds and cuts it
    channels: tuple[int, ...]  # of E0 .. E4, at 1/2 .. 1/32 of the resolution
    widths: tuple[int, ...]  # of the decoder blocks D0 .. D4 that fit it
    model: str | None = None  # its name in torchvision.models
    unused: tuple[str, ...] = ()  # prefixes of that model's parameters which no stage uses


BACKBONES: Mapping[str, Backbone] = {
    "r34": Backbone(
        name="r34",
        family="resnet",
        channels=(64, 64, 128, 256, 512),
        widths=(64, 64, 128, 256, 512),
        model="resnet34",
        unused=("fc.",),
    ),
    "d121": Backbone(
        name="d121",
        family="densenet",
        channels=(64, 128, 256, 512, 512),
        widths=(64, 64, 128, 256, 512),
        model="densenet121",
        unused=("classifier.", "features.norm5."),
    ),
    "tiny": Backbone(name="tiny", family="plain", channels=(4, 4, 4, 4, 8), widths=(4, 4, 4, 4, 8)),
}
"""By the name that `--backbone` takes. `tiny` serves tests and the demo."""


def backbone_named(name: str) -> Backbone:
    """Look a backbone up.

    Raises:
        InputError: If there is none of this name.
    """
    if name not in BACKBONES:
        raise InputError(f"--backbone {name}: unknown; choose one of {', '.join(BACKBONES)}")
    return BACKBONES[name]
