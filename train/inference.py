"""From one photograph to its matte with trained networks, at the photograph's own size and shape (section 5.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rssn.errors import InputError
from rssn.images import Alpha, Image
from train.checkpoint import Network
from train.config import MAX_SIDE
from train.network.gfm import check_evidence, decide, fuse

_STRIDE = 32


@dataclass(frozen=True)
class Strategy:
    """How large a photograph the networks see. The defaults: as it is, unless it is larger than `MAX_SIDE`."""

    max_side: int = MAX_SIDE  # px; a photograph with a longer side is shrunk first; 0: never
    hybrid: tuple[float, float] | None = None  # d1 and d2 of Table 2: the glance's and the focus's share of the sides

    def __post_init__(self) -> None:
        if self.max_side and self.max_side < _STRIDE:
            raise InputError(f"--max-side {self.max_side}: must be 0 or at least {_STRIDE}")
        if self.hybrid and not 0.0 < self.hybrid[0] <= self.hybrid[1] <= 1.0:
            raise InputError(f"--hybrid {self.hybrid[0]:.3g} {self.hybrid[1]:.3g}: must be 0 < D1 <= D2 <= 1")

    @classmethod
    def parse(cls, max_side: int, hybrid: tuple[str, str] | None) -> Strategy:
        """From the words of the command line; a share is a fraction such as `1/3`, or a decimal.

        Raises:
            InputError: If they make no strategy.
        """
        if hybrid is None:
            return cls(max_side)
        try:
            return cls(max_side, (float(Fraction(hybrid[0])), float(Fraction(hybrid[1]))))
        except (ValueError, ZeroDivisionError) as error:
            raise InputError(f"--hybrid {' '.join(hybrid)}: give two shares, as in --hybrid 1/3 1/2") from error

    def describe(self) -> str:
        """In words, for the record of an evaluation."""
        limit = f"longer side at most {self.max_side} px" if self.max_side else "whole"
        return limit + (f", hybrid d1 {self.hybrid[0]:.3g}, d2 {self.hybrid[1]:.3g}" if self.hybrid else "")


def predict_alpha(networks: Sequence[Network], image: Image, strategy: Strategy) -> Alpha:
    """Predict the matte of a photograph; of several networks the median, pixel by pixel.

    Sides are padded to multiples of 32 by repeating the border, and the padding is cut off: nothing is distorted.

    Args:
        networks: In `eval` mode, at least one.
        image: H x W x 3 RGB float32 in [0, 1].
        strategy: What they see of it.

    Returns:
        H x W float32 in [0, 1].

    Raises:
        Rejected: If a network gives values that are not finite.
    """
    height, width = image.shape[:2]
    scale = min(1.0, (strategy.max_side or max(height, width)) / max(height, width))
    seen = _shrink(image, scale)
    mattes = [_matte(network, seen, strategy.hybrid) for network in networks]
    alpha = np.asarray(np.median(np.stack(mattes), axis=0), dtype=np.float32)
    if scale < 1.0:
        alpha = np.asarray(cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    return np.clip(alpha, 0.0, 1.0)


def _matte(network: Network, image: Image, hybrid: tuple[float, float] | None) -> Alpha:
    if hybrid is None:
        scores, focus = _evidence(network, image)
    else:
        size = image.shape[:2]
        scores = _fit(_evidence(network, _shrink(image, hybrid[0]))[0], size)
        focus = _fit(_evidence(network, _shrink(image, hybrid[1]))[1], size)
    check_evidence(scores, focus, network.name)
    alpha = fuse(decide(scores), focus, network.rosta)
    return np.asarray(alpha[0, 0].cpu().numpy(), dtype=np.float32)


def _evidence(network: Network, image: Image) -> tuple[Tensor, Tensor]:
    """Scores of the glance and the focus, of the image's size."""
    height, width = image.shape[:2]
    tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).unsqueeze(0)
    tensor = F.pad(tensor, (0, -width % _STRIDE, 0, -height % _STRIDE), mode="replicate")
    with torch.inference_mode():
        scores, focus = network.evidence(tensor.to(next(network.parameters()).device))
    return scores[:, :, :height, :width], focus[:, :, :height, :width]


def _fit(values: Tensor, size: tuple[int, ...]) -> Tensor:
    """Enlarge N x C x h x w; C may be 0."""
    if values.shape[1] == 0:
        return values.new_empty((values.shape[0], 0, *size))
    return F.interpolate(values, size, mode="bilinear", align_corners=False)


def _shrink(image: Image, scale: float) -> Image:
    if scale == 1.0:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.float32)
