"""HATT, Attention-Guided Hierarchical Structure Aggregation (Qiao et al. 2020): attention to channels, then to places.

No code was released. What four re-implementations agree on is followed (ASPP at stride 8, four times up, channel
attention, asymmetric paths to a spatial map that filters the first feature); widths are a reconstruction that has the
GFM paper's 1502.46 GMac to 0.06 % and, with ImageNet's classifier, its 106.96 M parameters to 0.3 %. The rates of the
ASPP, the widths of the attention and the loss's weights differ in the wild. The paper trains by SGD at 0.007 with a
poly schedule (`--optimiser sgd --learning-rate 0.007 --schedule poly`); Adam at 1e-4 is the default here. A tenth of
the run has no adversary, whose loss else falls to 0 before the network has learned anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from rssn.storage.location import Location
from train.batch import Batch
from train.losses import with_total
from train.network.backbones import backbone_named
from train.network.encoders import build_encoder
from train.network.layers import conv, plain_conv, resized_to, scaled
from train.network.network import MattingNetwork, setting, widened

_RATES = (6, 12, 18)
_WINDOW, _SIGMA = 11, 1.5  # px, of SSIM
_C1, _C2 = 0.01**2, 0.03**2


class Prediction(NamedTuple):
    """What HATT says."""

    alpha: Tensor  # N x 1 x H x W in [0, 1]


class Judgement(NamedTuple):
    """What the discriminator says of true and of predicted mattes, patch by patch."""

    real: Tensor  # N x 1 x h x w logits
    fake: Tensor  # N x 1 x h x w logits


class HATT(MattingNetwork):
    """HAttMatting.

    Args:
        backbone: The encoder; in the paper `rx101_8`.
        width: Factor of the other channels.
        weights: A state dict for the encoder.

    Raises:
        InputError: If there is no such backbone, or the weights do not fit.
    """

    family: ClassVar[str] = "HATT"
    beside: ClassVar[tuple[str, ...]] = ("discriminator",)

    def __init__(self, backbone: str, width: float = 1.0, weights: Location | None = None) -> None:
        super().__init__()
        self.encoder = build_encoder(backbone_named(backbone), weights)
        channels = self.encoder.backbone.channels
        self.decoder = AttentionDecoder(channels[0], channels[-1], width)
        self.discriminator = patch_discriminator(width)

    @classmethod
    def of(cls, settings: Mapping[str, Any], weights: Mapping[str, Location]) -> HATT:
        """As in `MattingNetwork`."""
        return cls(setting(settings, "backbone"), float(settings.get("width", 1.0)), weights.get("encoder"))

    def forward(self, image: Tensor) -> Prediction:
        """N x 3 x H x W RGB in [0, 1] -> alpha; sides are multiples of 32."""
        (logits,) = self.decode(self.normalised(image))
        return Prediction(widened(logits).sigmoid())

    def decode(self, image: Tensor) -> tuple[Tensor]:
        """A normalised image -> N x 1 x H x W logits."""
        features = self.encoder(image)
        return (resized_to(self.decoder(features[0], features[-1]), image),)

    def evidence(self, image: Tensor) -> tuple[Tensor]:
        """Alpha."""
        return (self(image).alpha,)

    def judge(self, image: Tensor, alpha: Tensor, predicted: Tensor) -> Judgement:
        """The discriminator on a picture with its true and with its predicted matte."""
        real, fake = (self.discriminator(torch.cat([image, each], dim=1)) for each in (alpha, predicted))
        return Judgement(widened(real), widened(fake))

    def losses(
        self, found: Any, batch: Batch, weights: Mapping[str, float], count: Tensor | None = None
    ) -> dict[str, Tensor]:
        """`squared`, `structure` (1 - SSIM) and `adversarial` of a matte; `discriminator` of a judgement."""
        if isinstance(found, Judgement):
            return with_total({"discriminator": discriminator_loss(found)}, weights)
        terms = {name: self._term(name, found.alpha, batch) for name, weight in weights.items() if weight}
        return with_total(terms, weights)

    def _term(self, name: str, alpha: Tensor, batch: Batch) -> Tensor:
        if name == "squared":
            return F.mse_loss(alpha, batch.alpha)
        if name == "structure":
            return 1 - structural_similarity(alpha, batch.alpha)
        fixed = {place: each.detach() for place, each in self.discriminator.state_dict(keep_vars=True).items()}
        logits = functional_call(self.discriminator, fixed, (torch.cat([batch.image, alpha], dim=1),))
        return F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))


class AttentionDecoder(nn.Module):
    """ASPP, attention to its channels, and the first feature filtered by attention to places.

    Args:
        first: Channels of the encoder's first feature.
        deepest: Channels of its last.
        width: Factor of the other channels.
    """

    def __init__(self, first: int, deepest: int, width: float) -> None:
        super().__init__()
        wide, half, squeezed = (scaled(channels, width) for channels in (256, 128, 16))
        self.aspp = ASPP(deepest, wide)
        self.attention = nn.Sequential(
            nn.Conv2d(wide, squeezed, 1), nn.ReLU(inplace=True), nn.Conv2d(squeezed, wide, 1)
        )
        self.entry = conv(wide, wide)
        self.paths = nn.ModuleList(
            nn.Sequential(conv(wide, wide, one), conv(wide, half, other))
            for one, other in (((1, 7), (7, 1)), ((7, 1), (1, 7)))
        )
        self.places = plain_conv(2 * half, 1, 1)
        self.cues = conv(first, half)
        self.fusion = conv(wide + half, wide)
        self.head = plain_conv(wide, 1)

    def forward(self, first: Tensor, deepest: Tensor) -> Tensor:
        """The encoder's first and last feature -> N x 1 x h x w logits, as large as the first."""
        pyramid = resized_to(self.aspp(deepest), first)
        pooled = (pyramid.mean((2, 3), keepdim=True), pyramid.amax((2, 3), keepdim=True))
        entry = self.entry(pyramid * (self.attention(pooled[0]) + self.attention(pooled[1])).sigmoid())
        places = self.places(torch.cat([path(entry) for path in self.paths], dim=1)).sigmoid()
        logits: Tensor = self.head(self.fusion(torch.cat([entry, self.cues(first * places)], dim=1)))
        return logits


