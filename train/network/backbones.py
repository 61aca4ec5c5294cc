"""Backbones as data: what the decoders, the weight loader and the command line have to know. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

from rssn.errors import InputError

_HALVES = (2, 4, 8, 16, 32)
_EIGHTHS = (2, 4, 8, 8, 8)
_BOTTLENECKS = (64, 256, 512, 1024, 2048)
_DENSENET_201 = (64, 256, 512, 1792, 1920)
_BLOCKS = ((64, 64), (64, 64, 64), (128, 128, 64), (256, 256, 128), (512, 512, 256))

LIBRARIES = ("torchvision", "timm")
"""Libraries whose feature backbones can be named, as in `timm:convnext_tiny`."""

DEEPEST = 512
"""Channels to which a deeper last stage is reduced, as section 3.1 does for DenseNet-121."""


@dataclass(frozen=True)
class Backbone:
    """An encoder of stages E0, E1 .. and the decoder blocks D0, D1 .. that fit it (section 3.1)."""

    name: str
    family: str  # how `train.network.encoders` builds and cuts it
    channels: tuple[int, ...] = ()  # of each stage; of a library's backbone known when it is built
    strides: tuple[int, ...] = ()  # px of the picture for a px of each stage
    blocks: tuple[tuple[int, ...], ...] = ()  # channels that the convolutions of each block give; the head of D0 apart
    model: str = ""  # its name in the library
    dilated: bool = False  # whether the last two stages keep the resolution of the one before, dilated by 2 and 4
    unused: tuple[str, ...] = ()  # prefixes of that model's parameters which no stage uses

    def alone(self, level: int) -> bool:
        """Whether a block sees the block above it and nothing else: D0 of r34_2b, a single convolution."""
        return not self.blocks[level]

    def scale(self, level: int) -> int:
        """How much a block enlarges: to the resolution of the stage below, D0 to the picture's."""
        return self.strides[level] // (self.strides[level - 1] if level else 1)


def fitting_blocks(channels: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Decoder blocks for any encoder, made as those of r34: as wide as the stage, then as the stage below."""
    widths = [min(width, DEEPEST) for width in channels]
    above = [(width, width, below) for width, below in zip(widths[1:], widths, strict=False)]
    return ((widths[0], widths[0]), *above)


_OWN = (
    Backbone(
        name="r34",
        family="resnet",
        channels=(64, 64, 128, 256, 512),
        strides=_HALVES,
        blocks=_BLOCKS,
        model="resnet34",
        unused=("fc.",),
    ),
    Backbone(
        name="d121",
        family="densenet",
        channels=(64, 128, 256, 512, 512),
        strides=_HALVES,
        blocks=_BLOCKS,
        model="densenet121",
        unused=("classifier.", "features.norm5."),
    ),
    Backbone(
        name="r34_2b",
        family="resnet_2b",
        channels=(64, 64, 128, 256, 512, 512, 512),
        strides=(1, 1, 2, 4, 8, 16, 32),
        blocks=((), *_BLOCKS[1:], (512, 512, 512), (512, 512, 512)),
        model="resnet34",
        unused=("fc.", "conv1.", "bn1."),
    ),
    Backbone(
        name="r101",
        family="resnet",
        channels=_BOTTLENECKS,
        strides=_HALVES,
        blocks=((64, 64), (256, 128, 64), (512, 256, 256), (1024, 512, 512), (2048, 1024, 1024)),
        model="resnet101",
        unused=("fc.",),
    ),
    Backbone(
        name="r50_8",
        family="resnet",
        channels=_BOTTLENECKS,
        strides=_EIGHTHS,
        blocks=fitting_blocks(_BOTTLENECKS),
        model="resnet50",
        unused=("fc.",),
        dilated=True,
    ),
    Backbone(
        name="rx101_8",
        family="resnet",
        channels=_BOTTLENECKS,
        strides=_EIGHTHS,
        blocks=fitting_blocks(_BOTTLENECKS),
        model="resnext101_32x8d",
        unused=("fc.",),
        dilated=True,
    ),
    Backbone(
        name="d201",
        family="densenet_whole",
        channels=_DENSENET_201,
        strides=_HALVES,
        blocks=fitting_blocks(_DENSENET_201),
        model="densenet201",
        unused=("classifier.",),
    ),
    Backbone(
        name="tiny",
        family="plain",
        channels=(4, 4, 4, 4, 8),
        strides=_HALVES,
        blocks=((4, 4), (4, 4, 4), (4, 4, 4), (4, 4, 4), (8, 8, 4)),
    ),
)
BACKBONES: dict[str, Backbone] = {backbone.name: backbone for backbone in _OWN}
"""By the name that `--backbone` takes; a new backbone is one more row. `tiny` serves tests and the demo."""


def backbone_named(name: str) -> Backbone:
    """Look a backbone up; one of a library is complete only when `train.network.encoders` has built it.

    Raises:
        InputError: If there is none of this name.
    """
    library, _, model = name.partition(":")
    if library in LIBRARIES and model:
        return Backbone(name=name, family=library, model=model)
    if name not in BACKBONES:
        libraries = " or ".join(f"{library}:MODEL" for library in LIBRARIES)
        raise InputError(f"--backbone {name}: unknown; choose one of {', '.join(BACKBONES)}, or {libraries}")
    return BACKBONES[name]
