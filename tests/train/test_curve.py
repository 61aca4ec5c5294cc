from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from train.curve import draw_curve, smooth

TERMS = ("cross_entropy", "focus_alpha", "focus_laplacian", "alpha", "laplacian", "composition", "total")


def history(values: list[float]) -> list[dict[str, float]]:
    return [{"step": step, **dict.fromkeys(TERMS, value)} for step, value in enumerate(values, start=1)]


def height_of_the_line(path: Path, x: slice) -> float:
    """Mean row of the dark blue line of the total, in some columns."""
    picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB).astype(int)
    rows, _ = np.nonzero((np.abs(picture[:360, x] - (0x1F, 0x5F, 0xA8)) < 30).all(axis=2))
    return float(rows.mean())


def test_smoothing_is_a_running_mean() -> None:
    np.testing.assert_allclose(smooth(np.array([2.0, 4.0, 6.0, 8.0]), 2), [2.0, 3.0, 5.0, 7.0])
    np.testing.assert_allclose(smooth(np.array([2.0, 4.0, 6.0]), 1), [2.0, 4.0, 6.0])
    np.testing.assert_allclose(smooth(np.array([2.0, 4.0, 6.0]), 10), [2.0, 3.0, 4.0])


def test_a_falling_loss_is_drawn_falling(tmp_path: Path) -> None:
    path = draw_curve(history(list(np.linspace(1, 0.1, 50))), tmp_path / "curve.png")
    assert height_of_the_line(path, slice(70, 120)) + 150 < height_of_the_line(path, slice(890, 940))


def test_one_step_and_no_step_are_pictures_too(tmp_path: Path) -> None:
    for values in ([], [0.5], [0.0, 0.0]):
        assert cv2.imread(str(draw_curve(history(values), tmp_path / "curve.png"))).shape == (760, 960, 3)
