"""Charts as pictures: histograms for the pages of `rssn.report.page`, and axes for curves.

Numbers in, pixels out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw

from rssn.image.arrays import Pixels
from rssn.report.page import font, wrap

INK, FAINT, PAPER = (32, 32, 36), (216, 216, 212), (250, 250, 248)

PLOT = (480, 140)
"""Width and height of the area of a histogram's bars, px."""

MARGIN = (10, 34)
"""Where that area begins: left and top, px."""

BAR = (70, 110, 160)
"""The bars' colour, RGB."""

_BELOW = 32  # px for the axis' words

Colour: TypeAlias = tuple[int, int, int]
Curve: TypeAlias = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""The x and y of points."""


@dataclass(frozen=True)
class Axes:
    """A rectangle of a picture, px, and the values that its sides stand for; y begins at 0."""

    pen: ImageDraw.ImageDraw
    left: int
    top: int
    width: int
    height: int
    x: tuple[float, float]  # at its left and right side
    highest: float  # y at its top

    @property
    def right(self) -> int:
        """Its right side, px."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """Its lower side, px."""
        return self.top + self.height

    def text(self, x: float, y: float, words: str, size: int = 12, anchor: str = "la", colour: Colour = INK) -> None:
        """Write at a pixel of the picture; the anchor is Pillow's."""
        self.pen.text((x, y), words, colour, font(size), anchor)

    def grid(self, shares: Sequence[float] = (0.0, 0.5, 1.0)) -> None:
        """Lines at these shares of the height, with their values at the left."""
        for share in shares:
            y = self.bottom - share * self.height
            self.pen.line((self.left, y, self.right, y), fill=FAINT)
            self.text(self.left - 6, y, f"{share * self.highest:.4g}", anchor="rm")

    def bars(self, heights: Sequence[int], colour: Colour) -> None:
        """Bars side by side of these heights in px."""
        edges = np.rint(np.linspace(self.left, self.right, len(heights) + 1)).astype(int)
        for height, left, right in zip(heights, edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            if height:
                self.pen.rectangle((left + 1, self.bottom - height, right - 2, self.bottom - 1), colour)

    def line(self, curve: Curve, colour: Colour, thickness: int) -> None:
        """A curve."""
        self.pen.line(self._points(curve), fill=colour, width=thickness)

    def dots(self, curve: Curve, colour: Colour) -> None:
        """A curve's points, which alone show where there is but one."""
        for x, y in self._points(curve):
            self.pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour)

    def _points(self, curve: Curve) -> list[tuple[float, float]]:
        first, last = self.x
        x = self.left + (curve[0] - first) / max(last - first, 1.0) * self.width
        y = self.bottom - curve[1] / self.highest * self.height
        return list(zip(x.tolist(), y.tolist(), strict=True))


def blank(width: int, height: int) -> tuple[PillowImage.Image, ImageDraw.ImageDraw]:
    """An empty picture, and what draws on it."""
    sheet = PillowImage.new("RGB", (width, height), PAPER)
    return sheet, ImageDraw.Draw(sheet)


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
    sheet, pen = blank(width + 2 * left, top + height + _BELOW)
    low, high = float(shown.edges[0]), float(shown.edges[-1])
    axes = Axes(pen, left, top, width, height, (low, high), float(shown.counts.max()))
    axes.text(left, 8, shown.title, 14)
    axes.text(axes.right, 8, f"tallest bar: {int(shown.counts.max())}", 13, "ra")
    axes.bars(bar_heights(shown.counts), BAR)
    pen.line((left, axes.bottom, axes.right, axes.bottom), INK)
    ticks = [(0.5, "ma")] if len(shown.edges) == 2 else [(0.0, "la"), (0.5, "ma"), (1.0, "ra")]
    for share, anchor in ticks:
        value = low + share * (high - low)
        words = f"{value:.5g}" if abs(value) < 10 else f"{value:.0f}"
        axes.text(left + share * width, axes.bottom + 6, words, 13, anchor)
    return np.asarray(sheet)


