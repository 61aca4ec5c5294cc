"""Unknowns of the closed form: every pixel near an edge of alpha, and a graded quadtree of squares elsewhere."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rssn.image.arrays import Alpha
from rssn.kernels.compiling import compiled

Indices = npt.NDArray[np.uint32]
Floats = npt.NDArray[np.float32]

TOP_LEVEL = 5
"""Squares have sides of 2 to 2^5 pixels."""


class Grid(NamedTuple):
    """Nodes 0 to P - 1 are pixels in reading order, nodes P to P + L - 1 squares; unused neighbours weigh 0."""

    node: Indices  # H x W, the node that covers a pixel
    share: Floats  # P + L, alpha
    near: Indices  # P x 4, the node to the left, above, to the right, below
    near_weight: Floats  # P x 4
    far: Indices  # L x 8, two neighbours to the left, above, to the right, below
    far_weight: Floats  # L x 8
    squares: npt.NDArray[np.int32]  # L x 3: y, x, side


def build_grid(alpha: Alpha, epsilon: float) -> Grid:
    """Choose the unknowns of a matte, H x W float32 in [0, 1], and weigh the edges between them.

    A 2 x 2 cell keeps its pixels if one of them is fractional or differs from a neighbour; all other cells are merged
    into squares that differ at most by a factor of 2 from their neighbours. Edges between pixels weigh
    2 (epsilon + |difference of alpha|), as in Levin et al. 2007 (every pair counts twice); edges of squares weigh
    2 epsilon times the length of the common side over the distance of the centres.
    """
    level = _levels(alpha)
    pixels, squares = _count(alpha, level)
    index = np.empty(alpha.shape, np.uint32)
    corners = np.empty((squares, 3), np.int32)
    share = np.empty(pixels + squares, np.float32)
    _number(alpha, level, index, corners, share)
    near, near_weight = np.empty((pixels, 4), np.uint32), np.zeros((pixels, 4), np.float32)
    _join_pixels(alpha, index, epsilon, near, near_weight)
    far, far_weight = np.empty((squares, 8), np.uint32), np.zeros((squares, 8), np.float32)
    _join_squares(index, corners, pixels, epsilon, far, far_weight)
    return Grid(index, share, near, near_weight, far, far_weight, corners)


def _levels(alpha: Alpha) -> npt.NDArray[np.uint8]:
    """Level of the square that covers each 2 x 2 cell; 0 where the cell keeps its pixels."""
    level: npt.NDArray[np.uint8] = _even_cells(alpha)
    even = level.copy()
    for depth in range(2, TOP_LEVEL + 1):
        even = _merge(even, level, depth)
    return level


@compiled
def _even_cells(alpha: Any) -> Any:
    height, width = alpha.shape
    even = np.zeros(((height + 1) // 2, (width + 1) // 2), np.uint8)
    for cy in range(height // 2):
        top, bottom = max(2 * cy - 1, 0), min(2 * cy + 2, height - 1)
        for cx in range(width // 2):
            y, x = 2 * cy, 2 * cx
            value = alpha[y, x]
            if 0.0 < value < 1.0:
                continue
            left, right = max(x - 1, 0), min(x + 2, width - 1)
            even[cy, cx] = (
                alpha[y, x + 1] == value
                and alpha[y + 1, x] == value
                and alpha[y + 1, x + 1] == value
                and alpha[top, x] == value
                and alpha[top, x + 1] == value
                and alpha[bottom, x] == value
                and alpha[bottom, x + 1] == value
                and alpha[y, left] == value
                and alpha[y + 1, left] == value
                and alpha[y, right] == value
                and alpha[y + 1, right] == value
            )
    return even


@compiled
def _merge(even: Any, level: Any, depth: Any) -> Any:
    """Merge four even blocks whose neighbours are even too, and note the new depth in `level`."""
    height, width = even.shape
    merged = np.zeros(((height + 1) // 2, (width + 1) // 2), np.uint8)
    side = 1 << (depth - 1)
    for by in range(height // 2):
        for bx in range(width // 2):
            top, bottom = max(2 * by - 1, 0), min(2 * by + 2, height - 1)
            left, right = max(2 * bx - 1, 0), min(2 * bx + 2, width - 1)
            whole = True
            for y in range(top, bottom + 1):
                for x in range(left, right + 1):
                    inner = (y >> 1) == by or (x >> 1) == bx
                    whole = whole and (even[y, x] != 0 or not inner)
            if whole:
                merged[by, bx] = 1
                level[by * side : (by + 1) * side, bx * side : (bx + 1) * side] = depth
    return merged


@compiled
def _count(alpha: Any, level: Any) -> Any:
    height, width = alpha.shape
    pixels = squares = 0
    for cy in range(level.shape[0]):
        for cx in range(level.shape[1]):
            depth = level[cy, cx]
            if depth == 0:
                pixels += min(2, height - 2 * cy) * min(2, width - 2 * cx)
            else:
                mask = (1 << (depth - 1)) - 1
                squares += (cy & mask) == 0 and (cx & mask) == 0
    return pixels, squares


@compiled
def _number(alpha: Any, level: Any, index: Any, corners: Any, share: Any) -> Any:
    height, width = alpha.shape
    node = 0
    for y in range(height):
        for x in range(width):
            if level[y >> 1, x >> 1] == 0:
                index[y, x] = node
                share[node] = alpha[y, x]
                node += 1
    square = 0
    for cy in range(level.shape[0]):
        for cx in range(level.shape[1]):
            depth = level[cy, cx]
            mask = (1 << depth >> 1) - 1
            if depth == 0 or (cy & mask) != 0 or (cx & mask) != 0:
                continue
            y, x, side = 2 * cy, 2 * cx, 1 << depth
            index[y : y + side, x : x + side] = node
            share[node] = alpha[y, x]
            corners[square, 0], corners[square, 1], corners[square, 2] = y, x, side
            node += 1
            square += 1


@compiled
def _join_pixels(alpha: Any, index: Any, epsilon: Any, near: Any, weight: Any) -> Any:
    height, width = alpha.shape
    pixels = near.shape[0]
    for y in range(height):
        for x in range(width):
            node = index[y, x]
            if node >= pixels:
                continue
            for slot in range(4):
                y2 = y + (slot == 3) - (slot == 1)
                x2 = x + (slot == 2) - (slot == 0)
                near[node, slot] = node
                if 0 <= y2 < height and 0 <= x2 < width:
                    other = index[y2, x2]
                    near[node, slot] = other
                    step = epsilon + abs(alpha[y, x] - alpha[y2, x2]) if other < pixels else epsilon / 1.5
                    weight[node, slot] = 2.0 * step


@compiled
def _join_squares(index: Any, corners: Any, pixels: Any, epsilon: Any, far: Any, weight: Any) -> Any:
    height, width = index.shape
    for square in range(corners.shape[0]):
        top, left, side = corners[square]
        half = side >> 1
        for slot in range(4):
            y = top + (side if slot == 3 else 0) - (slot == 1)
            x = left + (side if slot == 2 else 0) - (slot == 0)
            first = second = np.uint32(pixels + square)
            inside = 0 <= y < height and 0 <= x < width
            if inside:
                first = index[y, x]
                second = index[y + half, x] if slot % 2 == 0 else index[y, x + half]
            far[square, 2 * slot], far[square, 2 * slot + 1] = first, np.uint32(pixels + square)
            if first != second:
                far[square, 2 * slot + 1] = second
                weight[square, 2 * slot] = weight[square, 2 * slot + 1] = 2.0 * epsilon / 1.5
            elif inside:
                alike = first >= pixels and corners[first - pixels, 2] == side
                weight[square, 2 * slot] = 2.0 * epsilon if alike else 2.0 * epsilon / 1.5
