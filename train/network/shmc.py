"""SHMC, Boosting Semantic Human Matting with Coarse Annotations (Liu et al. 2020): three networks in sequence.

MPN says roughly where the subject is, on a picture of a quarter of the sides; QUN brings such masks to one quality; MRN
refines the unified mask at full size, and also predicts the foreground's colours. The roles, sizes and losses are
remembered from the paper, ResNet-34 is the GFM paper's; the U-Nets are a reconstruction that has its 78.23 M parameters
to 0.2 % and 139.55 GMac to 0.3 %. What the GFM authors took as coarse masks is not known. Here they are made of alpha:
dilated or eroded, sampled through a lower resolution, blurred; MPN learns alpha itself.

MPN and QUN learn from the largest squares of the pictures. MRN learns from GFM's crops, each with its part of the
unified mask of such a square around it, as in use, where the mask is of the whole photograph; it is coarser than in use
where crops are smaller than the photograph.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rssn.errors import InputError
from rssn.storage.location import Location
from train.batch import Batch
from train.losses import with_total
from train.network.backbones import LIBRARIES, backbone_named
from train.network.encoders import Encoder
from train.network.layers import conv, plain_conv, resized_to
from train.network.network import MattingNetwork, setting, widened

_REDUCED = 4  # MPN and QUN see sides of a quarter
_MASKS = 2  # foreground and background
_FARTHEST = 3  # px of a reduced picture by which a mask grows or shrinks: up to 12 of the picture's
_COARSEST = 4  # how much lower the resolution is that a mask is sampled through


class Masks(NamedTuple):
    """What MPN says, a quarter as large as the picture."""

    masks: Tensor  # N x 2 x h x w in [0, 1]: foreground, background


class Unified(NamedTuple):
    """What QUN makes of an accurate mask, and of the same one degraded."""

    accurate: Tensor  # N x 2 x h x w in [0, 1]
    degraded: Tensor  # N x 2 x h x w in [0, 1]


class Refined(NamedTuple):
    """What MRN says."""

    alpha: Tensor  # N x 1 x H x W in [0, 1]
    colours: Tensor  # N x 3 x H x W RGB of the foreground, not clipped


class SHMC(MattingNetwork):
    """The three networks.

    Args:
        backbone: Of each; in the GFM paper `r34`.
        weights: A state dict for all three encoders.

    Raises:
        InputError: If there is no such backbone, masks cannot join inside it, or the weights do not fit.
    """

    family: ClassVar[str] = "SHMC"
    encoders: ClassVar[tuple[str, ...]] = ("mpn.encoder", "qun.encoder", "mrn.encoder")

    def __init__(self, backbone: str, weights: Location | None = None) -> None:
        super().__init__()
        self.mpn = UNet(backbone, _MASKS, weights)
        self.qun = UNet(backbone, _MASKS, weights, beside=_MASKS)
        self.mrn = UNet(backbone, 4, weights, joining=_MASKS)

    @classmethod
    def of(cls, settings: Mapping[str, Any], weights: Mapping[str, Location]) -> SHMC:
        """As in `MattingNetwork`."""
        return cls(setting(settings, "backbone"), weights.get("encoder"))

    def forward(self, image: Tensor) -> Refined:
        """N x 3 x H x W RGB in [0, 1] -> alpha and the foreground's colours; sides are multiples of 32."""
        *_, found = self.decode(self.normalised(image))
        return _refined(found)

    def refine(self, image: Tensor, context: Tensor, window: Tensor) -> Refined:
        """MRN on a crop, with its part of the unified mask of what is around it.

        Args:
            image: N x 3 x H x W RGB in [0, 1].
            context: N x 3 x H x W RGB in [0, 1], which holds the crop.
            window: N x 4: left, top, right and bottom of the crop in the context, from 0 to 1.
        """
        _, unified = self._unified(reduced(self.normalised(context)))
        sides = tuple(side // _REDUCED for side in image.shape[2:])
        return _refined(self.mrn(self.normalised(image), cut(widened(unified).sigmoid(), window, sides)))

    def decode(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A normalised image -> logits of MPN and of QUN, N x 2 x h x w, and what MRN gives, N x 4 x H x W."""
        coarse, unified = self._unified(reduced(image))
        return coarse, unified, self.mrn(image, unified.sigmoid())

    def _unified(self, small: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of MPN and of QUN."""
        coarse = self.mpn(small)
        return coarse, self.qun(torch.cat([small, coarse.sigmoid()], dim=1))

    def evidence(self, image: Tensor) -> tuple[Tensor]:
        """Alpha."""
        return (self(image).alpha,)

    def masks(self, image: Tensor) -> Masks:
        """MPN alone."""
        return Masks(widened(self.mpn(reduced(self.normalised(image)))).sigmoid())

    def unify(self, image: Tensor, alpha: Tensor) -> Unified:
        """QUN alone, on true masks and on degraded ones."""
        small, mask = reduced(self.normalised(image)), reduced(alpha)
        found = [self.qun(torch.cat([small, each, 1 - each], dim=1)) for each in (mask, degraded(mask))]
        return Unified(*(widened(each).sigmoid() for each in found))

    def losses(
        self, found: Any, batch: Batch, weights: Mapping[str, float], count: Tensor | None = None
    ) -> dict[str, Tensor]:
        """L1 means. Of `Masks`: `foreground`, `background`. Of `Unified`: `identity` (accurate masks stay as they are),
        `repair` (degraded ones become so), `consistency`. Of `Refined`: `alpha`, and `colours` where alpha is above 0.
        """  # noqa: D205
        terms = self._terms(found, batch, weights)
        return with_total({name: term for name, term in terms.items() if weights[name]}, weights)

    def _terms(self, found: Any, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        if isinstance(found, Refined):
            terms = {"alpha": F.l1_loss(found.alpha, batch.alpha)}
            if weights["colours"]:
                difference = (found.colours - batch.foreground).abs()
                terms["colours"] = (difference * (batch.alpha > 0)).mean()
            return terms
        mask = reduced(batch.alpha)
        both = torch.cat([mask, 1 - mask], dim=1)
        if isinstance(found, Masks):
            named = zip(("foreground", "background"), (0, 1), strict=True)
            return {name: F.l1_loss(found.masks[:, at], both[:, at]) for name, at in named}
        return {
            "identity": F.l1_loss(found.accurate, both),
            "repair": F.l1_loss(found.degraded, both),
            "consistency": F.l1_loss(found.accurate, found.degraded),
        }


def reduced(picture: Tensor) -> Tensor:
    """N x C x H x W -> a quarter of the sides, by area."""
    return F.avg_pool2d(picture, _REDUCED)


def cut(masks: Tensor, window: Tensor, sides: tuple[int, ...]) -> Tensor:
    """Parts of masks, each sampled bilinearly to the same size.

    Args:
        masks: N x C x h x w.
        window: N x 4: left, top, right and bottom of each part, from 0 to 1.
        sides: Height and width of the result.
    """
    low, high = window[:, :2], window[:, 2:]  # N x 2: across, down
    shares = (torch.arange(side, device=masks.device, dtype=window.dtype).add(0.5).div(side) for side in sides)
    down, across = torch.meshgrid(*shares, indexing="ij")
    places = low[:, None, None] + (high - low)[:, None, None] * torch.stack([across, down], dim=-1)
    return F.grid_sample(masks, 2 * places - 1, padding_mode="border", align_corners=False)


def _refined(found: Tensor) -> Refined:
    found = widened(found)
    return Refined(found[:, :1].sigmoid(), found[:, 1:])


def degraded(mask: Tensor) -> Tensor:
    """An inaccurate mask: grown or shrunk, sampled through a lower resolution, blurred; by torch's own dice.

    Args:
        mask: N x 1 x h x w in [0, 1].
    """
    reach = int(torch.randint(1, _FARTHEST + 1, ()))
    sign = 1.0 if torch.rand(()) < 0.5 else -1.0
    grown = sign * F.max_pool2d(sign * mask, 2 * reach + 1, stride=1, padding=reach)
    share = int(torch.randint(1, _COARSEST + 1, ()))
    sides = (max(1, mask.shape[2] // share), max(1, mask.shape[3] // share))
    coarse = F.interpolate(F.adaptive_avg_pool2d(grown, sides), mask.shape[2:], mode="bilinear", align_corners=False)
    return F.avg_pool2d(coarse, 3, stride=1, padding=1, count_include_pad=False)


class UNet(nn.Module):
    """An encoder, and a block for each of its stages that enlarges to the stage's own size.

    Args:
        backbone: Of the encoder.
        outputs: Channels.
        weights: A state dict for the encoder.
        beside: Further channels of the picture; their filters start at 0.
        joining: Channels of masks that join where the encoder has reduced its picture four times.
    """

    def __init__(
        self, backbone: str, outputs: int, weights: Location | None, beside: int = 0, joining: int = 0
    ) -> None:
        super().__init__()
        found = backbone_named(backbone)
        if found.family in LIBRARIES or _REDUCED not in found.strides:
            raise InputError(f"--backbone {backbone}: SHMC's masks join inside the encoder; take one of our own rows")
        self.encoder = Encoder(found, weights)
        channels, at = found.channels, found.strides.index(_REDUCED)
        self._join_at = at
        self._pools = _begins_with_pooling(self.encoder.stages[at])
        before = channels[at - 1] if self._pools else channels[at]
        self.join = conv(before + joining, before) if joining else None
        if beside:
            _widen_input(self.encoder, beside)
        self.centre = conv(channels[-1], channels[-1])
        pairs = zip(channels[1:], channels[:-1], strict=True)
        self.blocks = nn.ModuleList(conv(below + above, above) for below, above in pairs)
        self.full = nn.Sequential(conv(channels[0], channels[0]), conv(channels[0], channels[0]))
        self.head = plain_conv(channels[0], outputs)

    def forward(self, image: Tensor, masks: Tensor | None = None) -> Tensor:
        """A normalised image, and what joins at a quarter of its sides -> N x outputs x H x W."""
        features = self._features(image, masks)
        x = self.centre(features[-1])
        for block, feature in zip(reversed(self.blocks), reversed(features[:-1]), strict=True):
            x = block(torch.cat([resized_to(x, feature), feature], dim=1))
        found: Tensor = self.head(self.full(resized_to(x, image)))
        return found

    def _features(self, image: Tensor, masks: Tensor | None) -> list[Tensor]:
        features = []
        for at, stage in enumerate(self.encoder.stages):
            if masks is None or at != self._join_at:
                image = stage(image)
            elif self._pools:
                pool, *layers = cast("nn.Sequential", stage)
                image = nn.Sequential(*layers)(self._joined(pool(image), masks))
            else:
                image = self._joined(stage(image), masks)
            features.append(image)
        return features

    def _joined(self, feature: Tensor, masks: Tensor) -> Tensor:
        found: Tensor = cast("nn.Sequential", self.join)(torch.cat([feature, masks], dim=1))
        return found


def _begins_with_pooling(stage: nn.Module) -> bool:
    return isinstance(stage, nn.Sequential) and isinstance(stage[0], nn.MaxPool2d)


def _widen_input(encoder: Encoder, further: int) -> None:
    """Give the first convolution so many more channels, whose filters are 0."""
    place, first = next((name, each) for name, each in encoder.named_modules() if isinstance(each, nn.Conv2d))
    layer = nn.Conv2d(
        first.in_channels + further,
        first.out_channels,
        first.kernel_size,  # type: ignore[arg-type]
        first.stride,  # type: ignore[arg-type]
        first.padding,  # type: ignore[arg-type]
        bias=first.bias is not None,
    )
    with torch.no_grad():
        layer.weight.copy_(F.pad(first.weight, (0, 0, 0, 0, 0, further)))
        if first.bias is not None and layer.bias is not None:
            layer.bias.copy_(first.bias)
    parent, _, name = place.rpartition(".")
    setattr(encoder.get_submodule(parent), name, layer)
