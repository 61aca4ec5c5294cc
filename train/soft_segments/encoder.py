"""Encoders as sources of semantic features: an ImageNet encoder's, or that of a trained network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rssn.errors import InputError
from rssn.image.arrays import Image
from rssn.storage.files import content_id, sha256
from rssn.storage.location import Location
from rssn.storage.weights import weights_copy
from train.checkpoint import load_network
from train.device import best_device
from train.network.backbones import backbone_named
from train.network.encoders import Encoder, LibraryEncoder, build_encoder
from train.network.network import IMAGENET_MEAN, IMAGENET_STD
from train.soft_segments.features import Maps

_FINEST = 4  # px: stages of finer strides have edges, not meaning
_SEEN = 640  # px; longer side of what the encoder sees, of larger photographs
_STRIDE = 32


@dataclass(frozen=True, eq=False)
class FeatureSource:
    """An encoder, and what it is to see.

    Attributes:
        encoder: In `eval` mode.
        mean: 1 x 3 x 1 x 1, subtracted from a picture in [0, 1].
        std: Its divisor.
        levels: Stages whose features are taken.
        name: Of the encoder and its weights, in words.
        digest: Of the file that the weights are of, and of what is taken from it.
    """

    encoder: Encoder | LibraryEncoder
    mean: Tensor
    std: Tensor
    levels: tuple[int, ...]
    name: str
    digest: str

    @classmethod
    def of_weights(cls, backbone: str, weights: Location) -> FeatureSource:
        """An encoder with published weights; from the first stage on that these do not fill, stages are left out.

        Raises:
            InputError: If there is no such backbone, the weights are not its own, or its first stage is not in them.
            DependencyError: If its library is not installed.
        """
        encoder = build_encoder(backbone_named(backbone), weights).eval().to(best_device())
        known = list(takewhile(partial(_is_published, encoder), range(len(encoder.backbone.strides))))
        levels = tuple(level for level in _levels(encoder) if level in known)
        if not levels:
            raise InputError(f"--backbone {backbone}: its weights do not fill its first stage; take another one")
        mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (IMAGENET_MEAN, IMAGENET_STD))
        return cls(encoder, mean, std, levels, f"{backbone}, weights {weights.name}", _digest(weights, backbone))

    @classmethod
    def of_checkpoint(cls, path: Location, weights: str | None = None) -> FeatureSource:
        """The encoder of a trained network.

        Args:
            path: As `train.checkpoint.load_network` takes it.
            weights: One of `train.config.WEIGHTS`.

        Raises:
            InputError: If the checkpoint holds none, or the network has no one encoder.
            DependencyError: If its library is not installed.
        """
        network = load_network(path, best_device(), weights)
        whole: Any = getattr(network, "gfm", network)
        encoder = getattr(whole, "encoder", None)
        if not isinstance(encoder, Encoder | LibraryEncoder):
            raise InputError(f"--checkpoint {path}: {network.name} has no one encoder; give --backbone instead")
        name = f"the encoder of {network.name}, {path.name}"
        mean, std = whole.mean.cpu(), whole.std.cpu()
        return cls(encoder, mean, std, tuple(_levels(encoder)), name, _digest(path, weights or ""))

    def stages(self, image: Image) -> Maps:
        """Features of a photograph, of which the encoder sees 640 px at most, whatever the size of the layers.

        Clusters of the features fit subjects worse where it sees 160 or 320 px, and no better at 1280.

        Args:
            image: H x W x 3 RGB in [0, 1].

        Returns:
            C x h x w of each stage.
        """
        device = next(self.encoder.parameters()).device
        tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
        scale = min(1.0, _SEEN / max(image.shape[:2])) / _STRIDE
        seen = tuple(max(1, round(scale * side)) * _STRIDE for side in image.shape[:2])
        small = F.interpolate(tensor, seen, mode="bilinear", antialias=True, align_corners=False)
        with torch.inference_mode():
            found = _features(self.encoder, ((small - self.mean) / self.std).to(device))
        return [found[level][0].float().cpu().numpy() for level in self.levels]


def _digest(file: Location, taken: str) -> str:
    return content_id(sha256(weights_copy(file)).encode(), taken.encode())


def _features(encoder: Encoder | LibraryEncoder, image: Tensor) -> list[Tensor]:
    """Of every stage; of a library's backbone as the library gives them, before they are reduced for GFM."""
    if isinstance(encoder, LibraryEncoder):
        given = encoder.features(image)
        return list(given.values() if isinstance(given, dict) else given)
    found: list[Tensor] = encoder(image)
    return found


def _levels(encoder: Encoder | LibraryEncoder) -> list[int]:
    return [level for level, stride in enumerate(encoder.backbone.strides) if stride >= _FINEST]


def _is_published(encoder: Encoder | LibraryEncoder, level: int) -> bool:
    """Whether the library's weights fill a stage: parts of our own start from random values."""
    if isinstance(encoder, LibraryEncoder):
        return True
    parts = [name for name in encoder.state_dict() if name.startswith(f"stages.{level}.")]
    return encoder.published.issuperset(parts)
