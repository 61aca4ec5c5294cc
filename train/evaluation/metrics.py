"""The metrics of section 5.2.1, defined so that they compare with the paper's tables.

Arrays in, numbers out; no torch. SAD, MSE and MAD are taken over the whole picture; SAD-TRAN, SAD-FG and SAD-BG over
the parts of the trimap. Gradient and connectivity follow the authors' evaluation, not the MATLAB code of Deep Image
Matting (no min-max step, another Gaussian kernel).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rssn.image.arrays import Alpha, Pixels
from train.evaluation.metrics_native import (
    REACH,
    STEPS,
    connected_depth,
    connectivity_sum,
    gradient_sum,
    threshold_steps,
)

_SIGMA = 1.4
_TOLERANCE = 0.15
_THRESHOLDS = np.arange(1, STEPS + 1, dtype=np.float32) / np.float32(STEPS)


def matting_metrics(predicted: Alpha, alpha: Alpha, trimap: Pixels) -> dict[str, float]:
    """Compare a predicted matte with the truth.

    The caller quantises the prediction to 8 bits by rounding, as a matte that was written to a file is.

    Args:
        predicted: H x W float32 in [0, 1].
        alpha: The truth, H x W float32 in [0, 1].
        trimap: H x W uint8 of 0, 128 and 255; the tables use `train.targets.rosta.make_trimap(alpha, 25)`.

    Returns:
        The keys of `train.columns.METRICS`. SADs and `conn` in thousands, `grad` in tens, `mse` and `mad` as means.

    Raises:
        ValueError: If shapes, types or ranges are not as said.
    """
    check_mattes(predicted, alpha, trimap)
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

    The gradient is a Gaussian derivative with sigma 1.4, cut off at four sigma. The factor 10 brings this kernel, which
    is not normalised, within a few per cent of the usual one divided by 1000.
    """
    places = np.arange(REACH + 1)
    smooth = np.exp(-0.5 * (places / _SIGMA) ** 2)
    smooth /= 2 * smooth.sum() - 1
    guess, truth = (np.pad(matte.astype(np.float64), REACH, mode="symmetric") for matte in (predicted, alpha))
    return float(gradient_sum(guess, truth, smooth, -places / _SIGMA**2 * smooth)) / 10


def connectivity_error(predicted: Alpha, alpha: Alpha) -> float:
    """Connectivity error of Rhemann et al. 2009, divided by 1000.

    For each threshold 0.1, 0.2 .. 1 the largest 4-connected region is found in which both mattes reach it. A pixel's
    level is the last threshold before it leaves this region; what a matte has above its level, from 0.15 on, counts.
    A threshold that no pixel reaches is skipped, as the authors do. Where both mattes together reach not even the
    first, as in a scene that one of them calls empty, theirs would be without error whatever the other says; here the
    level is 0, as in Deep Image Matting's code: what the other matte has from 0.15 on counts. Thresholds are float32,
    so that 153 / 255 reaches 0.6.
    """
    depth, reached = connected_depth(threshold_steps(predicted, alpha, _THRESHOLDS))
    return float(connectivity_sum(predicted, alpha, depth, reached, _TOLERANCE)) / 1000


def connectivity_difference(predicted: Alpha, alpha: Alpha) -> npt.NDArray[np.float64]:
    """Each pixel's part of the connectivity error, not divided; here a threshold that none reaches ends all regions.

    So does Deep Image Matting's code; the sum is otherwise that of `connectivity_error`.
    """
    depth, _ = connected_depth(threshold_steps(predicted, alpha, _THRESHOLDS))
    level = depth / STEPS
    above = [np.where(matte - level >= _TOLERANCE, matte - level, 0.0) for matte in (predicted, alpha)]
    return np.asarray(np.abs(above[0] - above[1]))


def check_mattes(predicted: Alpha, alpha: Alpha, trimap: Pixels) -> None:
    """Refuse what the metrics are not defined for.

    Raises:
        ValueError: If shapes, types or ranges are not those of `matting_metrics`.
    """
    if not predicted.shape == alpha.shape == trimap.shape or alpha.ndim != 2:
        raise ValueError(f"shapes differ: predicted {predicted.shape}, alpha {alpha.shape}, trimap {trimap.shape}")
    for name, matte in (("predicted", predicted), ("alpha", alpha)):
        if matte.dtype != np.float32 or not ((matte >= 0) & (matte <= 1)).all():
            raise ValueError(f"{name} must be float32 in [0, 1] without NaN; it is {matte.dtype}")
    if trimap.dtype != np.uint8 or not np.isin(trimap, (0, 128, 255)).all():
        raise ValueError("trimap must be uint8 with the values 0, 128 and 255 only")
