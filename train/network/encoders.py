"""The shared encoder E0 .. E4 (section 3.1): a backbone cut into five stages, each of half the resolution before.

`backbones` holds the figures, this file the cuts. The stages keep the order of the authors' released modules, so that
`encoder3.x` there is `stages.3.x` here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

import torch
from torch import Tensor, nn

from rssn.errors import InputError
from rssn.vision import torchvision_models
from train.network.backbones import Backbone

_LEGACY_DENSE = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")


class Encoder(nn.Module):
    """Five stages; returns the output of each.

    Args:
        backbone: Which one.
        weights: A torchvision state dict to start from; random values where None.

    Raises:
        InputError: If the weights are not those of the backbone; the message names the difference.
    """

    def __init__(self, backbone: Backbone, weights: Path | None = None) -> None:
        super().__init__()
        model = _torchvision_model(backbone, weights)
        self.stages = nn.ModuleList(_CUTS[backbone.family](backbone, model))

    def forward(self, image: Tensor) -> list[Tensor]:
        """N x 3 x H x W, normalised, sides multiples of 32 -> features at 1/2, 1/4, 1/8, 1/16, 1/32."""
        features = []
        for stage in self.stages:
            image = stage(image)
            features.append(image)
        return features


def _torchvision_model(backbone: Backbone, weights: Path | None) -> nn.Module | None:
    if backbone.model is None:
        if weights is not None:
            raise InputError(
                f"--weights {weights}: the backbone {backbone.name} has no published weights; leave it out"
            )
        return None
    model = cast(nn.Module, getattr(torchvision_models(), backbone.model)(weights=None))
    if weights is not None:
        _load_weights(model, weights, backbone)
    return model


def _load_weights(model: nn.Module, path: Path, backbone: Backbone) -> None:
    """Load a torchvision state dict: every key is used, known as unused, or refused."""
    given = {_LEGACY_DENSE.sub(r"\1\2", key): value for key, value in _read_state(path).items()}
    expected = model.state_dict()
    optional = {key for key in expected if key.endswith("num_batches_tracked") or key.startswith(backbone.unused)}
    problems = [f"lacks {key}" for key in expected.keys() - given.keys() - optional]
    problems += [f"has an unknown {key}" for key in given.keys() - expected.keys()]
    problems += [
        f"{key} is {tuple(given[key].shape)}, expected {tuple(expected[key].shape)}"
        for key in expected.keys() & given.keys() - optional
        if given[key].shape != expected[key].shape
    ]
    if problems:
        listed = "; ".join(sorted(problems)[:4])
        rest = f"; and {len(problems) - 4} more" if len(problems) > 4 else ""
        raise InputError(f"--weights {path}: not torchvision's {backbone.model}: {listed}{rest}")
    used = {key: value for key, value in given.items() if not key.startswith(backbone.unused)}
    model.load_state_dict(used, strict=False)


def _read_state(path: Path) -> Mapping[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"--weights {path}: {error.strerror or error}") from error
    except (RuntimeError, UnpicklingError, EOFError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"--weights {path}: no state dict that torch can load safely: {reason}") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"--weights {path}: holds no state dict (names with tensors)")
    return state


def _cut_resnet(_: Backbone, model: Any) -> list[nn.Module]:
    return [
        nn.Sequential(model.conv1, model.bn1, model.relu),
        nn.Sequential(model.maxpool, model.layer1),
        model.layer2,
        model.layer3,
        model.layer4,
    ]


def _cut_densenet(backbone: Backbone, model: Any) -> list[nn.Module]:
    """Section 3.1: a convolution reduces the last 1024 channels to 512; E0 keeps the resolution of conv0."""
    layers, deepest = model.features, backbone.channels[-1]
    reduce = (nn.Conv2d(1024, deepest, 3, padding=1), nn.BatchNorm2d(deepest), nn.ReLU(inplace=True))
    return [
        nn.Sequential(layers.conv0, layers.norm0, layers.relu0),
        nn.Sequential(layers.denseblock1, layers.transition1),
        nn.Sequential(layers.denseblock2, layers.transition2),
        nn.Sequential(layers.denseblock3, layers.transition3),
        nn.Sequential(layers.denseblock4, *reduce, nn.MaxPool2d(2, 2, ceil_mode=True)),
    ]


def _plain_stages(backbone: Backbone, _: None) -> list[nn.Module]:
    """One strided convolution a stage."""
    steps = zip((3, *backbone.channels), backbone.channels, strict=False)
    return [
        nn.Sequential(nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU(inplace=True))
        for before, after in steps
    ]


_CUTS: Mapping[str, Callable[[Backbone, Any], list[nn.Module]]] = {
    "resnet": _cut_resnet,
    "densenet": _cut_densenet,
    "plain": _plain_stages,
}
