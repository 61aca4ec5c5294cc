"""The glance decoder (section 3.2) and the focus decoder (section 3.3), and the parts they are made of.

Each decoder has a block for each stage of the encoder, D0, D1 ..; block i works at the resolution of stage i and
enlarges to that of the stage below.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from train.network.backbones import Backbone


class PyramidPooling(nn.Module):
    """Global context: the feature pooled to 1, 3 and 5 cells a side, brought back and mixed with itself.

    Args:
        channels: Of the feature.
        sizes: Cells a side.
        outputs: Channels of the result; None: those of the feature.
    """

    def __init__(self, channels: int, sizes: Sequence[int] = (1, 3, 5), outputs: int | None = None) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(size), nn.Conv2d(channels, channels, 1, bias=False)) for size in sizes
        )
        self.bottleneck = nn.Conv2d(channels * (len(sizes) + 1), outputs or channels, 1)

    def forward(self, feature: Tensor) -> Tensor:
        """N x C x H x W -> the same size."""
        height, width = feature.shape[2:]
        pooled = [
            F.interpolate(stage(feature), (height, width), mode="bilinear", align_corners=True) for stage in self.stages
        ]
        return torch.relu(self.bottleneck(torch.cat([*pooled, feature], dim=1)))


class GlanceDecoder(nn.Module):
    """Recognises the rough foreground and background (section 3.2).

    Args:
        backbone: Whose features it reads.
        classes: C of equation 2.
        pooling: Whether it has the pyramid pooling module; without it a block sees the block above alone.
    """

    def __init__(self, backbone: Backbone, classes: int, pooling: bool = True) -> None:
        super().__init__()
        deepest, blocks, top = backbone.channels[-1], backbone.blocks, len(backbone.blocks) - 1
        self.pooling = PyramidPooling(deepest) if pooling else None
        self.context = nn.ModuleDict(
            {
                str(level): _context(deepest, blocks[level + 1][-1], backbone.strides[-1] // backbone.strides[level])
                for level in range(top)
                if pooling and not backbone.alone(level)
            }
        )
        inputs = [blocks[level + 1][-1] * (1 + (str(level) in self.context)) for level in range(top)]
        self.blocks = _blocks(backbone, [*inputs, deepest * (1 + pooling)], classes)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Features of E0, E1 .. -> N x C x H x W logits, at the resolution of the image."""
        deepest = features[-1]
        pooled = deepest if self.pooling is None else self.pooling(deepest)
        x: Tensor = self.blocks[-1](deepest if self.pooling is None else torch.cat([pooled, deepest], dim=1))
        for level in reversed(range(len(self.blocks) - 1)):
            branch = str(level)
            if branch in self.context:
                x = torch.cat([self.context[branch](pooled), x], dim=1)
            x = self.blocks[level](x)
        return x


class FocusDecoder(nn.Module):
    """Finds the details in the transition areas (section 3.3): a bridge block and shortcuts from every stage.

    Args:
        backbone: Whose features it reads.
        bridge: Whether it has the bridge block; without it the top block sees the deepest feature alone.
    """

    def __init__(self, backbone: Backbone, bridge: bool = True) -> None:
        super().__init__()
        deepest, blocks, top = backbone.channels[-1], backbone.blocks, len(backbone.blocks) - 1
        self.bridge = _bridge_block(deepest) if bridge else None
        self.shortcuts = [not backbone.alone(level) for level in range(top)]
        inputs = [blocks[level + 1][-1] + self.shortcuts[level] * backbone.channels[level] for level in range(top)]
        self.blocks = _blocks(backbone, [*inputs, deepest * (1 + bridge)], 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Features of E0, E1 .. -> N x 1 x H x W logits, at the resolution of the image."""
        deepest = features[-1]
        seen = deepest if self.bridge is None else torch.cat([self.bridge(deepest), deepest], dim=1)
        x: Tensor = self.blocks[-1](seen)
        for level in reversed(range(len(self.blocks) - 1)):
            x = self.blocks[level](torch.cat([x, features[level]], dim=1) if self.shortcuts[level] else x)
        return x


def _blocks(backbone: Backbone, inputs: Sequence[int], outputs: int) -> nn.ModuleList:
    """D0, D1 ..; the last convolution of D0 gives the logits."""
    blocks = nn.ModuleList()
    for level, (before, widths) in enumerate(zip(inputs, backbone.blocks, strict=True)):
        layers = [layer for pair in zip((before, *widths), widths, strict=False) for layer in _conv(*pair)]
        if level == 0:
            layers.append(nn.Conv2d((before, *widths)[-1], outputs, 3, padding=1))
        if backbone.scale(level) > 1:
            layers.append(_upsample(backbone.scale(level)))
        blocks.append(nn.Sequential(*layers))
    return blocks


def _context(channels: int, width: int, scale: int) -> nn.Sequential:
    """The pyramid's branch to a block."""
    return nn.Sequential(*_conv(channels, width), _upsample(scale))


def _bridge_block(channels: int) -> nn.Sequential:
    """Local context in growing receptive fields: three dilated convolutions (section 3.3, BB)."""
    return nn.Sequential(*(layer for _ in range(3) for layer in _conv(channels, channels, dilation=2)))


def _conv(before: int, after: int, dilation: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(before, after, 3, padding=dilation, dilation=dilation),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    ]


def _upsample(factor: int) -> nn.Module:
    return nn.Upsample(scale_factor=factor, mode="bilinear", align_corners=False)
