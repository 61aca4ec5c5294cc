"""From one photograph to its matte with trained networks, at the photograph's own size and shape (section 5.4)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from rssn.image.arrays import Alpha, Image
from train.checkpoint import Network
from train.network.network import check_evidence
from train.network.strategy import Strategy


def predict_alpha(networks: Sequence[Network], image: Image, strategy: Strategy | None = None) -> Alpha:
    """Predict the matte of a photograph; of several networks the median, pixel by pixel.

    The photograph is stretched to sides of multiples of 32, by 16 px at most, and the matte is stretched back: borders
    stay borders. Padding would put them into the picture, and networks cut subjects off there (see
    `tests/benchmarks/bench_strategies.py`).

    Args:
        networks: In `eval` mode, at least one.
        image: H x W x 3 RGB float32 in [0, 1].
        strategy: What they see of it; None: each as it was trained.

    Returns:
        H x W float32 in [0, 1].

    Raises:
        Rejected: If a network gives values that are not finite.
    """
    height, width = image.shape[:2]
    strategies = [strategy or Strategy.as_trained(network.scales) for network in networks]
    seen = [[resized(image, size) for size in each.seen(width, height)] for each in strategies]
    del image  # of 24 megapixels, 290 MB that nobody needs while networks take the most
    mattes = [
        _matte(network, pictures, (height, width), hybrid=each.hybrid is not None)
        for network, pictures, each in zip(networks, seen, strategies, strict=True)
    ]
    alpha = mattes[0] if len(mattes) == 1 else np.asarray(np.median(np.stack(mattes), axis=0), dtype=np.float32)
    return np.clip(alpha, 0.0, 1.0)


def _matte(network: Network, seen: Sequence[Image], size: tuple[int, int], *, hybrid: bool) -> Alpha:
    """The matte of a photograph of a height and width, of which glance and focus see one picture, or one each."""
    evidence = [_evidence(network, each) for each in seen]
    found = evidence[0]
    if hybrid:
        found = (_enlarged(evidence[0][0], size), _enlarged(evidence[-1][1], size))
    del evidence
    alpha = network.matte(found)[0, 0].cpu().numpy()
    return resized(np.asarray(alpha, dtype=np.float32), (size[1], size[0]))


def _evidence(network: Network, image: Image) -> tuple[Tensor, ...]:
    """What a network says of an image, of the image's size."""
    tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).unsqueeze(0)
    with torch.inference_mode():
        found = network.evidence(tensor.to(next(network.parameters()).device))
    check_evidence(found, network.name)
    return found


def _enlarged(values: Tensor, size: tuple[int, int]) -> Tensor:
    """N x C x h x w to height and width; C may be 0."""
    if values.shape[1] == 0:
        return values.new_empty((values.shape[0], 0, *size))
    return F.interpolate(values, size, mode="bilinear", align_corners=False)


def resized(array: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """H x W or H x W x C to width and height: by area averaging where it is shrunk, linearly where it is not."""
    smaller = size[0] * size[1] < array.shape[0] * array.shape[1]
    kind = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(array, size, interpolation=kind), dtype=np.float32)
