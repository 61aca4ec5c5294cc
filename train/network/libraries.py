"""Feature backbones of torchvision and timm, by name: the last feature of each resolution. Nothing is downloaded."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from rssn.errors import DependencyError, InputError
from rssn.storage.location import Location
from rssn.vision import torchvision_models
from train.network.weights import load_encoder_weights

_SIDE = 128  # px of the picture that shows what a model gives; a power of two, so that every stride divides it


@dataclass(frozen=True, eq=False)
class Features:
    """A module that gives a list or dict of features, and what they are."""

    module: nn.Module
    channels: tuple[int, ...]
    strides: tuple[int, ...]


def torchvision_features(name: str, weights: Location | None) -> Features:
    """A model of `torchvision.models`, run as far as its deepest feature.

    Raises:
        InputError: If there is no such model, it gives no pyramid, or the weights do not fit.
    """
    models = torchvision_models()
    if name not in models.list_models(module=models):
        raise InputError(f"--backbone torchvision:{name}: torchvision.models has no {name}")
    model: nn.Module = models.get_model(name, weights=None)
    if weights is not None:
        load_encoder_weights(model, weights, f"torchvision's {name}", ())
    extraction = importlib.import_module("torchvision.models.feature_extraction")
    places = _last_of_each_stride(extraction.create_feature_extractor(model, _nodes(extraction, model)))
    module: nn.Module = extraction.create_feature_extractor(model, list(places))
    channels, strides = zip(*places.values(), strict=True) if places else ((), ())
    return _checked(f"torchvision:{name}", Features(module, channels, strides))


def timm_features(name: str, weights: Location | None) -> Features:
    """A model of timm with `features_only`.

    Raises:
        InputError: If there is no such model, it gives no pyramid, or the weights do not fit.
        DependencyError: If timm is not installed.
    """
    torchvision_models()  # timm imports torchvision, which may need help
    try:
        timm: Any = importlib.import_module("timm")
    except ModuleNotFoundError as error:
        raise DependencyError(f"--backbone timm:{name}: timm is not installed: pip install 'rssn[timm]'") from error
    if name not in timm.list_models():
        raise InputError(f"--backbone timm:{name}: timm has no {name}")
    try:
        module: Any = timm.create_model(name, pretrained=False, features_only=True)
    except (RuntimeError, AssertionError, AttributeError, TypeError) as error:
        raise InputError(f"--backbone timm:{name}: timm gives no features of it") from error
    if weights is not None:
        whole = timm.create_model(name, pretrained=False).state_dict()
        load_encoder_weights(module, weights, f"timm's {name}", whole.keys() - module.state_dict().keys())
    info = module.feature_info
    return _checked(f"timm:{name}", Features(module, tuple(info.channels()), tuple(info.reduction())))


def synchronised(network: nn.Module) -> nn.Module:
    """The network with batch norms over the samples of all GPUs.

    Only timm's own function keeps the activation that timm's batch norms hold; torch's would drop it.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    if all(type(norm) is nn.BatchNorm2d for norm in norms):
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call,no-any-return]
    converted: nn.Module = importlib.import_module("timm.layers").convert_sync_batchnorm(network)
    return converted


def _nodes(extraction: Any, model: nn.Module) -> list[str]:
    _, nodes = extraction.get_graph_node_names(model)
    return [node for node in nodes if node != "x"]


def _last_of_each_stride(extractor: nn.Module) -> dict[str, tuple[int, int]]:
    """Node -> (channels, stride): of the features of one resolution the deepest, from half the picture's on."""
    extractor.eval()
    with torch.inference_mode():
        found = extractor(torch.zeros(1, 3, _SIDE, _SIDE))
    places: dict[int, tuple[str, int]] = {}
    for node, value in found.items():
        if isinstance(value, Tensor) and value.ndim == 4 and value.shape[2] == value.shape[3] > 1:
            stride = _SIDE // value.shape[2]
            if stride > 1 and stride >= max(places, default=0):
                places[stride] = (node, int(value.shape[1]))
    extractor.train()
    return {node: (channels, stride) for stride, (node, channels) in places.items()}


def _checked(name: str, features: Features) -> Features:
    strides = features.strides
    steps = [after % before for before, after in pairwise(strides)]
    if len(strides) < 3 or sorted(set(strides)) != list(strides) or any(steps) or strides[-1] > 32:
        raise InputError(f"--backbone {name}: gives features of strides {strides}, not a pyramid up to 32 px")
    return features
