from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import label

from rssn.image.arrays import to_float, to_uint8
from rssn.sources.mattes import read_matte
from train.metrics.native import connectivity_error, gradient_error
from train.metrics.paper import METRICS, matting_metrics
from train.targets.rosta import make_trimap

BYTES = hnp.arrays(np.uint8, (9, 11), elements=st.sampled_from([0, 51, 102, 127, 128, 153, 204, 230, 255]))


def slow_connectivity(predicted: np.ndarray, alpha: np.ndarray) -> float:
    """Pixel by pixel, on bytes: v / 255 >= i / 10 is v * 10 >= 255 * i."""
    level = np.full(alpha.shape, np.nan)
    for i in range(1, 11):
        both = (predicted.astype(int) * 10 >= 255 * i) & (alpha.astype(int) * 10 >= 255 * i)
        labels, count = label(both, structure=[[0, 1, 0], [1, 1, 1], [0, 1, 0]])
        if count == 0 and i == 1:
            level[:] = 0.0  # there never was a region
        if count == 0:
            continue
        sizes = [int((labels == n).sum()) for n in range(1, count + 1)]
        region = labels == 1 + sizes.index(max(sizes))
        for y, x in np.ndindex(*alpha.shape):
            if np.isnan(level[y, x]) and not region[y, x]:
                level[y, x] = (i - 1) / 10
    total = 0.0
    for y, x in np.ndindex(*alpha.shape):
        last = 1.0 if np.isnan(level[y, x]) else level[y, x]
        phi = []
        for matte in (predicted, alpha):
            above = matte[y, x] / 255 - last
            phi.append(1 - (above if above >= 0.15 else 0.0))
        total += abs(phi[0] - phi[1])
    return total / 1000


def slow_gradient(matte: np.ndarray) -> np.ndarray:
    """Explicit 13-tap kernels and half-sample mirrored borders."""
    x = np.arange(-6, 7)
    gauss = np.exp(-(x**2) / (2 * 1.4**2))
    gauss /= gauss.sum()
    derivative = -x / 1.4**2 * gauss
    padded = np.pad(matte.astype(np.float64), 6, mode="symmetric")

    def separable(down: np.ndarray, across: np.ndarray) -> np.ndarray:
        rows = np.stack([np.convolve(row, across, mode="valid") for row in padded])
        return np.stack([np.convolve(column, down, mode="valid") for column in rows.T]).T

    return np.sqrt(separable(derivative, gauss) ** 2 + separable(gauss, derivative) ** 2)


@given(BYTES, BYTES)
def test_connectivity_equals_a_slow_reference(predicted: np.ndarray, alpha: np.ndarray) -> None:
    measured = connectivity_error(to_float(predicted), to_float(alpha))
    assert measured == pytest.approx(slow_connectivity(predicted, alpha), abs=1e-8)


@given(BYTES, BYTES)
def test_gradient_equals_explicit_convolution(predicted: np.ndarray, alpha: np.ndarray) -> None:
    p, a = to_float(predicted), to_float(alpha)
    expected = float(((slow_gradient(p) - slow_gradient(a)) ** 2).sum()) / 10
    assert gradient_error(p, a) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@settings(max_examples=30)
@given(BYTES, BYTES)
def test_sums_and_means(predicted: np.ndarray, alpha: np.ndarray) -> None:
    trimap = make_trimap(alpha, 3)
    metrics = matting_metrics(to_float(predicted), to_float(alpha), trimap)
    difference = np.abs(predicted.astype(int) - alpha) / 255
    assert metrics["sad"] == pytest.approx(difference.sum() / 1000, abs=1e-8)
    assert metrics["mad"] == pytest.approx(difference.mean(), abs=1e-7)
    assert metrics["mse"] == pytest.approx((difference**2).mean(), abs=1e-7)
    parts = metrics["sad_tran"] + metrics["sad_fg"] + metrics["sad_bg"]
    assert parts == pytest.approx(metrics["sad"], abs=1e-9)
    assert metrics["sad_fg"] == pytest.approx(difference[trimap == 255].sum() / 1000, abs=1e-8)


@given(BYTES)
def test_a_perfect_matte_has_no_error(alpha: np.ndarray) -> None:
    metrics = matting_metrics(to_float(alpha), to_float(alpha), make_trimap(alpha, 3))
    assert tuple(metrics) == tuple(METRICS)
    assert set(metrics.values()) == {0.0}


def test_a_hole_is_disconnected_but_a_step_in_the_rim_is_not() -> None:
    alpha = np.ones((40, 40), np.float32)
    two_parts = alpha.copy()
    two_parts[:, 20] = 0.0
    # the right part (19 columns) and the gap leave the largest region: 20 columns of 40 px, each off by 1
    # in one matte, and only the gap in the other
    assert connectivity_error(two_parts, alpha) == pytest.approx(40 / 1000)
    faint = alpha.copy()
    faint[:, 20] = np.float32(0.9)
    assert connectivity_error(faint, alpha) == 0.0


@pytest.mark.parametrize("byte", [51, 102, 153, 204, 255])
def test_bytes_on_a_threshold_pass_it(byte: int) -> None:
    alpha = np.full((6, 6), byte, np.uint8)
    predicted = alpha.copy()
    predicted[0, 0] = 0
    # the corner leaves at the first threshold, with level 0: it counts what the truth has there; the others stay in
    # the region up to their own value, so nothing is above their level
    assert connectivity_error(to_float(predicted), to_float(alpha)) == pytest.approx(byte / 255 / 1000)


