"""The metrics of section 5.2.1, defined so that they compare with the paper's tables.

SAD, MSE and MAD are taken over the whole picture; SAD-TRAN, SAD-FG and SAD-BG over the parts of the trimap. SADs and
the connectivity are in thousands, the gradient in tens, MSE and MAD means over pixels.
"""

from __future__ import annotations

import numpy as np

from rssn.image.arrays import Alpha, Pixels
from train.metrics.metric import UNKNOWN, Comparison, Metric, by_name, compute_all


def _sad_where(pair: Comparison, value: int) -> float:
    """SAD where the trimap has a value."""
    return float(pair.error[pair.trimap == value].sum()) / 1000


def _gradient(pair: Comparison) -> float:
    from train.metrics.native import gradient_error  # noqa: PLC0415  (compiled kernels, which take a second to load)

    return gradient_error(pair.predicted, pair.alpha)


def _connectivity(pair: Comparison) -> float:
    from train.metrics.native import connectivity_error  # noqa: PLC0415  (likewise)

    return connectivity_error(pair.predicted, pair.alpha)


METRICS = by_name(
    Metric("sad", "SAD", 2, lambda pair: pair.error.sum() / 1000),
    Metric("mse", "MSE", 4, lambda pair: np.square(pair.error).mean()),
    Metric("mad", "MAD", 4, lambda pair: pair.error.mean()),
    Metric("grad", "Grad", 2, _gradient),
    Metric("conn", "Conn", 2, _connectivity),
    Metric("sad_tran", "SAD-TRAN", 2, lambda pair: _sad_where(pair, UNKNOWN)),
    Metric("sad_fg", "SAD-FG", 2, lambda pair: _sad_where(pair, 255)),
    Metric("sad_bg", "SAD-BG", 2, lambda pair: _sad_where(pair, 0)),
)
"""The columns of Table 1, in its order. A new metric is one more row."""


def matting_metrics(predicted: Alpha, alpha: Alpha, trimap: Pixels) -> dict[str, float]:
    """Every metric of a predicted matte, by its name.

    Args:
        predicted: H x W float32 in [0, 1], rounded to 8 bits.
        alpha: The truth, H x W float32 in [0, 1].
        trimap: H x W uint8 of 0, 128 and 255; the tables use `train.targets.rosta.make_trimap(alpha, 25)`.

    Raises:
        ValueError: If shapes, types or ranges are not as said.
    """
    return compute_all(METRICS, Comparison(predicted, alpha, trimap))
