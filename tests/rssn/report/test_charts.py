from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rssn.report.charts import BAR, MARGIN, PLOT, Histogram, bar_heights, histogram, histogram_picture


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
