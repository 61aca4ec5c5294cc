"""Layers that several networks are made of."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def scaled(channels: int, width: float) -> int:
    """So many channels at a width, see `train run --width`; one at least."""
    return max(1, round(channels * width))


def conv(before: int, after: int, size: int | tuple[int, int] = 3) -> nn.Sequential:
    """A convolution with bias that keeps the resolution, a batch norm and a ReLU."""
    return nn.Sequential(plain_conv(before, after, size), nn.BatchNorm2d(after), nn.ReLU(inplace=True))


def plain_conv(before: int, after: int, size: int | tuple[int, int] = 3) -> nn.Conv2d:
    """A convolution with bias that keeps the resolution."""
    height, width = (size, size) if isinstance(size, int) else size
    return nn.Conv2d(before, after, (height, width), padding=(height // 2, width // 2))


def resized_to(feature: Tensor, other: Tensor) -> Tensor:
    """N x C x h x w, bilinearly, to the height and width of another."""
    return F.interpolate(feature, other.shape[2:], mode="bilinear", align_corners=False)
