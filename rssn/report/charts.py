"""Histograms as pictures, for the pages of `rssn.report.page`.

Floor 1: numbers in, pixels out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw

from rssn.image.arrays import Pixels
from rssn.report.page import font

PLOT = (480, 140)
"""Width and height of the bars' area, px."""

MARGIN = (10, 34)
"""Where the bars' area begins: left and top, px."""

BAR = (70, 110, 160)
"""The bars' colour, RGB."""

_BELOW = 32  # px for the axis' words
_INK = (32, 32, 36)
_PAPER = (250, 250, 248)


@dataclass(frozen=True)
class Histogram:
    """Counts between edges; the last bin includes its right edge."""

    title: str
    counts: npt.NDArray[np.int64]  # n
    edges: npt.NDArray[np.float64]  # n + 1, rising


def histogram(title: str, values: Mapping[float, int], bins: int = 24) -> Histogram:
    """Count values into bins of equal width between the smallest and the largest one.

    Args:
        title: What was counted, with its unit.
        values: How often each value occurs; at least one.
        bins: How many bins. Values that are all alike fall into a single one.
    """
    points = np.fromiter(values.keys(), np.float64, len(values))
    weights = np.fromiter(values.values(), np.int64, len(values))
    low, high = float(points.min()), float(points.max())
    edges = np.linspace(low, high, bins + 1) if high > low else np.array([low - 0.5, low + 0.5])
    counts, _ = np.histogram(points, edges, weights=weights)
    return Histogram(title, counts.astype(np.int64), edges)


def histogram_picture(shown: Histogram) -> Pixels:
    """Draw a histogram: bars as high as their counts, the tallest fills the plot, a count above 0 has at least 1 px.

    Returns:
        H x W x 3 uint8; the bars lie in the `PLOT` area that begins at `MARGIN`.
    """
    (width, height), (left, top) = PLOT, MARGIN
    sheet = PillowImage.new("RGB", (width + 2 * left, top + height + _BELOW), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((left, 8), shown.title, _INK, font(14))
    base = top + height
    columns = np.rint(np.linspace(left, left + width, len(shown.counts) + 1)).astype(int)
    for tall, x, right in zip(bar_heights(shown.counts), columns[:-1], columns[1:], strict=True):
        if tall:
            pen.rectangle((int(x) + 1, base - tall, int(right) - 2, base - 1), BAR)
    pen.line((left, base, left + width, base), _INK)
    most = f"tallest bar: {int(shown.counts.max())}"
    pen.text((left + width - font(13).getlength(most), 8), most, _INK, font(13))
    _axis(pen, shown.edges, base + 6)
    return np.asarray(sheet)


def bar_heights(counts: npt.NDArray[np.int64]) -> list[int]:
    """The height of each bar in px."""
    most = int(counts.max())
    return [max(1, round(int(count) / most * PLOT[1])) if count else 0 for count in counts]


def _axis(pen: ImageDraw.ImageDraw, edges: npt.NDArray[np.float64], y: int) -> None:
    ticks: Sequence[float] = [0.5] if len(edges) == 2 else [0.0, 0.5, 1.0]
    for share in ticks:
        value = float(edges[0] + share * (edges[-1] - edges[0]))
        words = f"{value:.5g}" if abs(value) < 10 else f"{value:.0f}"
        x = MARGIN[0] + share * (PLOT[0] - font(13).getlength(words))
        pen.text((x, y), words, _INK, font(13))
