"""The loss curve as a picture: the smoothed total, and a small panel for each term."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from rssn.images import encode_png

_TERMS = ("cross_entropy", "focus_alpha", "focus_laplacian", "alpha", "laplacian", "composition")
_INK, _FAINT, _RAW, _LINE, _PAPER = "#202024", "#d8d8d4", "#c9d6e8", "#1f5fa8", "#fafaf8"
_WIDTH, _TOTAL_HEIGHT, _PANEL_HEIGHT, _COLUMNS = 960, 360, 200, 3


@dataclass(frozen=True)
class _Panel:
    """A rectangle of the picture, px."""

    left: int
    top: int
    width: int
    height: int


def draw_curve(history: Sequence[Mapping[str, float]], path: Path) -> Path:
    """Draw the losses of a run.

    Args:
        history: The lines of `train.history.History`.
        path: Where the PNG goes.

    Returns:
        `path`.
    """
    rows = -(-len(_TERMS) // _COLUMNS)
    picture = PillowImage.new("RGB", (_WIDTH, _TOTAL_HEIGHT + rows * _PANEL_HEIGHT), _PAPER)
    pen = ImageDraw.Draw(picture)
    _draw_panel(pen, _Panel(0, 0, _WIDTH, _TOTAL_HEIGHT), "total", _curve(history, "total"))
    width = _WIDTH // _COLUMNS
    for index, term in enumerate(_TERMS):
        row, column = divmod(index, _COLUMNS)
        panel = _Panel(column * width, _TOTAL_HEIGHT + row * _PANEL_HEIGHT, width, _PANEL_HEIGHT)
        _draw_panel(pen, panel, term, _curve(history, term))
    path.write_bytes(encode_png(np.asarray(picture)))
    return path


def smooth(values: npt.NDArray[np.float64], span: int) -> npt.NDArray[np.float64]:
    """The mean of each value and the `span` - 1 before it, of as many as there are."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    last = np.arange(1, len(values) + 1)
    first = np.maximum(last - span, 0)
    return np.asarray((sums[last] - sums[first]) / (last - first), dtype=np.float64)


def _curve(history: Sequence[Mapping[str, float]], name: str) -> tuple[npt.NDArray[np.float64], ...]:
    """Steps and values of a term; empty where the run has no such term."""
    found = np.array([(line["step"], line[name]) for line in history if name in line], dtype=np.float64)
    return tuple(found.reshape(-1, 2).T)


def _draw_panel(
    pen: ImageDraw.ImageDraw,
    panel: _Panel,
    title: str,
    curve: tuple[npt.NDArray[np.float64], ...],
) -> None:
    """One curve: raw values pale, their running mean over a twentieth of the run on top; the axis starts at 0."""
    steps, values = curve
    left, right = panel.left + 64, panel.left + panel.width - 16
    top, bottom = panel.top + 34, panel.top + panel.height - 30
    highest = float(values.max(initial=0.0)) or 1.0
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * (bottom - top)
        pen.line((left, y, right, y), fill=_FAINT)
        pen.text((left - 6, y), f"{share * highest:.3g}", fill=_INK, font=_font(12), anchor="rm")
    pen.text((left, panel.top + 8), title, fill=_INK, font=_font(15))
    if not len(steps):
        return
    x = left + (steps - steps[0]) / max(steps[-1] - steps[0], 1.0) * (right - left)
    for series, colour, thickness in ((values, _RAW, 1), (smooth(values, max(1, len(values) // 20)), _LINE, 2)):
        heights = bottom - series / highest * (bottom - top)
        pen.line([(float(a), float(b)) for a, b in zip(x, heights, strict=True)], fill=colour, width=thickness)
    pen.text((left, bottom + 6), f"{steps[0]:.0f}", fill=_INK, font=_font(12))
    pen.text((right, bottom + 6), f"step {steps[-1]:.0f}", fill=_INK, font=_font(12), anchor="ra")


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
