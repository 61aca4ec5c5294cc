"""GFM: a shared encoder, two decoders, and collaborative matting (section 3).

Both decoders give logits; sigmoid and argmax belong to the fusion, so the cross-entropy of equation 2 is a proper one.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from train.network.backbones import backbone_named
from train.network.decoders import FocusDecoder, GlanceDecoder
from train.network.encoders import Encoder
from train.rosta import FOREGROUND, TRANSITION, Rosta

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


class Prediction(NamedTuple):
    """What GFM says about a batch."""

    glance: Tensor  # N x C x H x W logits
    focus: Tensor  # N x 1 x H x W logits
    alpha: Tensor  # N x 1 x H x W in [0, 1]


class GFM(nn.Module):
    """The Glance and Focus Matting network.

    Args:
        backbone: A name from `train.network.backbones.BACKBONES`.
        rosta: What the glance decoder is asked for.
        weights: A torchvision state dict for the encoder; random values where None.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: str, rosta: Rosta, weights: Path | None = None) -> None:
        super().__init__()
        parts = backbone_named(backbone)
        self.rosta = rosta
        self.encoder = Encoder(parts, weights)
        self.glance = GlanceDecoder(parts, rosta.classes)
        self.focus = FocusDecoder(parts)
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Prediction:
        """Predict a batch.

        Args:
            image: N x 3 x H x W RGB in [0, 1]; H and W are multiples of 32.
        """
        features = self.encoder((image - self.mean) / self.std)
        glance, focus = self.glance(features), self.focus(features)
        return Prediction(glance, focus, fuse(glance.argmax(dim=1, keepdim=True), focus.sigmoid(), self.rosta))


def seeded_gfm(backbone: str, rosta: Rosta, seed: int, weights: Path | None = None) -> GFM:
    """A GFM whose random starting values depend on `seed` alone; torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GFM(backbone, rosta, weights)


def fuse(labels: Tensor, focus: Tensor, rosta: Rosta) -> Tensor:
    """Collaborative matting (section 3.5).

    TT: the transition area of the glance takes the focus. FT: glance plus focus. BT: glance minus focus. The class
    decision is hard, so the gradient of the fused matte reaches the focus decoder and the encoder.

    Args:
        labels: N x 1 x H x W class labels of the glance decoder.
        focus: N x 1 x H x W in [0, 1].
        rosta: The representation.

    Returns:
        Alpha, N x 1 x H x W in [0, 1].
    """
    if rosta is Rosta.TT:
        return torch.where(labels == TRANSITION, focus, (labels == FOREGROUND).to(focus.dtype))
    glance = labels.to(focus.dtype)
    return (glance + focus if rosta is Rosta.FT else glance - focus).clamp(0.0, 1.0)
