"""Several processes that train one network: who they are, and how they communicate.

`torchrun` and Ray Train start them. One process is a group of one; nothing is sent then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from rssn.errors import RssnError, first_line
from train.device import best_device
from train.network.libraries import synchronised

TIMEOUT = timedelta(hours=12)
"""How long processes wait for one another: the first validates alone, which may take longer than torch's 10 minutes."""


START_TIMEOUT = timedelta(minutes=10)
"""And how long for all of them to start, which takes seconds: one that never comes would be waited for as long."""


@dataclass(frozen=True)
class Group:
    """The processes of a run, as one of them sees them."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # on its machine

    @property
    def is_rank_zero(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """Its GPU, or the CPU."""
        return torch.device("cuda", self.local_rank) if torch.cuda.is_available() else best_device()

    def mean(self, values: Tensor) -> Tensor:
        """Mean over the processes, element by element; no gradient."""
        if self.size == 1:
            return values
        values = values.clone()
        dist.all_reduce(values)
        return values / self.size

    def all_gather(self, names: Sequence[str]) -> list[str]:
        """The names of all processes, in the order of their ranks."""
        if self.size == 1:
            return list(names)
        found: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(found, list(names))
        return [name for each in found for name in each]

    def wrap(self, network: nn.Module) -> nn.Module:
        """A network whose gradients are averaged over the processes and whose batch norms see all their samples."""
        if self.size == 1:
            return network
        if self.device.type == "cuda":
            return nn.parallel.DistributedDataParallel(synchronised(network), device_ids=[self.local_rank])
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.__class__ = SharedBatchNorm
        return nn.parallel.DistributedDataParallel(network)


def unsynchronised(network: nn.Module) -> AbstractContextManager[None]:
    """Where a network of `Group.wrap` keeps its gradients to itself: they go out with those of a later batch."""
    if isinstance(network, nn.parallel.DistributedDataParallel):
        return network.no_sync()
    return nullcontext()


class SharedBatchNorm(nn.BatchNorm2d):
    """A batch norm over the samples of all processes, on the CPU, where torch has none. All have as many samples.

    Those of timm hold what follows them, a drop-out and an activation.
    """

    def forward(self, feature: Tensor) -> Tensor:
        """N x C x H x W -> the same shape."""
        feature = self._shared(feature) if self.training else super().forward(feature)
        for follower in self.children():
            feature = follower(feature)
        return feature

    def _shared(self, feature: Tensor) -> Tensor:
        size, wide = dist.get_world_size(), feature.float()  # under bf16 too
        mean: Tensor = _Sum.apply(wide.mean((0, 2, 3))) / size  # type: ignore[no-untyped-call]
        centred = wide - mean[:, None, None]
        variance: Tensor = _Sum.apply(centred.square().mean((0, 2, 3))) / size  # type: ignore[no-untyped-call]
        self._remember(mean.detach(), variance.detach(), size * feature.numel() // feature.shape[1])
        scale = self.weight / (variance + self.eps).sqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(feature.dtype)

    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        momentum = self.momentum or 0.1
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * count / max(1, count - 1), momentum)


class _Sum(torch.autograd.Function):
    """Sum over the processes; gradients flow back to all of them."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        """The sum of every process's values."""
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Every process's loss depends on these values."""
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def world_size() -> int:
    """The number of processes that `torchrun` started, 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_rank_zero() -> bool:
    """Whether this is the process of `torchrun` that writes and prints, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def _rendezvous() -> dict[str, Any]:
    """What the processes talk through, when all of them are there; and the rank of this one, and their number."""
    from torch.distributed.rendezvous import rendezvous  # noqa: PLC0415  (some builds of torch have none)

    remedy = "start all of them, on every machine, by the same command"
    try:
        store, rank, size = next(rendezvous("env://", timeout=START_TIMEOUT))
    except (RuntimeError, ValueError) as error:
        place = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        words = f"the processes of this run did not meet at {place}: {first_line(error)}"
        raise RssnError(f"{words}; {remedy}") from error
    names = [f"here/{each}" for each in range(size)]
    store.set(names[rank], "")
    try:
        store.wait(names, START_TIMEOUT)
    except RuntimeError as error:
        late = ", ".join(str(each) for each, name in enumerate(names) if not store.check([name]))
        minutes = START_TIMEOUT.total_seconds() / 60
        words = f"of the {size} processes of this run the ranks {late} did not start within {minutes:.2g} minutes"
        raise RssnError(f"{words}; {remedy}") from error
    store.set_timeout(TIMEOUT)
    return {"store": store, "rank": rank, "world_size": size}


@contextmanager
def process_group() -> Iterator[Group]:
    """Join the processes of a run; those that Ray Train started have met already.

    Raises:
        RssnError: If they do not all start within `START_TIMEOUT`.
    """
    if dist.is_available() and dist.is_initialized():
        yield Group(dist.get_rank(), dist.get_world_size(), int(os.environ.get("LOCAL_RANK", "0")))
        return
    if world_size() == 1:
        yield Group()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=TIMEOUT, **_rendezvous())
    try:
        yield Group(dist.get_rank(), dist.get_world_size(), int(os.environ.get("LOCAL_RANK", "0")))
        dist.barrier()  # rank 0 still writes when the others are done
    finally:
        dist.destroy_process_group()
