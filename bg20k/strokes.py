"""Strokes: small parts of one brightness on ground of one brightness, as letters, logos and line drawings have them.

A photograph has small bright and dark parts, too, but grain, shading and what lies behind vary within them and around
them; what was drawn on it does not. Parts are found by top-hats at two sizes of the picture, so that strokes of up to
a tenth of its shorter side count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from rssn.image.arrays import Pixels, resize_area

_SIDES = (540, 270)  # px; shorter sides to which the picture is shrunk. A third one of 1080 finds little more
_THICKEST = np.ones((25, 25), np.uint8)  # px; strokes are thinner than this, at one of the sizes
_STEP = 30  # 8-bit units; the least contrast of a stroke
_UNEVEN = 0.15  # the most that brightness may vary within a stroke, as a share of its contrast
_HEIGHTS = (10, 160)  # px
_LEAST_AREA = 24  # px
_LEAST_CORE = 6  # px; of a stroke without its outermost pixels
_WIDEST = 2.5  # times its height; rails, horizons and branches are wider
_AROUND = 5  # px; how far around a stroke its ground is looked at
_LEAST_AROUND = 8  # px; fewer say nothing
_MOST = 3000  # bright or dark strokes at one size; a texture has more

_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int32]
_Flags: TypeAlias = npt.NDArray[np.bool_]
_Evenness: TypeAlias = tuple[_Floats, _Floats, _Floats]


@dataclass(frozen=True, eq=False)
class Strokes:
    """The strokes of a picture: n of them, lengths in px of the whole picture, brightness in 8-bit units.

    Attributes:
        left: Of the bounding box.
        top: Likewise.
        width: Likewise.
        height: Likewise.
        area: Of the stroke itself, square px.
        thickness: Twice the largest distance to its border.
        brightness: Its mean.
        contrast: Its mean less the median around it; negative where it is darker.
        unevenness: Standard deviation within it.
        unrest: Mean deviation around it from the median around it.
        scale: How many times smaller the picture was in which it was found.
    """

    left: _Floats
    top: _Floats
    width: _Floats
    height: _Floats
    area: _Floats
    thickness: _Floats
    brightness: _Floats
    contrast: _Floats
    unevenness: _Floats
    unrest: _Floats
    scale: _Floats

    def __len__(self) -> int:
        return len(self.left)

    def __getitem__(self, chosen: _Flags | npt.NDArray[np.intp]) -> Strokes:
        """Some of them."""
        return Strokes(*(getattr(self, one.name)[chosen] for one in fields(self)))


def find_strokes(grey: Pixels) -> Strokes:
    """The strokes of an H x W uint8 grey picture, at both sizes; at its own alone where it is smaller than those."""
    scales = sorted({max(1.0, min(grey.shape) / side) for side in _SIDES})
    rows = [row for scale in scales for bright in (True, False) for row in _found(_smaller(grey, scale), scale, bright)]
    return Strokes(*np.array(rows, dtype=np.float64).reshape(-1, len(fields(Strokes))).T)


def _smaller(grey: Pixels, scale: float) -> Pixels:
    return grey if scale == 1 else resize_area(grey, round(grey.shape[1] / scale), round(grey.shape[0] / scale))


def _found(grey: Pixels, scale: float, bright: bool) -> Iterator[tuple[float, ...]]:
    """The rows of `Strokes` for those that are brighter than their ground, or darker."""
    shown = grey if bright else np.asarray(cv2.bitwise_not(grey), dtype=np.uint8)
    hat = cv2.subtract(shown, cv2.morphologyEx(shown, cv2.MORPH_OPEN, _THICKEST))
    mask = np.asarray(cv2.threshold(hat, _STEP - 1, 1, cv2.THRESH_BINARY)[1], dtype=np.uint8)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    owners, outlines = np.asarray(labels, dtype=np.int32), np.asarray(boxes, dtype=np.int32)
    means, deviations, hats = _evenness(shown, np.asarray(hat, dtype=np.uint8), mask, owners, count)
    even = (deviations <= _UNEVEN * hats) & _stroke_like(outlines)
    for label in np.flatnonzero(even)[:_MOST]:
        left, top, width, height, area = outlines[label].tolist()
        ground = _ground(shown, mask, owners, int(label), (left, top, width, height))
        if ground is None:
            continue
        middle, spread, thickness = ground
        contrast = means[label] - middle
        values = (means[label], contrast) if bright else (255.0 - means[label], -contrast)
        lengths = (scale * left, scale * top, scale * width, scale * height, scale * scale * area, scale * thickness)
        yield (*lengths, *values, deviations[label], spread, scale)


def _stroke_like(boxes: _Ints) -> _Flags:
    """Which components have the size and the shape of a stroke; the first is the ground."""
    widths, heights, areas = boxes[:, 2], boxes[:, 3], boxes[:, 4]
    found = (heights >= _HEIGHTS[0]) & (heights <= _HEIGHTS[1]) & (widths <= _WIDEST * heights) & (areas >= _LEAST_AREA)
    found[0] = False
    return np.asarray(found)


def _evenness(shown: Pixels, hat: Pixels, mask: Pixels, labels: _Ints, count: int) -> _Evenness:
    """Of each component without its outermost pixels: mean, deviation (infinite where little is left) and top-hat."""
    core = np.flatnonzero(cv2.erode(mask, np.ones((3, 3), np.uint8)))
    owners, values = labels.ravel()[core], shown.ravel()[core].astype(np.float64)
    pixels = np.bincount(owners, minlength=count)
    whole = np.maximum(pixels, 1)
    means = np.bincount(owners, values, count) / whole
    variances = np.bincount(owners, values * values, count) / whole - means**2
    deviations = np.where(pixels < _LEAST_CORE, np.inf, np.sqrt(np.maximum(variances, 0.0)))
    return means, deviations, np.bincount(owners, hat.ravel()[core].astype(np.float64), count) / whole


def _ground(
    shown: Pixels, mask: Pixels, labels: _Ints, label: int, box: tuple[int, int, int, int]
) -> tuple[float, float, float] | None:
    """Median and mean deviation around a component, and its thickness; None where nothing is around it."""
    left, top, width, height = box
    rows = slice(max(top - _AROUND, 0), top + height + _AROUND)
    columns = slice(max(left - _AROUND, 0), left + width + _AROUND)
    own = (labels[rows, columns] == label).view(np.uint8)
    far = cv2.dilate(own, np.ones((2 * _AROUND + 1, 2 * _AROUND + 1), np.uint8))
    near = cv2.dilate(own, np.ones((5, 5), np.uint8))
    around = shown[rows, columns][(far > near) & (mask[rows, columns] == 0)].astype(np.float64)
    if len(around) < _LEAST_AROUND:
        return None
    middle = float(np.median(around))
    thickness = 2.0 * float(cv2.distanceTransform(own, cv2.DIST_L2, 3).max())
    return middle, float(np.abs(around - middle).mean()), thickness
