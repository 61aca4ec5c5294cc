from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from train.loop.curve import draw_curve, smooth

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


def colours(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB).astype(int)


def middle_of(picture: np.ndarray, colour: tuple[int, int, int]) -> tuple[float, float]:
    """Mean row and column of a colour."""
    rows, columns = np.nonzero((np.abs(picture - colour) < 30).all(axis=2))
    return float(rows.mean()), float(columns.mean())


def test_each_validation_set_has_a_panel_with_the_average_and_the_raw_weights(tmp_path: Path) -> None:
    lines = history([0.5] * 10)
    for step, average, raw in ((5, 60.0, 80.0), (10, 20.0, 40.0)):
        lines[step - 1] |= {"validation/am2k/sad": average, "validation/am2k/raw/sad": raw, "validation/am2k/mse": 1.0}
        lines[step - 1] |= {"validation/real/sad": 3.0, "validation/real/mse": 1.0}
    picture = colours(draw_curve(lines, tmp_path / "curve.png"))
    assert picture.shape == (960, 960, 3)
    am2k, real = picture[790:, :320], picture[790:, 320:640]  # below the titles
    line, other = (0x1F, 0x5F, 0xA8), (0xB8, 0x64, 0x2C)
    # from 60 to 20 of at most 80, over 136 px from row 4 on: the mean of the ends
    assert np.abs(np.array(middle_of(am2k, line)) - (4 + 136 * (1 - 40 / 80), (64 + 304) / 2)).max() < 4
    assert np.abs(np.array(middle_of(am2k, other)) - (4 + 136 * (1 - 60 / 80), (64 + 304) / 2)).max() < 4
    assert abs(middle_of(real, line)[0] - 4) < 2  # as large as the largest
    assert not (np.abs(real - other) < 30).all(axis=2).any()


def test_another_metric_is_drawn_where_the_best_is_found_by_it(tmp_path: Path) -> None:
    lines = history([0.5] * 4)
    lines[3] |= {"validation/real/sad": 3.0, "validation/real/mse": 1.0}
    one, other = (colours(draw_curve(lines, tmp_path / f"{name}.png", name)) for name in ("sad", "mse"))
    assert (one[760:] != other[760:]).any()
    assert (one[:760] == other[:760]).all()


def test_one_step_and_no_step_are_pictures_too(tmp_path: Path) -> None:
    for values in ([], [0.5], [0.0, 0.0]):
        assert cv2.imread(str(draw_curve(history(values), tmp_path / "curve.png"))).shape == (760, 960, 3)
