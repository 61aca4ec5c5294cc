"""The curves of a run as a picture: the smoothed total, and a small panel for each term and each validation set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from rssn.image.arrays import encode_png

_TERMS = ("cross_entropy", "focus_alpha", "focus_laplacian", "alpha", "laplacian", "composition")
_INK, _FAINT, _RAW, _LINE, _PAPER = "#202024", "#d8d8d4", "#c9d6e8", "#1f5fa8", "#fafaf8"
_OTHER = "#b8642c"  # raw weights beside their average
_WIDTH, _TOTAL_HEIGHT, _PANEL_HEIGHT, _COLUMNS = 960, 360, 200, 3


@dataclass(frozen=True)
class _Panel:
    """A rectangle of the picture, px."""

    left: int
    top: int
    width: int
    height: int


_Curve: TypeAlias = tuple[npt.NDArray[np.float64], ...]


def draw_curve(history: Sequence[Mapping[str, float]], path: Path, metric: str = "sad") -> Path:
    """Draw the losses of a run, and what its validations found.

    Args:
        history: The lines of `train.loop.history.History`.
        path: Where the PNG goes.
        metric: Which figure of the validations is drawn.

    Returns:
        `path`.
    """
    judged = [f"validation/{name}/{metric}" for name in _sets(history)]
    rows = -(-(len(_TERMS) + len(judged)) // _COLUMNS)
    picture = PillowImage.new("RGB", (_WIDTH, _TOTAL_HEIGHT + rows * _PANEL_HEIGHT), _PAPER)
    pen = ImageDraw.Draw(picture)
    _draw_panel(pen, _Panel(0, 0, _WIDTH, _TOTAL_HEIGHT), "total", _curve(history, "total"))
    width = _WIDTH // _COLUMNS
    for index, name in enumerate([*_TERMS, *judged]):
        row, column = divmod(index, _COLUMNS)
        panel = _Panel(column * width, _TOTAL_HEIGHT + row * _PANEL_HEIGHT, width, _PANEL_HEIGHT)
        if name in _TERMS:
            _draw_panel(pen, panel, name, _curve(history, name))
        else:
            _draw_validations(pen, panel, name, history)
    path.write_bytes(encode_png(np.asarray(picture)))
    return path


def smooth(values: npt.NDArray[np.float64], span: int) -> npt.NDArray[np.float64]:
    """The mean of each value and the `span` - 1 before it, of as many as there are."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    last = np.arange(1, len(values) + 1)
    first = np.maximum(last - span, 0)
    return np.asarray((sums[last] - sums[first]) / (last - first), dtype=np.float64)


def _sets(history: Sequence[Mapping[str, float]]) -> list[str]:
    """The validation sets of a run, in the order of their first appearance."""
    names = (name.split("/") for line in history for name in line)
    return list(dict.fromkeys(parts[1] for parts in names if len(parts) > 1 and parts[0] == "validation"))


def _curve(history: Sequence[Mapping[str, float]], name: str) -> _Curve:
    """Steps and values of a term; empty where the run has no such term."""
    found = np.array([(line["step"], line[name]) for line in history if name in line], dtype=np.float64)
    return tuple(found.reshape(-1, 2).T)


def _draw_panel(pen: ImageDraw.ImageDraw, panel: _Panel, title: str, curve: _Curve) -> None:
    """One curve: raw values pale, their running mean over a twentieth of the run on top."""
    frame = _Frame.of(panel, [curve])
    frame.draw(pen, title)
    steps, values = curve
    frame.line(pen, curve, _RAW, 1)
    frame.line(pen, (steps, smooth(values, max(1, len(values) // 20))), _LINE, 2)


def _draw_validations(
    pen: ImageDraw.ImageDraw, panel: _Panel, name: str, history: Sequence[Mapping[str, float]]
) -> None:
    """A metric of a set, point by point; where the weights have an average, of that, and of the raw ones too."""
    prefix, of, metric = name.split("/")
    curve, raw = _curve(history, name), _curve(history, f"{prefix}/{of}/raw/{metric}")
    frame = _Frame.of(panel, [curve, raw])
    frame.draw(pen, f"{of}: {metric}")
    for number, (each, colour, label) in enumerate(((raw, _OTHER, "raw"), (curve, _LINE, "average"))):
        frame.line(pen, each, colour, 2)
        frame.dots(pen, each, colour)
        if len(raw[0]):
            pen.text((frame.right - 44 * number, frame.top - 22), label, fill=colour, font=_font(12), anchor="ra")


@dataclass(frozen=True)
class _Frame:
    """Where steps and values lie in a panel, px; values begin at 0."""

    left: int
    right: int
    top: int
    bottom: int
    steps: tuple[float, float]
    highest: float

    @classmethod
    def of(cls, panel: _Panel, curves: Sequence[_Curve]) -> _Frame:
        """The frame that all of the curves fit in."""
        steps, values = (np.concatenate([curve[axis] for curve in curves]) for axis in (0, 1))
        ends = (float(steps.min()), float(steps.max())) if len(steps) else (0.0, 0.0)
        left, right = panel.left + 64, panel.left + panel.width - 16
        top, bottom = panel.top + 34, panel.top + panel.height - 30
        return cls(left, right, top, bottom, ends, float(values.max(initial=0.0)) or 1.0)

    def draw(self, pen: ImageDraw.ImageDraw, title: str) -> None:
        """Title, scale, and the first and last step."""
        for share in (0.0, 0.5, 1.0):
            y = self.bottom - share * (self.bottom - self.top)
            pen.line((self.left, y, self.right, y), fill=_FAINT)
            pen.text((self.left - 6, y), f"{share * self.highest:.4g}", fill=_INK, font=_font(12), anchor="rm")
        pen.text((self.left, self.top - 26), title, fill=_INK, font=_font(15))
        if self.steps[1]:
            pen.text((self.left, self.bottom + 6), f"{self.steps[0]:.0f}", fill=_INK, font=_font(12))
            last = f"step {self.steps[1]:.0f}"
            pen.text((self.right, self.bottom + 6), last, fill=_INK, font=_font(12), anchor="ra")

    def points(self, curve: _Curve) -> list[tuple[float, float]]:
        """Steps and values as x and y."""
        first, last = self.steps
        x = self.left + (curve[0] - first) / max(last - first, 1.0) * (self.right - self.left)
        y = self.bottom - curve[1] / self.highest * (self.bottom - self.top)
        return [(float(a), float(b)) for a, b in zip(x, y, strict=True)]

    def line(self, pen: ImageDraw.ImageDraw, curve: _Curve, colour: str, thickness: int) -> None:
        """One curve."""
        pen.line(self.points(curve), fill=colour, width=thickness)

    def dots(self, pen: ImageDraw.ImageDraw, curve: _Curve, colour: str) -> None:
        """One curve's points, which alone show where there is but one."""
        for x, y in self.points(curve):
            pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour)


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
