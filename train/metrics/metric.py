"""What a metric is, and the pair of mattes that it compares."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from rssn.image.arrays import Alpha, Pixels

UNKNOWN = 128
"""The value of a trimap where it does not say what a pixel is."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """A predicted matte beside the true one.

    The caller rounds the prediction to 8 bits, as a matte that was written to a file is.

    Raises:
        ValueError: If shapes, types or ranges are not as said.
    """

    predicted: Alpha  # H x W float32 in [0, 1]
    alpha: Alpha  # the truth, H x W float32 in [0, 1]
    trimap: Pixels  # H x W uint8 of 0, 128 and 255

    def __post_init__(self) -> None:
        predicted, alpha, trimap = self.predicted, self.alpha, self.trimap
        if not predicted.shape == alpha.shape == trimap.shape or alpha.ndim != 2:
            raise ValueError(f"shapes differ: predicted {predicted.shape}, alpha {alpha.shape}, trimap {trimap.shape}")
        for name, matte in (("predicted", predicted), ("alpha", alpha)):
            if matte.dtype != np.float32 or not ((matte >= 0) & (matte <= 1)).all():
                raise ValueError(f"{name} must be float32 in [0, 1] without NaN; it is {matte.dtype}")
        if trimap.dtype != np.uint8 or not np.isin(trimap, (0, UNKNOWN, 255)).all():
            raise ValueError("trimap must be uint8 with the values 0, 128 and 255 only")

    @cached_property
    def error(self) -> npt.NDArray[np.float64]:
        """Absolute difference of each pixel, H x W."""
        return np.asarray(np.abs(self.predicted.astype(np.float64) - self.alpha))

    @cached_property
    def unknown(self) -> npt.NDArray[np.bool_]:
        """Where the trimap says nothing, H x W."""
        return np.asarray(self.trimap == UNKNOWN)


@dataclass(frozen=True)
class Metric:
    """One figure of a predicted matte; all that computes, shows, stores and compares it follows from this row.

    Attributes:
        name: Its key in `summary.json`, `per_image.parquet`, `metrics.jsonl`, and for `--best-by`.
        heading: Of its column in the table.
        decimals: That the table shows.
        compute: The figure of one photograph.
        best: Which of several values is the best.
    """

    name: str
    heading: str
    decimals: int
    compute: Callable[[Comparison], float]
    best: Literal["lowest", "highest"] = "lowest"

    def rank(self, value: float) -> float:
        """A number that is smaller where the value is better."""
        return value if self.best == "lowest" else -value

    @property
    def worst(self) -> float:
        """The infinity that every value is better than."""
        return self.rank(math.inf)

    def show(self, value: float) -> str:
        """A value as the table has it."""
        return f"{value:.{self.decimals}f}"


def by_name(*metrics: Metric) -> dict[str, Metric]:
    """Metrics by their names, in the order of the table."""
    return {metric.name: metric for metric in metrics}


def compute_all(metrics: Mapping[str, Metric], comparison: Comparison) -> dict[str, float]:
    """Every metric's figure, by its name."""
    return {name: float(metric.compute(comparison)) for name, metric in metrics.items()}
