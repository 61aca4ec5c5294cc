"""From one photograph to its matte with a trained network, at the photograph's own size and shape."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from rssn.images import Alpha, Image
from train.network.gfm import GFM

_STRIDE = 32


def predict_alpha(network: GFM, image: Image, max_side: int) -> Alpha:
    """Predict the matte of a photograph.

    A photograph with a longer side than `max_side` is shrunk for the network and the matte enlarged again. Sides are
    padded to multiples of 32 by repeating the border, and the padding is cut off: nothing is distorted.

    Args:
        network: In `eval` mode.
        image: H x W x 3 RGB float32 in [0, 1].
        max_side: The longer side that the network sees, px.

    Returns:
        H x W float32 in [0, 1].
    """
    height, width = image.shape[:2]
    scale = min(1.0, max_side / max(height, width))
    seen = image if scale == 1.0 else _resize(image, round(width * scale), round(height * scale), cv2.INTER_AREA)
    alpha = _run(network, seen)
    if scale < 1.0:
        alpha = _resize(alpha, width, height, cv2.INTER_LINEAR)
    return np.clip(alpha, 0.0, 1.0)


def _run(network: GFM, image: Image) -> Alpha:
    height, width = image.shape[:2]
    tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).unsqueeze(0)
    tensor = F.pad(tensor, (0, -width % _STRIDE, 0, -height % _STRIDE), mode="replicate")
    with torch.inference_mode():
        alpha = network(tensor.to(network.mean.device)).alpha
    return np.asarray(alpha[0, 0, :height, :width].cpu().numpy(), dtype=np.float32)


def _resize(values: Image | Alpha, width: int, height: int, interpolation: int) -> Image | Alpha:
    resized = cv2.resize(values, (max(1, width), max(1, height)), interpolation=interpolation)
    return np.asarray(resized, dtype=np.float32)
