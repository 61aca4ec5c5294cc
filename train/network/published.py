"""The authors' released network, habits included: 0 to 255 in, sigmoid on both heads."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from rssn.errors import InputError
from rssn.vision import torchvision_models
from train.network.backbones import Backbone, backbone_named
from train.network.gfm import GFM, Prediction, decide, fuse
from train.network.strategy import PAPER_SCALES, Scales
from train.network.weights import differences
from train.targets.rosta import Rosta

PUBLISHED_BACKBONES = ("r34", "d121", "r34_2b", "r101")
"""Backbones of which the authors released weights."""

RELEASED_INPUT = {"mean": torch.zeros(1, 3, 1, 1), "std": torch.full((1, 3, 1, 1), 1 / 255)}
"""Of a `GFM` whose encoder sees what the released ones see, 0 to 255."""


class PublishedGFM(nn.Module):
    """GFM as the authors released it.

    Args:
        backbone: One of `PUBLISHED_BACKBONES`.
        rosta: What its glance decoder learned.
    """

    def __init__(self, backbone: str, rosta: Rosta | str) -> None:
        super().__init__()
        if backbone not in PUBLISHED_BACKBONES:
            raise InputError(f"--backbone {backbone}: released are {', '.join(PUBLISHED_BACKBONES)}")
        self.scales: Scales | None = PAPER_SCALES
        self.gfm = GFM(backbone, rosta)
        self.gfm.mean, self.gfm.std = (RELEASED_INPUT[name].clone() for name in ("mean", "std"))
        self.rosta = self.gfm.rosta
        self.name = self.gfm.name
        self.family, self.hybrid, self.outputs = GFM.family, GFM.hybrid, GFM.outputs

    def forward(self, image: Tensor) -> Prediction:
        """Predict a batch.

        Args:
            image: N x 3 x H x W RGB float32 in 0 to 255; H and W are multiples of 32.

        Returns:
            `glance` N x C x H x W and `focus` N x 1 x H x W after their sigmoids, `alpha` N x 1 x H x W in [0, 1].
        """
        glance, focus = (logits.sigmoid() for logits in self.gfm.decode(image))
        return Prediction(glance, focus, fuse(decide(glance), focus, self.rosta))

    def evidence(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """As `train.network.gfm.GFM.evidence`: takes RGB in [0, 1]."""
        glance, focus, _ = self(255.0 * image)
        return glance, focus

    def decode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """As `GFM.decode`."""
        return self.gfm.decode(image)

    def matte(self, evidence: Sequence[Tensor]) -> Tensor:
        """As `GFM.matte`."""
        return self.gfm.matte(evidence)

    def sure(self, evidence: Sequence[Tensor], tolerance: float) -> Tensor:
        """As `GFM.sure`."""
        return self.gfm.sure(evidence, tolerance)

    def load_released(self, state: Mapping[str, Tensor], source: str) -> None:
        """Load the authors' state dict; every tensor in it is used, known as unused, or refused.

        The backbone stands in it twice, and once with its classifier; the copy under `encoder` is taken, as it is
        the one that their network computes with.

        Raises:
            InputError: With the difference, if it is no state dict of this backbone and RoSTa.
        """
        own = self.gfm.state_dict()
        places = released_places(own)
        expected = {place: tuple(own[name].shape) for place, name in places.items()}
        parts = self.gfm.encoder.backbone
        unused = _unused(parts)
        optional = [name for name in (*expected, *unused) if name.endswith("num_batches_tracked")]
        problems = differences(state, expected | unused, optional)
        if problems:
            raise InputError(f"{source}: not the released GFM-{self.rosta}({parts.name}): {problems}")
        self.gfm.load_state_dict({places[name]: value for name, value in state.items() if name in places}, strict=False)


def released_name(name: str) -> str:
    """Where the released state dicts keep a tensor of `GFM`."""
    part, kind, rest = name.split(".", 2)
    if part == "encoder":
        level, rest = rest.split(".", 1)
        return f"encoder{level}.{rest}"
    if kind in ("pooling", "bridge"):
        return f"{'psp_module' if kind == 'pooling' else 'bridge_block'}.{rest}"
    level, rest = rest.split(".", 1)
    return f"psp{int(level) + 1}.{rest}" if kind == "context" else f"decoder{level}_{part[0]}.{rest}"


def from_released(given: Mapping[str, Tensor], names: Collection[str]) -> dict[str, Tensor]:
    """A released state dict by the names of `GFM`; copies of the backbone and its classifier are left out.

    Args:
        given: As released.
        names: Of a network; tensors that have no place in it keep their names.
    """
    places = released_places(names)
    left_out = ("resnet.", "densenet.")
    found = {places.get(name, name): value for name, value in given.items() if not name.startswith(left_out)}
    return {**found, **RELEASED_INPUT}


def released_places(names: Collection[str]) -> dict[str, str]:
    """From released names to those of a `GFM`; its mean and deviation have none."""
    return {released_name(name): name for name in names if name not in RELEASED_INPUT}


def _unused(backbone: Backbone) -> dict[str, tuple[int, ...]]:
    """Shapes of what the released files hold beside the network: the library's model and, for r34_2b, `psp1`."""
    prefix = "densenet" if backbone.family == "densenet" else "resnet"
    with torch.device("meta"):  # shapes alone
        model: nn.Module = getattr(torchvision_models(), backbone.model)(weights=None)
    found = {f"{prefix}.{name}": tuple(value.shape) for name, value in model.state_dict().items()}
    if backbone.alone(0):
        width = backbone.blocks[1][-1]
        found |= {"psp1.0.weight": (width, backbone.channels[-1], 3, 3), "psp1.0.bias": (width,)}
        found |= {f"psp1.1.{name}": (width,) for name in ("weight", "bias", "running_mean", "running_var")}
        found["psp1.1.num_batches_tracked"] = ()
    return found


def released_count(backbone: str, rosta: Rosta) -> tuple[int, int]:
    """Parameters of a released state dict, and those among them that its network never uses.

    Of the 55,286,316 of r34 these are 513,000: the ImageNet classifier, 512 x 1000 weights and 1000 biases.
    """
    parts = backbone_named(backbone)
    used = sum(parameter.numel() for parameter in GFM(backbone, rosta).parameters())
    unused = sum(math.prod(shape) for name, shape in _unused(parts).items() if _never_used(name, parts))
    return used + unused, unused


def _never_used(name: str, backbone: Backbone) -> bool:
    """Whether a name of `_unused` is a parameter that stands nowhere else in the file."""
    statistics = name.endswith(("running_mean", "running_var", "num_batches_tracked"))
    copies = not name.partition(".")[2].startswith(backbone.unused) and not name.startswith("psp1.")
    return not statistics and not copies
