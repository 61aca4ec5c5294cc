"""The networks that look at the photographs of a crawl; each is loaded once in a process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from bg20k.embedding import Embedder, load_embedder
from bg20k.onnx_model import Scaling
from bg20k.salience import Detector
from bg20k.saliency import OnnxSaliency, SaliencyModel
from bg20k.yolo import YoloDetector


@dataclass(frozen=True)
class Models:
    """The networks that look at each photograph; None: none does."""

    detector: Path | None = None
    saliency: Path | None = None
    embedder: str | None = None
    scaling: Scaling = "imagenet"  # of the class-free network's input

    def names(self) -> dict[str, str | None]:
        """What each calls itself, file and digest, for the manifest; loads them.

        Raises:
            InputError: If one cannot be loaded.
            DependencyError: If its package is not installed.
        """
        found = {
            "detector": load_detector(self),
            "saliency": load_saliency(self),
            "deep_duplicates": load_deep_embedder(self),
        }
        return {role: network.name if network else None for role, network in found.items()}


@lru_cache(maxsize=1)
def load_detector(models: Models) -> Detector | None:
    """The detector of this process."""
    return YoloDetector(models.detector) if models.detector else None


@lru_cache(maxsize=1)
def load_saliency(models: Models) -> SaliencyModel | None:
    """The class-free network of this process."""
    return OnnxSaliency(models.saliency, models.scaling) if models.saliency else None


@lru_cache(maxsize=1)
def load_deep_embedder(models: Models) -> Embedder | None:
    """The embedder of this process."""
    return load_embedder(models.embedder) if models.embedder else None
