"""The metrics of Deep Image Matting's evaluation code (`--protocol dim`), as alphamatting.com's successors report them.

They differ from the paper's tables: everything is taken over the unknown part of the trimap, mattes are stretched to
[0, 1] before their gradients, and a threshold that no pixel reaches empties the region. The gradient is that of
magnitudes, not of normalised vectors as in Rhemann et al. 2009; so is everybody's. SAD, gradient and connectivity are
in thousands, MSE and MAD means over unknown pixels.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from rssn.image.arrays import Alpha, Pixels
from train.metrics.metric import Comparison, Metric, by_name, compute_all

_SIGMA = 1.4


def dim_metrics(predicted: Alpha, alpha: Alpha, trimap: Pixels) -> dict[str, float] | None:
    """Compare a predicted matte with the truth where the trimap is unknown.

    What the trimap knows is set to 0 and 1 in the prediction first: methods of this protocol are given the trimap.

    Args:
        predicted: H x W float32 in [0, 1].
        alpha: The truth, H x W float32 in [0, 1].
        trimap: H x W uint8 of 0, 128 and 255.

    Returns:
        The figures by the keys of `DIM_METRICS`. None where nothing is unknown: nothing can be wrong then, and a 0
        would make a mean look better than it is.

    Raises:
        ValueError: If shapes, types or ranges are not as said.
    """
    given = Comparison(predicted, alpha, trimap)
    if not given.unknown.any():
        return None
    masked = np.where(given.unknown, predicted, (trimap == 255).astype(np.float32))
    return compute_all(DIM_METRICS, Comparison(masked, alpha, trimap))


def _unknown_error(pair: Comparison) -> npt.NDArray[np.float64]:
    return pair.error[pair.unknown]


def _gradient(pair: Comparison) -> float:
    steeper = _magnitude(pair.predicted) - _magnitude(pair.alpha)
    return float(np.square(steeper)[pair.unknown].sum()) / 1000


def _connectivity(pair: Comparison) -> float:
    from train.metrics.native import connectivity_difference  # noqa: PLC0415  (compiled, takes a second to load)

    return float(connectivity_difference(pair.predicted, pair.alpha)[pair.unknown].sum()) / 1000


DIM_METRICS = by_name(
    Metric("sad", "SAD", 2, lambda pair: _unknown_error(pair).sum() / 1000),
    Metric("mse", "MSE", 4, lambda pair: np.square(_unknown_error(pair)).mean()),
    Metric("mad", "MAD", 4, lambda pair: _unknown_error(pair).mean()),
    Metric("grad", "Grad", 2, _gradient),
    Metric("conn", "Conn", 2, _connectivity),
)
"""The table of this protocol."""


def _magnitude(matte: Alpha) -> npt.NDArray[np.float64]:
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
    return np.asarray(np.hypot(across, down))