def curve_picture(title: str, points: Sequence[tuple[float, float]]) -> Pixels:
    """Draw a curve of shares against shares, both in per cent.

    Args:
        title: What is shown.
        points: x and y, each 0 to 1, by rising x.

    Returns:
        H x W x 3 uint8.
    """
    side, (left, top) = PLOT[1], (44, MARGIN[1])
    sheet, pen = blank(2 * side + left + 24, top + side + _BELOW)
    axes = Axes(pen, left, top, 2 * side, side, (0.0, 100.0), 100.0)
    axes.text(MARGIN[0], 8, title, 14)
    axes.grid()
    for share, anchor in ((0.0, "la"), (0.5, "ma"), (1.0, "ra")):
        axes.text(left + share * axes.width, axes.bottom + 6, f"{100 * share:.0f}", 13, anchor)
    x, y = np.array(points, np.float64).T * 100.0
    axes.line((x, y), BAR, 2)
    return np.asarray(sheet)


def bar_heights(counts: npt.NDArray[np.int64]) -> list[int]:
    """The height of each bar in px."""
    most = int(counts.max())
    return [max(1, round(int(count) / most * PLOT[1])) if count else 0 for count in counts]


DENSITY = 2
"""Px of `deviations_picture` for each px that it is meant to be seen at."""

LIMIT = 4
"""Deviations on its axis; what is farther off is counted at its ends."""

_NAMES, _SPAN, _ROW, _TOP = 260, 460, 76, 12  # px: names, axis, a series, and what is above the first
_BINS = 32


def deviations_picture(series: Mapping[str, npt.NDArray[np.float64]]) -> Pixels:
    """Draw how values are spread about those of the first series: a row of bars for each, on an axis of its deviations.

    All such pictures have the same axis, from -`LIMIT` to `LIMIT` deviations about the first series' mean, and bars of
    the same scale in every row: the highest of the picture fills a row, and its share is said.

    Args:
        series: Values by name, the one that others are compared with first; two values of it or more.

    Returns:
        H x W x 3 uint8.
    """
    first = next(iter(series.values()))
    middle, unit = float(first.mean()), max(float(first.std(ddof=1)), 1e-9)
    shares = {name: _shares((values - middle) / unit) for name, values in series.items()}
    highest = max(float(each.max()) for each in shares.values())
    bottom = _TOP + len(series) * _ROW
    sheet, pen = blank(_NAMES + _SPAN + 28, bottom + 60)
    for number, (name, values) in enumerate(series.items()):
        axes = Axes(pen, _NAMES, _TOP + number * _ROW, _SPAN, _ROW - 10, (-LIMIT, LIMIT), highest)
        axes.bars(np.ceil(shares[name] / highest * axes.height).astype(int).tolist(), BAR if number else INK)
        axes.text(4, axes.bottom - 34, wrap(name, _NAMES - 16, 22)[0], 22, "ls")
        axes.text(4, axes.bottom - 6, f"{len(values)} pictures", 20, "ls", _GREY)
        pen.line((axes.left, axes.bottom, axes.right, axes.bottom), _GREY)
    middle_at = _NAMES + _SPAN / 2
    pen.line((middle_at, _TOP, middle_at, bottom - 10), _MIDDLE, 2)
    for value in range(-LIMIT, LIMIT + 1, 2):
        pen.text(
            (_NAMES + (value + LIMIT) / (2 * LIMIT) * _SPAN, bottom - 2),
            f"{value:+d}" if value else "0",
            INK,
            font(22),
            "ma",
        )
    pen.text((4, bottom + 28), f"highest bar: {highest:.0%} of a set", _GREY, font(20))
    return np.asarray(sheet)


_GREY, _MIDDLE = (120, 120, 128), (190, 60, 40)


def _shares(deviations: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The share of values in each bin, those beyond the axis in the outermost."""
    inside = np.clip(deviations, -LIMIT, LIMIT)
    return np.histogram(inside, np.linspace(-LIMIT, LIMIT, _BINS + 1))[0] / len(deviations)
