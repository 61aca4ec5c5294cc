"""Connectivity and gradient: ours against scikit-image's labelling with a distance transform for each threshold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter
from skimage.measure import label

from rssn.image.arrays import Alpha, to_float, to_uint8
from rssn.sources.mattes import read_matte
from tests.benchmarks.table import Job, Row, measured
from train.metrics.native import connectivity_error, gradient_error

Metric = Callable[[Alpha, Alpha], float]


def row(matte: Path) -> Row:
    """The cost of both on a matte and a prediction that is blurred and noisy."""
    theirs = measured(prepare, (reference_connectivity, reference_gradient), matte, repeats=3)
    ours = measured(prepare, (connectivity_error, gradient_error), matte, repeats=3)
    apart = max(abs(one - other) for one, other in zip(theirs.kept, ours.kept, strict=True))
    return Row("connectivity and gradient errors", theirs, ours, quality=f"at most {apart:.0e} apart")


def prepare(metrics: tuple[Metric, Metric], matte: Path) -> Job:
    """Both metrics on one pair of mattes; keeps their values."""
    alpha = read_matte(matte.read_bytes()).alpha
    predicted = worse(alpha, 0.02)
    small = np.zeros((8, 8), np.float32)
    for metric in metrics:
        metric(small, small)  # compiled
    return Job(lambda: [metric(predicted, alpha) for metric in metrics], lambda values: values)


def worse(alpha: Alpha, noise: float) -> Alpha:
    """A prediction of 8 bits with soft edges and noise."""
    rng = np.random.default_rng(0)
    blurred = cv2.GaussianBlur(alpha, (0, 0), 3)
    return to_float(to_uint8(blurred + rng.normal(0, noise, alpha.shape).astype(np.float32)))


def reference_connectivity(predicted: Alpha, alpha: Alpha) -> float:
    """Labelling by scikit-image and a distance transform for each threshold, as the authors evaluate."""
    level = np.full(alpha.shape, -1.0)
    for step in range(1, 11):
        threshold = np.float32(step) / np.float32(10)
        labels: Any = label((predicted >= threshold) & (alpha >= threshold), connectivity=1)
        sizes = np.bincount(labels.ravel())[1:]
        if not sizes.size:
            continue
        region = labels == 1 + int(np.argmax(sizes))
        level[(level == -1) & ~region] = (step - 1) / 10
        distance_transform_edt(~region)
    level[level == -1] = 1.0
    phi = [1 - (matte - level) * (matte - level >= 0.15) for matte in (predicted, alpha)]
    return float(np.abs(phi[0] - phi[1]).sum() / 1000)


def reference_gradient(predicted: Alpha, alpha: Alpha) -> float:
    """Gaussian derivatives by scipy, as the authors evaluate."""
    magnitudes = [
        np.hypot(*(gaussian_filter(matte.astype(np.float64), 1.4, order=order) for order in ([1, 0], [0, 1])))
        for matte in (predicted, alpha)
    ]
    return float(np.square(magnitudes[0] - magnitudes[1]).sum() / 10)
