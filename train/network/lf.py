"""LF, A Late Fusion CNN for Digital Matting (Zhang et al. 2019): F and 1 - B bracket alpha, and a blend lies between.

The official repository holds no code. Encoder, sides, fusion formula and losses are known from summaries of the paper
and from the layers' names in a converter; the widths are a reconstruction (256, two convolutions a block) that has the
GFM paper's 37.91 M parameters to 0.02 %, and its 2821 GMac to 0.4 % where a multiply and an add count as two. So size
is matched, identity is not known. The shares of the three stages (60, 15 and 25 %) are a choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rssn.storage.location import Location
from train.batch import Batch
from train.losses import with_total
from train.network.backbones import backbone_named
from train.network.encoders import build_encoder
from train.network.layers import conv, plain_conv, resized_to, scaled
from train.network.network import MattingNetwork, setting, widened

_PYRAMID = 256
_FUSION = (128, 128, 64, 64)
_COLOURS = 64
_CERTAIN = 0.1
"""Weight of a pixel outside the transition in the loss of the fusion."""
_BETWEEN = 0.5
"""Weight of a pixel in the transition in the cross-entropy."""


class Branches(NamedTuple):
    """What the decoders say, at each of their sides, at the picture's size; the first side is the finest."""

    foreground: Tensor  # N x S x H x W logits
    background: Tensor  # N x S x H x W logits


class Blend(NamedTuple):
    """What the finest sides and the fusion say, probabilities each."""

    foreground: Tensor  # N x 1 x H x W
    background: Tensor  # N x 1 x H x W
    beta: Tensor  # N x 1 x H x W
    alpha: Tensor  # N x 1 x H x W in [0, 1]