class ASPP(nn.Module):
    """A feature in growing neighbourhoods: 1 x 1, three dilated 3 x 3, all of it."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList([_bare(before, after, 1), *(_bare(before, after, 3, rate) for rate in _RATES)])
        self.whole = _bare(before, after, 1)
        self.projection = _bare((2 + len(_RATES)) * after, after, 1)

    def forward(self, feature: Tensor) -> Tensor:
        """N x C x h x w -> the same size."""
        whole = self.whole(feature.mean((2, 3), keepdim=True)).expand(-1, -1, *feature.shape[2:])
        found: Tensor = self.projection(torch.cat([*(each(feature) for each in self.branches), whole], dim=1))
        return found


def _bare(before: int, after: int, size: int, rate: int = 1) -> nn.Sequential:
    """A convolution without bias, a batch norm and a ReLU."""
    padding = rate * (size // 2)
    layer = nn.Conv2d(before, after, size, padding=padding, dilation=rate, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(after), nn.ReLU(inplace=True))


def patch_discriminator(width: float = 1.0) -> nn.Sequential:
    """A PatchGAN on RGB and alpha, with a field of 70 px: N x 4 x H x W in [0, 1] -> N x 1 x h x w logits."""
    widths = [scaled(channels, width) for channels in (64, 128, 256, 512)]
    layers: list[nn.Module] = [nn.Conv2d(4, widths[0], 4, 2, 1), nn.LeakyReLU(0.2)]
    for (before, after), stride in zip(pairwise(widths), (2, 2, 1), strict=True):
        layers += [nn.Conv2d(before, after, 4, stride, 1), nn.InstanceNorm2d(after), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, 1, 1))


def discriminator_loss(found: Judgement) -> Tensor:
    """Cross-entropy of true mattes as 1 and of predicted ones as 0, the mean of both."""
    real = F.binary_cross_entropy_with_logits(found.real, torch.ones_like(found.real))
    fake = F.binary_cross_entropy_with_logits(found.fake, torch.zeros_like(found.fake))
    return (real + fake) / 2


def structural_similarity(one: Tensor, other: Tensor) -> Tensor:
    """SSIM, the mean over all places of a Gaussian window that lie inside; 1 where both are equal. N x 1 x H x W."""
    at = torch.arange(_WINDOW, dtype=one.dtype, device=one.device) - _WINDOW // 2
    row = torch.exp(-at.square() / (2 * _SIGMA**2))
    row = row / row.sum()

    def smooth(picture: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(picture, row.view(1, 1, 1, -1)), row.view(1, 1, -1, 1))

    means = smooth(one), smooth(other)
    variances = smooth(one.square()) - means[0].square(), smooth(other.square()) - means[1].square()
    covariance = smooth(one * other) - means[0] * means[1]
    above = (2 * means[0] * means[1] + _C1) * (2 * covariance + _C2)
    below = (means[0].square() + means[1].square() + _C1) * (variances[0] + variances[1] + _C2)
    return (above / below).mean()