RAMP = np.tile(np.linspace(0, 1, 6, dtype=np.float32), (5, 1))  # 0, 0.2 .. 1
NOTHING, EVERYTHING = np.zeros_like(RAMP), np.ones_like(RAMP)


@pytest.mark.parametrize(
    ("predicted", "alpha", "conn", "parts"),
    [
        (NOTHING, NOTHING, 0.0, (0.0, 0.0, 0.0)),
        (RAMP, NOTHING, 5 * 3.0, (0.0, 0.0, 15.0)),  # a false alarm: 0.2 + 0.4 + 0.6 + 0.8 + 1 in each row
        (RAMP / 10, NOTHING, 0.0, (0.0, 0.0, 1.5)),  # below 0.15: connected to what lies at 0, by definition
        (EVERYTHING, NOTHING, 30.0, (0.0, 0.0, 30.0)),
        (NOTHING, RAMP, 5 * 3.0, (15.0, 0.0, 0.0)),  # the subject is not found
        (EVERYTHING, EVERYTHING, 0.0, (0.0, 0.0, 0.0)),
        (NOTHING, EVERYTHING, 30.0, (0.0, 30.0, 0.0)),
        # px of 0 to 0.8 leave the region there: the truth has 1, 0.8 .. 0.2 above it, the prediction nothing
        (RAMP, EVERYTHING, 5 * (1 + 0.8 + 0.6 + 0.4 + 0.2), (0.0, 15.0, 0.0)),
    ],
)
def test_empty_and_full_mattes_are_judged(
    predicted: np.ndarray, alpha: np.ndarray, conn: float, parts: tuple[float, float, float]
) -> None:
    found = matting_metrics(predicted, alpha, make_trimap(alpha))
    assert found["conn"] == pytest.approx(conn / 1000, rel=1e-6)
    assert [1000 * found[f"sad_{part}"] for part in ("tran", "fg", "bg")] == pytest.approx(parts, rel=1e-6)
    slopes = slow_gradient(predicted) - slow_gradient(alpha)
    assert found["grad"] == pytest.approx((slopes**2).sum() / 10, rel=1e-6, abs=1e-12)
    assert (found["grad"] == 0) == (not np.ptp(predicted) and not np.ptp(alpha))


def test_what_lies_beside_the_subject_counts_although_the_two_share_nothing() -> None:
    left, right = np.zeros((2, 4, 10), np.float32)
    left[:, :2], right[:, 7:] = 1.0, 1.0
    assert connectivity_error(right, left) == pytest.approx((8 + 12) / 1000)


def test_gradient_of_a_ramp() -> None:
    ramp = np.tile(np.linspace(0, 1, 101, dtype=np.float32), (50, 1))
    flat = np.zeros_like(ramp)
    inner = np.s_[10:40, 10:90]
    np.testing.assert_allclose(slow_gradient(ramp)[inner], 0.01, rtol=2e-3)
    assert gradient_error(ramp, flat) == pytest.approx(50 * 101 * 1e-4 / 10, rel=0.1)


@pytest.mark.parametrize(
    ("predicted", "trimap", "message"),
    [
        (np.zeros((4, 5), np.float32), np.zeros((4, 4), np.uint8), "shapes"),
        (np.zeros((4, 4), np.float64), np.zeros((4, 4), np.uint8), "predicted must be float32"),
        (np.full((4, 4), np.nan, np.float32), np.zeros((4, 4), np.uint8), "NaN"),
        (np.full((4, 4), 255, np.float32), np.zeros((4, 4), np.uint8), r"in \[0, 1\]"),
        (np.zeros((4, 4), np.float32), np.ones((4, 4), np.uint8), "trimap"),
    ],
)
def test_wrong_input_is_refused(predicted: np.ndarray, trimap: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        matting_metrics(predicted, np.zeros((4, 4), np.float32), trimap)


def test_figures_on_a_real_matte(shared: Path) -> None:
    """The 80 px hole of anchors.md, section E, and rounding on a real photograph."""
    alpha = read_matte((shared / "data/am2k/mask/sample13.png").read_bytes()).alpha
    opaque = np.argwhere(make_trimap(alpha, 161) == 255)
    y, x = opaque[len(opaque) // 2]
    predicted = alpha.copy()
    predicted[y - 40 : y + 40, x - 40 : x + 40] = 0.0
    metrics = matting_metrics(to_float(to_uint8(predicted)), alpha, make_trimap(alpha))
    assert metrics["sad"] == pytest.approx(6.4)
    assert metrics["sad_fg"] == pytest.approx(6.4)
    assert metrics["conn"] == pytest.approx(6.4)
    assert metrics["grad"] == pytest.approx(6.463, abs=0.02)


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.3])
def test_figures_on_a_photograph_equal_the_libraries(noise: float, shared: Path) -> None:
    alpha = read_matte((shared / "data/am2k/mask/sample1.png").read_bytes()).alpha[::2, ::2].copy()
    bench = pytest.importorskip("tests.benchmarks.bench_metrics", reason="scikit-image is not installed")
    predicted = bench.worse(alpha, noise)
    assert connectivity_error(predicted, alpha) == pytest.approx(
        bench.reference_connectivity(predicted, alpha), abs=1e-6
    )
    assert gradient_error(predicted, alpha) == pytest.approx(bench.reference_gradient(predicted, alpha), abs=1e-6)
