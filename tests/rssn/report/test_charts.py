from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rssn.image.arrays import Pixels
from rssn.report.charts import (
    BAR,
    INK,
    LIMIT,
    MARGIN,
    PLOT,
    Histogram,
    bar_heights,
    curve_picture,
    deviations_picture,
    histogram,
    histogram_picture,
)


def test_counts_lie_in_bins_of_equal_width() -> None:
    shown = histogram("width", {10: 3, 19.9: 2, 20: 5, 30: 1}, bins=2)
    assert shown.edges.tolist() == [10, 20, 30]
    assert shown.counts.tolist() == [5, 6]


def test_values_that_are_alike_fall_into_one_bin() -> None:
    shown = histogram("width", {1080: 7})
    assert shown.counts.tolist() == [7]
    assert shown.edges.tolist() == [1079.5, 1080.5]


@given(st.lists(st.integers(0, 255), min_size=1, max_size=60), st.integers(1, 30))
def test_no_value_is_lost(values: list[int], bins: int) -> None:
    assert histogram("luma", Counter(values), bins).counts.sum() == len(values)


@pytest.mark.parametrize(
    ("counts", "heights"), [([4, 2, 0, 1], [140, 70, 0, 35]), ([1], [140]), ([1_000_000, 1, 0], [140, 1, 0])]
)
def test_bars_are_as_high_as_their_counts(counts: list[int], heights: list[int]) -> None:
    assert bar_heights(np.array(counts)) == heights


def test_the_picture_has_bars_of_these_heights_and_places() -> None:
    counts = np.array([4, 2, 0, 1])
    pixels = histogram_picture(Histogram("width, px", counts, np.array([0.0, 1.0, 2.0, 3.0, 4.0])))
    (width, height), (left, top) = PLOT, MARGIN
    blue = (pixels == BAR).all(axis=2)
    step = width // 4
    found = [int(blue[:, left + n * step : left + (n + 1) * step].any(axis=1).sum()) for n in range(4)]
    assert found == [140, 70, 0, 35]
    rows = np.nonzero(blue.any(axis=1))[0]
    assert (rows.min(), rows.max()) == (top, top + height - 1)
    assert blue[top + height - 1, left + 1 : left + step - 1].all()


def test_pictures_of_charts_can_stand_side_by_side() -> None:
    one, many = histogram("a", {5: 1}), histogram("b", {0: 1, 255: 4, 130: 2})
    assert histogram_picture(one).shape == histogram_picture(many).shape


def bars(pixels: Pixels, row: int, colour: tuple[int, int, int]) -> list[tuple[int, float]]:
    """Height in px, and place in deviations, of the bars of a series of `deviations_picture`."""
    part = (pixels[12 + 76 * row : 12 + 76 * row + 65, 261:720] == colour).all(axis=2)
    step = 460 / 32
    found = []
    for number in range(32):
        columns = part[:, round(number * step) + 1 : round((number + 1) * step) - 2]
        if columns.any():
            found.append((int(columns.any(axis=1).sum()), (number + 0.5) / 4 - LIMIT))
    return found


def test_series_are_shares_on_an_axis_of_the_firsts_deviations() -> None:
    first = np.array([8.0, 10.0, 12.0])  # 10 on average, a deviation of 2
    other = np.array([13.0, 13.0, 13.0, 13.0, 13.0, 13.0, 7.0, 10_000.0])  # 1.5 above, 1.5 below, far off
    pixels = deviations_picture({"photographs": first, "composites": other})
    assert [place for _, place in bars(pixels, 0, INK)] == pytest.approx([-1, 0, 1], abs=0.126)
    heights, places = zip(*bars(pixels, 1, BAR), strict=True)
    assert places == pytest.approx((-1.5, 1.5, LIMIT), abs=0.126)
    assert heights[1] == max(heights)
    assert heights[0] / heights[1] == pytest.approx(1 / 6, abs=0.03), "shares of the set"
    assert bars(pixels, 0, INK)[0][0] / heights[1] == pytest.approx((1 / 3) / (6 / 8), abs=0.03), (
        "one scale in all rows"
    )


def test_charts_of_the_same_series_can_stand_side_by_side() -> None:
    one, other = (deviations_picture({"a": np.arange(9.0) * by, "b": np.arange(5.0)}) for by in (1, 100))
    assert one.shape == other.shape


def test_a_curve_of_shares_runs_from_corner_to_corner() -> None:
    rising = curve_picture("found against lost, %", [(0.0, 0.0), (1.0, 1.0)])
    steep = curve_picture("found against lost, %", [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
    assert rising.shape == steep.shape

    def blue(picture: Pixels) -> set[tuple[int, int]]:
        rows, columns = np.nonzero((picture == BAR).all(axis=2))
        return set(zip(rows.tolist(), columns.tolist(), strict=True))

    left, right = (min(blue(rising), key=lambda p: p[1]), max(blue(rising), key=lambda p: p[1]))
    assert left[0] - right[0] >= PLOT[1] - 2
    assert max(p[0] for p in blue(steep)) - min(p[0] for p in blue(steep)) >= PLOT[1] - 2
    assert len({p[1] for p in blue(steep) if p[0] > right[0] + 10}) <= 3
