from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import correlate, label

from rssn.image.arrays import to_float
from train.metrics.dim import DIM_METRICS, dim_metrics
from train.targets.rosta import make_trimap

BYTES = hnp.arrays(np.uint8, (12, 14), elements=st.sampled_from([0, 0, 51, 102, 127, 153, 204, 255, 255]))


def slow(predicted: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> dict[str, float]:
    """The MATLAB code of Deep Image Matting, line by line."""
    unknown = trimap == 128
    error = np.abs(predicted.astype(float) - alpha)[unknown]
    level = np.full(alpha.shape, -1.0)
    for step in range(1, 11):
        threshold = np.float32(step) / np.float32(10)
        labels, count = label((predicted >= threshold) & (alpha >= threshold))
        region = np.zeros(alpha.shape, bool)
        if count:
            region = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
        level[(level == -1) & ~region] = (step - 1) / 10
    level[level == -1] = 1.0
    phi = [1 - (matte - level) * (matte - level >= 0.15) for matte in (predicted, alpha)]
    magnitudes = []
    for matte in (predicted.astype(float), alpha.astype(float)):
        wide = matte.max() - matte.min()
        stretched = (matte - matte.min()) / wide if wide else matte - matte.min()
        x = np.arange(-4, 5)
        gauss = np.exp(-(x**2) / (2 * 1.4**2)) / (1.4 * np.sqrt(2 * np.pi))
        kernel = gauss[:, None] * (-x * gauss / 1.4**2)[None]
        kernel /= np.sqrt((kernel**2).sum())
        parts = [correlate(stretched, each, mode="nearest") for each in (kernel, kernel.T)]
        magnitudes.append(np.sqrt(parts[0] ** 2 + parts[1] ** 2))
    return {
        "sad": float(error.sum()) / 1000,
        "mse": float((error**2).mean()),
        "mad": float(error.mean()),
        "grad": float(((magnitudes[0] - magnitudes[1]) ** 2)[unknown].sum()) / 1000,
        "conn": float(np.abs(phi[0] - phi[1])[unknown].sum()) / 1000,
    }


@given(BYTES, BYTES)
def test_figures_equal_a_slow_reference(predicted: np.ndarray, alpha: np.ndarray) -> None:
    trimap = make_trimap(alpha, 3)
    masked = np.where(trimap == 128, predicted, trimap).astype(np.uint8)
    found = dim_metrics(to_float(predicted), to_float(alpha), trimap)
    if not (trimap == 128).any():
        assert found is None
        return
    assert found is not None
    assert tuple(found) == tuple(DIM_METRICS)
    assert found == pytest.approx(slow(to_float(masked), to_float(alpha), trimap), abs=1e-8)


def test_known_areas_cannot_be_wrong() -> None:
    alpha = np.zeros((40, 40), np.float32)
    alpha[:, 20:] = 1.0
    trimap = make_trimap(alpha, 9)
    found = dim_metrics(np.where(trimap == 128, alpha, 1 - alpha), alpha, trimap)
    assert found is not None
    assert set(found.values()) == {0.0}


def test_without_unknown_pixels_there_is_nothing_to_judge() -> None:
    for alpha in (np.zeros((40, 40), np.float32), np.ones((40, 40), np.float32)):
        assert dim_metrics(1 - alpha, alpha, make_trimap(alpha)) is None


RAMP = np.tile(np.linspace(0, 1, 6, dtype=np.float32), (5, 1))  # 0, 0.2 .. 1
NOTHING, EVERYTHING = np.zeros_like(RAMP), np.ones_like(RAMP)


@pytest.mark.parametrize(
    ("predicted", "alpha", "conn"),
    [
        (NOTHING, NOTHING, 0.0),
        (RAMP, NOTHING, 15.0),
        (EVERYTHING, NOTHING, 30.0),
        (NOTHING, RAMP, 15.0),
        (EVERYTHING, EVERYTHING, 0.0),
        (NOTHING, EVERYTHING, 30.0),
        (RAMP, EVERYTHING, 15.0),
    ],
)
def test_empty_and_full_mattes_are_judged(predicted: np.ndarray, alpha: np.ndarray, conn: float) -> None:
    """By a trimap of the data set's own, which knows nothing."""
    unknown = np.full(RAMP.shape, 128, np.uint8)
    found = dim_metrics(predicted, alpha, unknown)
    assert found is not None
    assert found == pytest.approx(slow(predicted, alpha, unknown), abs=1e-8)
    assert found["conn"] == pytest.approx(conn / 1000, rel=1e-6)
    assert found["sad"] == pytest.approx(np.abs(predicted - alpha).sum() / 1000, rel=1e-6)
    assert (found["grad"] == 0) == (not np.ptp(predicted) and not np.ptp(alpha))
