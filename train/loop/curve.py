"""The curves of a run as a picture: the smoothed total, and a small panel for each term and each validation set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import ImageDraw

from rssn.image.arrays import encode_png
from rssn.report.charts import Axes, Curve, blank
from train.network.networks import NETWORKS

History: TypeAlias = Sequence[Mapping[str, float]]
Panel: TypeAlias = tuple[int, int, int, int]
"""Left, top, width and height, px."""

_RAW, _LINE = (201, 214, 232), (31, 95, 168)
_OTHER = (184, 100, 44)  # raw weights beside their average
_WIDTH, _TOTAL_HEIGHT, _PANEL_HEIGHT, _COLUMNS = 960, 360, 200, 3


def draw_curve(history: History, path: Path, metric: str = "sad", terms: Sequence[str] = NETWORKS["gfm"].terms) -> Path:
    """Draw the losses of a run, and what its validations found.

    Args:
        history: The lines of `train.loop.history.History`.
        path: Where the PNG goes.
        metric: Which metric of the validations is drawn.
        terms: Those of the loss.

    Returns:
        `path`.
    """
    panels = [*terms, *(f"validation/{name}/{metric}" for name in _sets(history))]
    sheet, pen = blank(_WIDTH, _TOTAL_HEIGHT + -(-len(panels) // _COLUMNS) * _PANEL_HEIGHT)
    _draw_term(pen, (0, 0, _WIDTH, _TOTAL_HEIGHT), "total", history)
    width = _WIDTH // _COLUMNS
    for index, name in enumerate(panels):
        row, column = divmod(index, _COLUMNS)
        draw = _draw_term if name in terms else _draw_validations
        draw(pen, (column * width, _TOTAL_HEIGHT + row * _PANEL_HEIGHT, width, _PANEL_HEIGHT), name, history)
    path.write_bytes(encode_png(np.asarray(sheet)))
    return path


def smooth(values: npt.NDArray[np.float64], span: int) -> npt.NDArray[np.float64]:
    """The mean of each value and the `span` - 1 before it, of as many as there are."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    last = np.arange(1, len(values) + 1)
    first = np.maximum(last - span, 0)
    return np.asarray((sums[last] - sums[first]) / (last - first), dtype=np.float64)


def _sets(history: History) -> list[str]:
    """The validation sets of a run, in the order of their first appearance."""
    names = (name.split("/") for line in history for name in line)
    return list(dict.fromkeys(parts[1] for parts in names if len(parts) > 1 and parts[0] == "validation"))


def _curve(history: History, name: str) -> Curve:
    """Steps and values of a term; empty where the run has no such term."""
    steps, values = (
        np.array([(line["step"], line[name]) for line in history if name in line], dtype=np.float64).reshape(-1, 2).T
    )
    return steps, values


def _draw_term(pen: ImageDraw.ImageDraw, panel: Panel, name: str, history: History) -> None:
    """One curve: raw values pale, their running mean over a twentieth of the run on top."""
    curve = _curve(history, name)
    axes = _axes(pen, panel, name, [curve])
    axes.line(curve, _RAW, 1)
    axes.line((curve[0], smooth(curve[1], max(1, len(curve[1]) // 20))), _LINE, 2)


def _draw_validations(pen: ImageDraw.ImageDraw, panel: Panel, name: str, history: History) -> None:
    """A metric of a set, point by point; where the weights have an average, of that, and of the raw ones too."""
    prefix, of, metric = name.split("/")
    curve, raw = _curve(history, name), _curve(history, f"{prefix}/{of}/raw/{metric}")
    axes = _axes(pen, panel, f"{of}: {metric}", [curve, raw])
    for number, (each, colour, label) in enumerate(((raw, _OTHER, "raw"), (curve, _LINE, "average"))):
        axes.line(each, colour, 2)
        axes.dots(each, colour)
        if len(raw[0]):
            axes.text(axes.right - 44 * number, axes.top - 22, label, anchor="ra", colour=colour)


def _axes(pen: ImageDraw.ImageDraw, panel: Panel, title: str, curves: Sequence[Curve]) -> Axes:
    """Axes that all of the curves fit in, with their title, scale, and the first and last step."""
    left, top, width, height = panel
    steps, values = (np.concatenate([curve[axis] for curve in curves]) for axis in (0, 1))
    ends = (float(steps.min()), float(steps.max())) if len(steps) else (0.0, 0.0)
    axes = Axes(pen, left + 64, top + 34, width - 80, height - 64, ends, float(values.max(initial=0.0)) or 1.0)
    axes.grid()
    axes.text(axes.left, axes.top - 26, title, 15)
    if ends[1]:
        axes.text(axes.left, axes.bottom + 6, f"{ends[0]:.0f}")
        axes.text(axes.right, axes.bottom + 6, f"step {ends[1]:.0f}", anchor="ra")
    return axes
