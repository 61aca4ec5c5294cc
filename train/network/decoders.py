"""The glance decoder (section 3.2) and the focus decoder (section 3.3), and the parts they are made of.

Each decoder has five blocks D0 .. D4; block i works at the resolution of the encoder's stage i and doubles it.
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
        channels: Of the feature, in and out.
        sizes: Cells a side.
    """

    def __init__(self, channels: int, sizes: Sequence[int] = (1, 3, 5)) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(size), nn.Conv2d(channels, channels, 1, bias=False)) for size in sizes
        )
        self.bottleneck = nn.Conv2d(channels * (len(sizes) + 1), channels, 1)

    def forward(self, feature: Tensor) -> Tensor:
        """N x C x H x W -> the same shape."""
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
    """

    def __init__(self, backbone: Backbone, classes: int) -> None:
        super().__init__()
        deepest, widths = backbone.channels[-1], backbone.widths
        self.pooling = PyramidPooling(deepest)
        self.context = nn.ModuleList(_context(deepest, width, level) for level, width in enumerate(widths[:-1]))
        inputs = [2 * width for width in widths[:-1]] + [2 * deepest]
        self.blocks = _blocks(inputs, widths, classes)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Features of E0 .. E4 -> N x C x H x W logits, at the resolution of the image."""
        pooled = self.pooling(features[-1])
        x: Tensor = self.blocks[-1](torch.cat([pooled, features[-1]], dim=1))
        for level in reversed(range(len(self.context))):
            x = self.blocks[level](torch.cat([self.context[level](pooled), x], dim=1))
        return x


class FocusDecoder(nn.Module):
    """Finds the details in the transition areas (section 3.3): a bridge block and shortcuts from every stage.

    Args:
        backbone: Whose features it reads.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        deepest, widths = backbone.channels[-1], backbone.widths
        self.bridge = _bridge_block(deepest)
        shortcuts = zip(widths[:-1], backbone.channels[:-1], strict=True)
        inputs = [width + channels for width, channels in shortcuts] + [2 * deepest]
        self.blocks = _blocks(inputs, widths, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Features of E0 .. E4 -> N x 1 x H x W logits, at the resolution of the image."""
        x: Tensor = self.blocks[-1](torch.cat([self.bridge(features[-1]), features[-1]], dim=1))
        for level in reversed(range(len(features) - 1)):
            x = self.blocks[level](torch.cat([x, features[level]], dim=1))
        return x


def _blocks(inputs: Sequence[int], widths: Sequence[int], outputs: int) -> nn.ModuleList:
    """D0 .. D4; block i hands on what block i - 1 is wide, D0 the logits."""
    after = (outputs, *widths[:-1])
    return nn.ModuleList(
        nn.Sequential(
            *_conv(before, width),
            *_conv(width, width),
            *(_conv(width, out) if level else [nn.Conv2d(width, out, 3, padding=1)]),
            _upsample(2),
        )
        for level, (before, width, out) in enumerate(zip(inputs, widths, after, strict=True))
    )


def _context(channels: int, width: int, level: int) -> nn.Sequential:
    """The pyramid's branch to block `level`: from 1/32 of the resolution to 1 / 2^(level + 1)."""
    return nn.Sequential(*_conv(channels, width), _upsample(2 ** (4 - level)))


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
