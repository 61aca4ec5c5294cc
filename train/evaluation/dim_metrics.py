"""The metrics of Deep Image Matting's evaluation code (`--protocol dim`), as alphamatting.com's successors report them.

They differ from the paper's tables (`metrics`): everything is taken over the unknown part of the trimap, mattes
are stretched to [0, 1] before their gradients, and a threshold that no pixel reaches empties the region. The gradient
is that of magnitudes, not of normalised vectors as in Rhemann et al. 2009; so is everybody's.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from rssn.image.arrays import Alpha, Pixels
from train.evaluation.metrics import check_mattes, connectivity_difference

DIM_METRICS = ("sad", "mse", "mad", "grad", "conn")
"""The keys of `dim_metrics`."""

_SIGMA = 1.4
_UNKNOWN = 128


def dim_metrics(predicted: Alpha, alpha: Alpha, trimap: Pixels) -> dict[str, float] | None:
    """Compare a predicted matte with the truth where the trimap is unknown.

    What the trimap knows is set to 0 and 1 in the prediction first: methods of this protocol are given the trimap.

    Args:
        predicted: H x W float32 in [0, 1].
        alpha: The truth, H x W float32 in [0, 1].
        trimap: H x W uint8 of 0, 128 and 255.

    Returns:
        The keys of `DIM_METRICS`. `sad`, `grad` and `conn` in thousands, `mse` and `mad` as means over unknown pixels.
        None where there are none: nothing can be wrong then, and a 0 would make a mean look better than it is.

    Raises:
        ValueError: If shapes, types or ranges are not as said.
    """
    check_mattes(predicted, alpha, trimap)
    unknown = trimap == _UNKNOWN
    if not unknown.any():
        return None
    masked = np.where(unknown, predicted, (trimap == 255).astype(np.float32))
    error = np.abs(masked.astype(np.float64) - alpha)[unknown]
    steeper = _magnitude(masked) - _magnitude(alpha)
    return {
        "sad": float(error.sum()) / 1000,
        "mse": float(np.square(error).sum()) / error.size,
        "mad": float(error.sum()) / error.size,
        "grad": float(np.square(steeper)[unknown].sum()) / 1000,
        "conn": float(connectivity_difference(masked, alpha)[unknown].sum()) / 1000,
    }


def _magnitude(matte: Alpha) -> np.ndarray:
    """Gradient magnitude of the stretched matte, by the Gaussian derivative of 9 x 9 px and length 1."""
    low, high = float(matte.min()), float(matte.max())
    stretched = (matte.astype(np.float64) - low) / ((high - low) or 1.0)
    reach = math.ceil(_SIGMA * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * _SIGMA * 0.01)))
    places = np.arange(-reach, reach + 1)
    gauss = np.exp(-(places**2) / (2 * _SIGMA**2)) / (_SIGMA * math.sqrt(2 * math.pi))
    kernel = np.outer(gauss, -places * gauss / _SIGMA**2)
    kernel /= np.sqrt(np.square(kernel).sum())
    across, down = (
        cv2.filter2D(stretched, cv2.CV_64F, each, borderType=cv2.BORDER_REPLICATE) for each in (kernel, kernel.T)
    )
    return np.hypot(across, down)
