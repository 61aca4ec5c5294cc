"""The shared encoder E0, E1 .. (section 3.1): a backbone cut into stages, most of half the resolution before.

`backbones` holds the figures, this file the cuts. The stages keep the order of the authors' released modules, so that
`encoder3.x` there is `stages.3.x` here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from rssn.errors import InputError
from rssn.storage.location import Location
from rssn.vision import torchvision_models
from train.network.backbones import DEEPEST, LIBRARIES, Backbone, fitting_blocks
from train.network.libraries import timm_features, torchvision_features
from train.network.weights import load_encoder_weights

_SIDE = 64  # px of the picture that shows which parameters a feature depends on


class Encoder(nn.Module):
    """Stages, one after the other; returns the output of each.

    Args:
        backbone: Which one.
        weights: A torchvision state dict to start from; random values where None.

    Attributes:
        published: Names of its tensors that the library's weights bring; the others always start from random values.

    Raises:
        InputError: If the weights are not those of the backbone; the message names the difference.
    """

    def __init__(self, backbone: Backbone, weights: Location | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        model = _torchvision_model(backbone, weights)
        self.stages = nn.ModuleList(_CUTS[backbone.family](backbone, model))
        known = {id(each) for each in model.state_dict(keep_vars=True).values()} if model else set()
        self.published = {name for name, each in self.state_dict(keep_vars=True).items() if id(each) in known}

    def forward(self, image: Tensor) -> list[Tensor]:
        """N x 3 x H x W, normalised, sides multiples of the last stride -> the feature of each stage."""
        features = []
        for stage in self.stages:
            image = stage(image)
            features.append(image)
        return features

    def first_stages(self, count: int) -> list[str]:
        """Names of the modules of its first stages.

        Raises:
            InputError: If it has no more than that.
        """
        _check_stages(count, len(self.stages), self.backbone)
        return [
            ".".join(filter(None, ("stages", str(at), name)))
            for at in range(count)
            for name, _ in self.stages[at].named_modules()
        ]


class LibraryEncoder(nn.Module):
    """As `Encoder`, of torchvision or timm; the last feature is reduced to 512 channels where it has more.

    Args:
        backbone: Names the library and the model.
        weights: A state dict of that library to start from; random values where None.

    Raises:
        InputError: If there is no such model, it gives no pyramid of features, or the weights do not fit.
    """

    def __init__(self, backbone: Backbone, weights: Location | None = None) -> None:
        super().__init__()
        build = timm_features if backbone.family == "timm" else torchvision_features
        found = build(backbone.model, weights)
        self.features = found.module
        deepest = found.channels[-1]
        wide = deepest > DEEPEST
        self.reduce = nn.Sequential(*_reduce(deepest, DEEPEST)) if wide else nn.Identity()
        self.published = {f"features.{name}" for name in self.features.state_dict()}
        channels = (*found.channels[:-1], min(deepest, DEEPEST))
        self.backbone = replace(backbone, channels=channels, strides=found.strides, blocks=fitting_blocks(channels))

    def forward(self, image: Tensor) -> list[Tensor]:
        """N x 3 x H x W, normalised, sides multiples of the last stride -> the feature of each stage."""
        found = self.features(image)
        *features, deepest = found.values() if isinstance(found, dict) else found
        return [*features, self.reduce(deepest)]

    def first_stages(self, count: int) -> list[str]:
        """Names of the modules whose parameters its first features depend on, as a gradient tells.

        Raises:
            InputError: If it has no more features than that.
        """
        _check_stages(count, len(self.backbone.channels), self.backbone)
        parameters = {name: each.detach().requires_grad_() for name, each in self.named_parameters()}
        modes = {module: module.training for module in self.modules()}
        picture = next(iter(parameters.values())).new_zeros(1, 3, _SIDE, _SIDE)
        found = functional_call(self.eval(), parameters, (picture,))[count - 1]
        for module, mode in modes.items():
            module.training = mode
        gradients = torch.autograd.grad(found.sum(), list(parameters.values()), allow_unused=True)
        pairs = zip(parameters, gradients, strict=True)
        return list(dict.fromkeys(name.rpartition(".")[0] for name, each in pairs if each is not None))


def _check_stages(count: int, stages: int, backbone: Backbone) -> None:
    if count >= stages:
        words = f"the encoder {backbone.name} has {stages} stages; give fewer, or --freeze encoder for all"
        raise InputError(f"--freeze-stages {count}: {words}")


def build_encoder(backbone: Backbone, weights: Location | None = None) -> Encoder | LibraryEncoder:
    """The encoder of a backbone; its attribute `backbone` is complete."""
    return (LibraryEncoder if backbone.family in LIBRARIES else Encoder)(backbone, weights)


def _torchvision_model(backbone: Backbone, weights: Location | None) -> nn.Module | None:
    if not backbone.model:
        if weights is not None:
            raise InputError(
                f"--weights {weights}: the backbone {backbone.name} has no published weights; leave it out"
            )
        return None
    dilation = {"replace_stride_with_dilation": [False, True, True]} if backbone.dilated else {}
    model: nn.Module = getattr(torchvision_models(), backbone.model)(weights=None, **dilation)
    if weights is not None:
        load_encoder_weights(model, weights, f"torchvision's {backbone.model}", backbone.unused)
    return model


def _cut_resnet(_: Backbone, model: Any) -> list[nn.Module]:
    return [
        nn.Sequential(model.conv1, model.bn1, model.relu),
        nn.Sequential(model.maxpool, model.layer1),
        model.layer2,
        model.layer3,
        model.layer4,
    ]


def _cut_resnet_2b(_: Backbone, model: Any) -> list[nn.Module]:
    """Section 5.5, r2b: E0 keeps the resolution, and two stages of three residual blocks each follow."""
    block = type(model.layer4[-1])
    deeper = [nn.Sequential(nn.MaxPool2d(2, 2, ceil_mode=True), *(block(512, 512) for _ in range(3))) for _ in range(2)]
    first = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(inplace=True))
    return [first, model.layer1, model.layer2, model.layer3, model.layer4, *deeper]


def _cut_densenet(backbone: Backbone, model: Any) -> list[nn.Module]:
    """Section 3.1: a convolution reduces the last 1024 channels to 512; E0 keeps the resolution of conv0."""
    layers, reduce = model.features, _reduce(1024, backbone.channels[-1])
    return [
        nn.Sequential(layers.conv0, layers.norm0, layers.relu0),
        nn.Sequential(layers.denseblock1, layers.transition1),
        nn.Sequential(layers.denseblock2, layers.transition2),
        nn.Sequential(layers.denseblock3, layers.transition3),
        nn.Sequential(layers.denseblock4, *reduce, nn.MaxPool2d(2, 2, ceil_mode=True)),
    ]


def _cut_densenet_whole(_: Backbone, model: Any) -> list[nn.Module]:
    """As a feature pyramid wants it: each stage ends before the transition to the next, the last one with its norm."""
    layers = model.features
    return [
        nn.Sequential(layers.conv0, layers.norm0, layers.relu0),
        nn.Sequential(layers.pool0, layers.denseblock1),
        nn.Sequential(layers.transition1, layers.denseblock2),
        nn.Sequential(layers.transition2, layers.denseblock3),
        nn.Sequential(layers.transition3, layers.denseblock4, layers.norm5, nn.ReLU(inplace=True)),
    ]


def _plain_stages(backbone: Backbone, _: None) -> list[nn.Module]:
    """One strided convolution a stage."""
    steps = zip((3, *backbone.channels), backbone.channels, strict=False)
    return [
        nn.Sequential(nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU(inplace=True))
        for before, after in steps
    ]


def _reduce(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]


_CUTS: Mapping[str, Callable[[Backbone, Any], list[nn.Module]]] = {
    "resnet": _cut_resnet,
    "resnet_2b": _cut_resnet_2b,
    "densenet": _cut_densenet,
    "densenet_whole": _cut_densenet_whole,
    "plain": _plain_stages,
}
