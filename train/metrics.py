"""The metrics of section 5.2.1, defined so that they compare with the paper's tables.

Arrays in, numbers out; no torch. SAD, MSE and MAD are taken over the whole picture; SAD-TRAN, SAD-FG and SAD-BG over
the parts of the trimap. Gradient and connectivity follow the authors' evaluation, not the MATLAB code of Deep Image
Matting (no min-max step, another Gaussian kernel).
"""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from rssn.images import Alpha, Pixels

Float: TypeAlias = npt.NDArray[np.float64]

METRICS = ("sad", "mse", "mad", "grad", "conn", "sad_tran", "sad_fg", "sad_bg")
"""The keys of `matting_metrics`, in the order of the paper's Table 1."""

_SIGMA = 1.4
_TOLERANCE = 0.15


def matting_metrics(predicted: Alpha, alpha: Alpha, trimap: Pixels) -> dict[str, float]:
    """Compare a predicted matte with the truth.

    The caller quantises the prediction to 8 bits by rounding, as a matte that was written to a file is.

    Args:
        predicted: H x W float32 in [0, 1].
        alpha: The truth, H x W float32 in [0, 1].
        trimap: H x W uint8 of 0, 128 and 255; the tables use `train.rosta.make_trimap(alpha, 25)`.

    Returns:
        The keys of `METRICS`. SADs and `conn` in thousands, `grad` in tens, `mse` and `mad` as means.

    Raises:
        ValueError: If shapes, types or ranges are not as said.
    """
    _check(predicted, alpha, trimap)
    error = np.abs(predicted.astype(np.float64) - alpha)
    return {
        "sad": float(error.sum()) / 1000,
        "mse": float(np.square(error).mean()),
        "mad": float(error.mean()),
        "grad": gradient_error(predicted, alpha),
        "conn": connectivity_error(predicted, alpha),
        "sad_tran": float(error[trimap == 128].sum()) / 1000,
        "sad_fg": float(error[trimap == 255].sum()) / 1000,
        "sad_bg": float(error[trimap == 0].sum()) / 1000,
    }


def gradient_error(predicted: Alpha, alpha: Alpha) -> float:
    """Sum of squared differences of gradient magnitudes, divided by 10.

    The gradient is a Gaussian derivative with sigma 1.4. The factor 10 brings this kernel, which is not normalised,
    within a few per cent of the usual one divided by 1000.
    """
    return float(np.square(_gradient(predicted) - _gradient(alpha)).sum()) / 10


def connectivity_error(predicted: Alpha, alpha: Alpha) -> float:
    """Connectivity error of Rhemann et al. 2009, divided by 1000.

    For each threshold 0.1, 0.2 .. 1 the largest 4-connected region is found in which both mattes reach it. A pixel's
    level is the last threshold before it leaves this region; what a matte has above its level, from 0.15 on, counts.
    A threshold that no pixel reaches is skipped. Thresholds are float32, so that 153 / 255 reaches 0.6.
    """
    common = np.minimum(predicted, alpha)
    level = np.full(alpha.shape, -1.0)
    for step in range(1, 11):
        region = _largest_region(common >= np.float32(step) / np.float32(10))
        if region is not None:
            level[(level < 0) & ~region] = (step - 1) / 10
    level[level < 0] = 1.0
    return float(np.abs(_connectivity(predicted, level) - _connectivity(alpha, level)).sum()) / 1000


def _gradient(alpha: Alpha) -> Float:
    exact = alpha.astype(np.float64)
    down, across = (gaussian_filter(exact, _SIGMA, order=order) for order in ([1, 0], [0, 1]))
    return np.asarray(np.hypot(down, across), dtype=np.float64)


def _largest_region(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_] | None:
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if count < 2:
        return None
    return np.asarray(labels == 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA])))


def _connectivity(alpha: Alpha, level: Float) -> Float:
    above = alpha - level
    return np.asarray(1.0 - above * (above >= _TOLERANCE), dtype=np.float64)


def _check(predicted: Alpha, alpha: Alpha, trimap: Pixels) -> None:
    if not predicted.shape == alpha.shape == trimap.shape or alpha.ndim != 2:
        raise ValueError(f"shapes differ: predicted {predicted.shape}, alpha {alpha.shape}, trimap {trimap.shape}")
    for name, matte in (("predicted", predicted), ("alpha", alpha)):
        if matte.dtype != np.float32 or not ((matte >= 0) & (matte <= 1)).all():
            raise ValueError(f"{name} must be float32 in [0, 1] without NaN; it is {matte.dtype}")
    if trimap.dtype != np.uint8 or not np.isin(trimap, (0, 128, 255)).all():
        raise ValueError("trimap must be uint8 with the values 0, 128 and 255 only")
