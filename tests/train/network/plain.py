"""What the plain reimplementations of networks share: weights copied over by their order, and odd statistics."""

from __future__ import annotations

import torch
from torch import nn

from train.network.network import MattingNetwork


def shake(network: nn.Module, seed: int = 0) -> None:
    """Norms that have seen something: random scales, offsets and statistics, so that leaving one out shows."""
    dice = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for norm in network.modules():
            if isinstance(norm, nn.BatchNorm2d):
                for values, low in ((norm.weight, 0.5), (norm.running_var, 0.5), (norm.bias, -0.5)):
                    values.copy_(low + torch.rand(values.shape, generator=dice))
                norm.running_mean.copy_(torch.rand(norm.running_mean.shape, generator=dice) - 0.5)


def give(network: nn.Module, plain: nn.Module, beside: tuple[str, ...] = ()) -> None:
    """Copy all tensors over, in their order; both must have as many, of the same shapes."""
    own = [value for name, value in network.state_dict().items() if not name.startswith(("mean", "std", *beside))]
    places = list(plain.state_dict())
    assert [tuple(value.shape) for value in own] == [tuple(value.shape) for value in plain.state_dict().values()]
    plain.load_state_dict(dict(zip(places, own, strict=True)))


def picture(network: MattingNetwork, height: int = 64, width: int = 96) -> tuple[torch.Tensor, torch.Tensor]:
    """A picture, and what an encoder sees of it by ImageNet's mean and deviation."""
    image = torch.rand((1, 3, height, width), generator=torch.Generator().manual_seed(7))
    mean, deviation = (torch.tensor(each).view(1, 3, 1, 1) for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return image, (image - mean) / deviation


def convolution(before: int, after: int, size: tuple[int, int] = (3, 3), *, bias: bool = True) -> list[nn.Module]:
    """A convolution of the sheet and its norm."""
    padding = (size[0] // 2, size[1] // 2)
    return [nn.Conv2d(before, after, size, padding=padding, bias=bias), nn.BatchNorm2d(after)]


def run(layers: nn.ModuleList, x: torch.Tensor) -> torch.Tensor:
    """Pairs of a convolution and a norm, each with a ReLU."""
    for layer, norm in zip(layers[::2], layers[1::2], strict=True):
        x = torch.relu(norm(layer(x)))
    return x
