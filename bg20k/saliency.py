"""A class-free second opinion: a saliency or cut-out network, whose mask shows whether something stands out.

COCO has no lizards and no statues. A network such as U^2-Net marks whatever a person would look at first; in a
background that is nothing, or a skyline, a road, a third of a wall. So the mask's largest part counts where it is
compact, and neither tiny nor most of the frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from bg20k.onnx_model import Floats, OnnxModel, Scaling
from bg20k.rules import CurationRules
from rssn.errors import InputError
from rssn.image.arrays import Pixels
from rssn.storage.location import Location

_SIDE = 320  # px; U^2-Net's
_MARKED = 0.5  # of a mask in [0, 1]


@dataclass(frozen=True, slots=True)
class Saliency:
    """The largest connected part of a mask that reaches 0.5.

    Attributes:
        confidence: Mean of the mask in it, 0.5 to 1; 0 where there is none.
        area: Its share of the frame.
        compactness: Its share of its convex hull, 0 to 1: 1 a disc or a box, little for scattered branches.
    """

    confidence: float = 0.0
    area: float = 0.0
    compactness: float = 0.0


class SaliencyModel(Protocol):
    """Marks what stands out in a photograph; the curation works with any implementation."""

    @property
    def name(self) -> str:
        """What goes into the column `screened_by`."""

    def mask(self, pixels: Pixels) -> Floats:
        """The mask of an H x W x 3 uint8 RGB photograph: h x w in [0, 1], of any size."""


class OnnxSaliency:
    """A network from an ONNX file, 1 x 3 x 320 x 320 (or its own size) in, 1 x 1 x h x w out as U^2-Net has it.

    An output that leaves [0, 1] is taken for logits.

    Raises:
        InputError: If the file is no such network.
        DependencyError: If onnxruntime is not installed.
    """

    def __init__(self, path: Location, scaling: Scaling = "imagenet") -> None:
        self._model = OnnxModel(path, _SIDE, scaling)
        self._path = path
        self.name = self._model.name

    def mask(self, pixels: Pixels) -> Floats:
        """See `SaliencyModel.mask`."""
        output = np.squeeze(self._model(pixels))
        if output.ndim != 2:
            raise InputError(f"{self._path}: a saliency network must give one mask, 1 x 1 x H x W, not {output.shape}")
        if output.min() < 0.0 or output.max() > 1.0:
            output = np.asarray(1.0 / (1.0 + np.exp(-np.clip(output, -30.0, 30.0))), dtype=np.float32)
        return output


def find_salient(mask: Floats) -> Saliency:
    """Measure a mask of h x w values in [0, 1]."""
    marked = (mask >= _MARKED).astype(np.uint8)
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(marked, connectivity=8)
    if count < 2:
        return Saliency()
    largest = 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())
    inside = labels == largest
    return Saliency(float(mask[inside].mean()), float(inside.mean()), _compactness(inside.astype(np.uint8)))


def saliency_score(found: Saliency, rules: CurationRules) -> float:
    """How surely something stands out: confidence times compactness, 0 where the area is out of the rules' range."""
    if not rules.saliency_least <= found.area <= rules.saliency_most:
        return 0.0
    return found.confidence * found.compactness


def _compactness(part: Pixels) -> float:
    hull = cv2.convexHull(cv2.findNonZero(part))
    filled = cv2.fillConvexPoly(np.zeros_like(part), hull, 1)
    return float(part.sum()) / float(filled.sum())
