"""One training sample, or a batch of them: what the loader hands to the network and to the losses."""

from __future__ import annotations

import os
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import get_worker_info


class Sample(NamedTuple):
    """One crop with its targets; H = W = the input size."""

    image: Tensor  # 3 x H x W RGB in [0, 1]
    alpha: Tensor  # 1 x H x W in [0, 1]
    foreground: Tensor  # 3 x H x W, or 3 x 0 x 0 where the composition loss is off
    background: Tensor  # 3 x H x W
    glance: Tensor  # H x W int64 class labels
    focus: Tensor  # 1 x H x W in [0, 1]
    transition: Tensor  # 1 x H x W of 0 and 1
    context: Tensor  # 3 x H x W RGB, a largest square of the picture with the crop in it, or 3 x 0 x 0
    window: Tensor  # left, top, right and bottom of the crop in the context, from 0 to 1 within 3 px
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
    context: Tensor
    window: Tensor
    sample_ids: tuple[str, ...]

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return Batch._make(field.to(device) if isinstance(field, Tensor) else field for field in self)

    def split(self, size: int) -> list[Batch]:
        """The same samples in their order, `size` in a batch."""
        tensors = (torch.split(field, size) for field in self if isinstance(field, Tensor))
        names = (self.sample_ids[start : start + size] for start in range(0, len(self.sample_ids), size))
        return [Batch._make(fields) for fields in zip(*tensors, names, strict=True)]


def collate(samples: list[Sample]) -> Batch:
    """Stack samples into a batch."""
    *tensors, names = zip(*samples, strict=True)
    return Batch._make([*(_stacked(field) for field in tensors), tuple(names)])


def _stacked(field: tuple[Tensor, ...]) -> Tensor:
    """In a loader process at once into memory that the trainer shares: nothing is copied on the way.

    torch would take it from /dev/shm, which is small in many containers; a memory file has the size of the memory.
    """
    shape = torch.Size((len(field), *field[0].shape))
    size = shape.numel() * field[0].element_size()
    if not size or get_worker_info() is None or not hasattr(os, "memfd_create"):
        return torch.stack(field)
    descriptor = os.memfd_create("rssn-batch")
    try:
        os.ftruncate(descriptor, size)
        # it holds a descriptor of its own; torch's declarations do not know it
        shared = torch.UntypedStorage._new_shared_fd_cpu(descriptor, size)  # type: ignore[attr-defined]
    finally:
        os.close(descriptor)
    return torch.stack(field, out=torch.empty(0, dtype=field[0].dtype).set_(shared).view(shape))