class LF(MattingNetwork):
    """Late Fusion.

    Args:
        backbone: The encoder; in the paper `d201`.
        width: Factor of the channels of decoders and fusion.
        weights: A state dict for the encoder.

    Raises:
        InputError: If there is no such backbone, or the weights do not fit.
    """

    family: ClassVar[str] = "LF"
    outputs: ClassVar[Mapping[str, str]] = {
        "foreground": "N x 1 x H x W float32, 0 to 1, at least alpha where the foreground's branch is right",
        "background": "N x 1 x H x W float32, 0 to 1, at least 1 - alpha where the background's branch is right",
        "beta": "N x 1 x H x W float32, 0 to 1, how much of alpha is the foreground's",
    }

    def __init__(self, backbone: str, width: float = 1.0, weights: Location | None = None) -> None:
        super().__init__()
        self.encoder = build_encoder(backbone_named(backbone), weights)
        channels, pyramid = self.encoder.backbone.channels, scaled(_PYRAMID, width)
        self.foreground, self.background = (PyramidDecoder(channels, pyramid) for _ in range(2))
        self.fusion = Fusion(pyramid, width)

    @classmethod
    def of(cls, settings: Mapping[str, Any], weights: Mapping[str, Location]) -> LF:
        """As in `MattingNetwork`."""
        return cls(setting(settings, "backbone"), float(settings.get("width", 1.0)), weights.get("encoder"))

    def forward(self, image: Tensor) -> Blend:
        """N x 3 x H x W RGB in [0, 1] -> the blend of both branches; sides are multiples of 32."""
        logits = self.decode(self.normalised(image))
        foreground, background, beta = (widened(each).sigmoid() for each in logits)
        return Blend(foreground, background, beta, blend(foreground, background, beta))

    def branches(self, image: Tensor) -> Branches:
        """Encoder and decoders alone, with all of their sides."""
        seen = self.normalised(image)
        features = self.encoder(seen)
        found = [decoder.all_sides(decoder(features), seen) for decoder in (self.foreground, self.background)]
        return Branches(*(widened(each) for each in found))

    def decode(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A normalised image -> logits of foreground, background and beta, each N x 1 x H x W."""
        features = self.encoder(image)
        decoders = (self.foreground, self.background)
        blocks = [decoder(features) for decoder in decoders]
        sides = [decoder.side(found, image) for decoder, found in zip(decoders, blocks, strict=True)]
        return sides[0], sides[1], self.fusion(blocks[0][0], blocks[1][0], image)

    def evidence(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Both probabilities, and beta."""
        found = self(image)
        return found.foreground, found.background, found.beta

    def matte(self, evidence: Sequence[Tensor]) -> Tensor:
        """The blend."""
        return blend(*evidence)

    def losses(
        self, found: Any, batch: Batch, weights: Mapping[str, float], count: Tensor | None = None
    ) -> dict[str, Tensor]:
        """`fusion` of a `Blend`; of `Branches` the sums over branches and sides of the other terms, means over pixels.

        The foreground's branch learns alpha, the background's 1 - alpha; its binary target is 1 wherever that is above
        0, so that both claim the transition.
        """
        between = ((batch.alpha > 0) & (batch.alpha < 1)).to(batch.alpha.dtype)
        if isinstance(found, Blend):
            weight = _CERTAIN + (1 - _CERTAIN) * between
            return with_total({"fusion": (weight * (found.alpha - batch.alpha).abs()).mean()}, weights)
        pairs = ((found.foreground, batch.alpha), (found.background, 1 - batch.alpha))
        terms = {
            name: torch.stack([_TERMS[name](logits, target, between) for logits, target in pairs]).sum()
            for name, weight in weights.items()
            if weight
        }
        return with_total(terms, weights)


def blend(foreground: Tensor, background: Tensor, beta: Tensor) -> Tensor:
    """Alpha = beta F + (1 - beta) (1 - B); where F + B = 1 no beta changes it. N x 1 x H x W each."""
    return beta * foreground + (1 - beta) * (1 - background)


def difference_loss(logits: Tensor, target: Tensor, between: Tensor) -> Tensor:
    """L_d: absolute in the transition, squared elsewhere; a mean over pixels, summed over sides.

    Args:
        logits: N x S x H x W.
        target: N x 1 x H x W in [0, 1].
        between: N x 1 x H x W, 1 in the transition and 0 elsewhere.
    """
    difference = logits.sigmoid() - target
    return torch.where(between > 0, difference.abs(), difference.square()).mean((0, 2, 3)).sum()


def gradient_loss(logits: Tensor, target: Tensor, _: Tensor) -> Tensor:
    """L_g: absolute difference of the slopes along x and along y; as `difference_loss`."""
    difference = logits.sigmoid() - target
    return torch.stack([difference.diff(dim=axis).abs().mean((0, 2, 3)).sum() for axis in (2, 3)]).sum()


def binary_loss(logits: Tensor, target: Tensor, between: Tensor) -> Tensor:
    """CE: whether the target is above 0, half as much in the transition; as `difference_loss`."""
    claimed = (target > 0).to(logits.dtype).expand_as(logits)
    entropy = F.binary_cross_entropy_with_logits(logits, claimed, reduction="none")
    return ((1 - (1 - _BETWEEN) * between) * entropy).mean((0, 2, 3)).sum()


_TERMS = {"cross_entropy": binary_loss, "difference": difference_loss, "gradient": gradient_loss}


class PyramidDecoder(nn.Module):
    """A block for each stage of the encoder: the block above, enlarged, beside that stage; each has a side output.

    Args:
        channels: Of the stages.
        width: Of the blocks.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        deepest = len(channels) - 1
        self.laterals = nn.ModuleList(plain_conv(each, width, 1) for each in channels)
        self.blocks = nn.ModuleList(
            nn.Sequential(conv(width * (1 + (level < deepest)), width), conv(width, width))
            for level in range(len(channels))
        )
        self.sides = nn.ModuleList(plain_conv(width, 1) for _ in channels)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Features of the stages -> of each its block's, the finest first."""
        found: list[Tensor] = []
        for lateral, block, feature in reversed(list(zip(self.laterals, self.blocks, features, strict=True))):
            seen = lateral(feature)
            found.insert(0, block(torch.cat([resized_to(found[0], seen), seen], dim=1) if found else seen))
        return found

    def side(self, blocks: Sequence[Tensor], image: Tensor, level: int = 0) -> Tensor:
        """N x 1 x H x W logits of a block, by default the finest, at the image's size."""
        return resized_to(self.sides[level](blocks[level]), image)

    def all_sides(self, blocks: Sequence[Tensor], image: Tensor) -> Tensor:
        """N x S x H x W logits of all blocks."""
        return torch.cat([self.side(blocks, image, level) for level in range(len(blocks))], dim=1)


class Fusion(nn.Module):
    """Five convolutions on the finest block of each decoder and a feature of the picture, at its size."""

    def __init__(self, pyramid: int, width: float) -> None:
        super().__init__()
        colours, *widths = (scaled(channels, width) for channels in (_COLOURS, *_FUSION))
        self.colours = conv(3, colours)
        self.layers = nn.Sequential(*(conv(*pair) for pair in pairwise((2 * pyramid + colours, *widths))))
        self.head = plain_conv(widths[-1], 1)

    def forward(self, foreground: Tensor, background: Tensor, image: Tensor) -> Tensor:
        """Blocks and a normalised image -> N x 1 x H x W logits of beta."""
        seen = [resized_to(each, image) for each in (foreground, background)]
        found: Tensor = self.head(self.layers(torch.cat([*seen, self.colours(image)], dim=1)))
        return found
