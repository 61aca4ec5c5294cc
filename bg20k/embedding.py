"""Deep embeddings, for copies that a perceptual hash does not find: crops, strong re-gradings, mirrored pictures.

A network by path: an ONNX file, or a backbone of torchvision by name with its weights in a file. Nothing is downloaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bg20k.duplicates import claim
from bg20k.onnx_model import Floats, OnnxModel, model_name, normalised
from rssn.errors import DependencyError, InputError
from rssn.image.arrays import Pixels
from rssn.storage.location import Location, parse_location
from rssn.storage.weights import read_state
from rssn.vision import torchvision_models

_SIDE = 224  # px, where the network leaves it open
_BLOCK = 2048  # rows of embeddings compared at a time: 2048 x n products
_HEADS = ("fc", "classifier", "heads", "head")  # what turns features into classes, in torchvision


class Embedder(Protocol):
    """Turns photographs into vectors that are close where the content is; the curation works with any."""

    @property
    def name(self) -> str:
        """What goes into the manifest."""

    def embed(self, pixels: Pixels) -> Floats:
        """A vector of length 1 for an H x W x 3 uint8 RGB photograph; always of the same size."""


def load_embedder(model: str) -> Embedder:
    """The embedder that `--deep-duplicates` names: `FILE.onnx`, or `BACKBONE=WEIGHTS`, for instance `resnet50=r50.pth`.

    Both may be URLs of objects in a bucket.

    Raises:
        InputError: If it is neither, or cannot be loaded.
        DependencyError: If onnxruntime or torchvision is not installed.
    """
    if Path(model).suffix == ".onnx":
        return OnnxEmbedder(parse_location(model))
    name, equals, weights = model.partition("=")
    if equals:
        return TorchvisionEmbedder(name, parse_location(weights))
    raise InputError(f"--deep-duplicates {model}: give FILE.onnx, or a torchvision backbone and a file: resnet50=FILE")


class OnnxEmbedder:
    """The first output of a network in an ONNX file; a feature map is averaged over its places."""

    def __init__(self, path: Location) -> None:
        self._model = OnnxModel(path, _SIDE)
        self.name = self._model.name

    def embed(self, pixels: Pixels) -> Floats:
        """See `Embedder.embed`."""
        return _unit(self._model(pixels))


class TorchvisionEmbedder:
    """A classification network of torchvision without its last layers, weights from a file of `state_dict`."""

    def __init__(self, backbone: str, weights: Location) -> None:
        self.name = f"{backbone}={model_name(weights)}"
        try:
            import torch  # noqa: PLC0415  (optional extra)

            models = torchvision_models()
        except ImportError as error:
            raise DependencyError(f"{backbone}: needs torchvision; run: pip install 'rssn[train]'") from error
        if backbone not in models.list_models(module=models):
            raise InputError(f"--deep-duplicates {backbone}: torchvision has no classification network of this name")
        network = models.get_model(backbone, weights=None)
        try:
            network.load_state_dict(read_state(weights))
        except RuntimeError as error:
            raise InputError(f"{weights}: not weights of {backbone}, but of another network") from error
        for head in _HEADS:
            if hasattr(network, head):
                setattr(network, head, torch.nn.Identity())
        self._torch: Any = torch
        self._network = network.eval()

    def embed(self, pixels: Pixels) -> Floats:
        """See `Embedder.embed`."""
        with self._torch.inference_mode():
            output = self._network(self._torch.from_numpy(normalised(pixels, (_SIDE, _SIDE))))
        return _unit(output.numpy())


def find_similar(embeddings: Floats, cosine: float) -> npt.NDArray[np.int64]:
    """Assign every photograph to its keeper, best first as in `bg20k.duplicates.find_duplicates`.

    Every pair is compared, block by block, so the cost grows with n squared.

    Args:
        embeddings: n x d, of length 1 each, in order of rank.
        cosine: Photographs of this cosine or more are duplicates.

    Returns:
        n positions; a duplicate has the cosine with its own keeper, so chains merge no strangers.
    """
    found = [np.empty((0, 2), np.int64)]
    for start in range(0, len(embeddings), _BLOCK):
        block = embeddings[start : start + _BLOCK]
        near = np.argwhere(embeddings[: start + len(block)] @ block.T >= cosine)
        near[:, 1] += start
        found.append(near[near[:, 0] < near[:, 1]])
    pairs = np.concatenate(found)
    return claim(pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))], np.zeros(len(embeddings), np.bool_))


def _unit(output: Floats) -> Floats:
    features = output.mean(axis=(2, 3)) if output.ndim == 4 else output
    vector = np.asarray(features, dtype=np.float32).ravel()
    return vector / np.float32(max(float(np.linalg.norm(vector)), 1e-12))
