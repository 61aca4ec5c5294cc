"""One training sample, or a batch of them: what the loader hands to the network and to the losses."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Sample(NamedTuple):
    """One crop with its targets; H = W = the input size."""

    image: Tensor  # 3 x H x W RGB in [0, 1]
    alpha: Tensor  # 1 x H x W in [0, 1]
    foreground: Tensor  # 3 x H x W, or 3 x 0 x 0 where the composition loss is off
    background: Tensor  # 3 x H x W
    glance: Tensor  # H x W int64 class labels
    focus: Tensor  # 1 x H x W in [0, 1]
    transition: Tensor  # 1 x H x W of 0 and 1
    sample_id: str


class Batch(NamedTuple):
    """Samples stacked along a new first axis; the fields of `Sample` in their order."""

    image: Tensor
    alpha: Tensor
    foreground: Tensor
    background: Tensor
    glance: Tensor
    focus: Tensor
    transition: Tensor
    sample_ids: tuple[str, ...]

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return Batch._make(field.to(device) if isinstance(field, Tensor) else field for field in self)


def collate(samples: list[Sample]) -> Batch:
    """Stack samples into a batch."""
    *tensors, names = zip(*samples, strict=True)
    return Batch._make([*(torch.stack(field) for field in tensors), tuple(names)])
