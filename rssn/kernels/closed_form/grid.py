"""Unknowns of the closed form: every pixel near an edge of alpha, and a graded quadtree of squares elsewhere."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rssn.image.arrays import Alpha
from rssn.kernels.compiling import compiled, inlined
from rssn.kernels.threads import Each, alone

Indices = npt.NDArray[np.uint32]
Floats = npt.NDArray[np.float32]

TOP_LEVEL = 5
"""Squares have sides of 2 to 2^5 pixels."""
MOST_STRIPS, STRIP_NODES = 4, 12_500
"""A grid is cut into a power of two of strips, with about so many nodes in each at least."""


class Grid(NamedTuple):
    """Nodes 0 to P - 1 are pixels in reading order, nodes P to P + L - 1 squares; unused neighbours weigh 0.

    The picture is cut into S strips of whole rows, which cut no square. A neighbour in another strip has a place in the
    halo of the node's own, and is named as P + L + 2 W times the strip + that place.
    """

    node: Indices  # H x W, the node that covers a pixel
    share: Floats  # P + L, alpha
    near: Indices  # P x 4, the node to the left, above, to the right, below
    near_weight: Floats  # P x 4
    far: Indices  # L x 8, two neighbours to the left, above, to the right, below
    far_weight: Floats  # L x 8
    squares: npt.NDArray[np.int32]  # L x 3: y, x, side
    strips: npt.NDArray[np.int64]  # S + 1 x 3, the first row, pixel and square of a strip
    halo: Indices  # S x 2 W, nodes of other strips
    halo_size: npt.NDArray[np.int64]  # S, how many of them are used


def build_grid(alpha: Alpha, epsilon: float, each: Each = alone) -> Grid:
    """Choose the unknowns of a matte, H x W float32 in [0, 1], and weigh the edges between them.

    A 2 x 2 cell keeps its pixels if one of them is fractional or differs from a neighbour; all other cells are merged
    into squares that differ at most by a factor of 2 from their neighbours. Edges between pixels weigh
    2 (epsilon + |difference of alpha|), as in Levin et al. 2007 (every pair counts twice); edges of squares weigh
    2 epsilon times the length of the common side over the distance of the centres.
    """
    level = _levels(alpha, each)
    strips = _cut(_count(alpha, level))
    _, pixels, squares = strips[-1]
    nodes, parts = pixels + squares, range(len(strips) - 1)
    grid = Grid(
        np.empty(alpha.shape, np.uint32),
        np.empty(nodes, np.float32),
        np.empty((pixels, 4), np.uint32),
        np.zeros((pixels, 4), np.float32),
        np.empty((squares, 8), np.uint32),
        np.zeros((squares, 8), np.float32),
        np.empty((squares, 3), np.int32),
        strips,
        np.empty((len(parts), 2 * alpha.shape[1]), np.uint32),
        np.zeros(len(parts), np.int64),
    )
    each(lambda strip: _number(alpha, level, strip, grid), parts)
    each(lambda strip: _join(alpha, level, epsilon, strip, grid), parts)
    return grid


def _levels(alpha: Alpha, each: Each) -> npt.NDArray[np.uint8]:
    """Level of the square that covers each 2 x 2 cell; 0 where the cell keeps its pixels."""
    height, width = alpha.shape
    level = np.zeros(((height + 1) // 2, (width + 1) // 2), np.uint8)
    ends = [height // 2 * part // MOST_STRIPS for part in range(MOST_STRIPS + 1)]
    each(lambda part: _mark_even(alpha, ends[part], ends[part + 1], level), range(MOST_STRIPS))
    even = level.copy()
    for depth in range(2, TOP_LEVEL + 1):
        even = _merge(even, level, depth)
    return level


def _cut(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rows, pixels and squares before each of the strips, which have about as many nodes, and at the end of all."""
    before = np.concatenate([np.zeros((1, 3), np.int64), np.cumsum(counts, axis=0)])
    nodes = before[:, 1] + before[:, 2]
    strips = MOST_STRIPS
    while strips > 1 and nodes[-1] < strips * STRIP_NODES:
        strips //= 2
    nearest = np.abs(nodes[:, None] - nodes[-1] * np.arange(strips + 1) / strips).argmin(axis=0)
    strip_starts: npt.NDArray[np.int64] = before[np.unique([0, *nearest[1:-1], len(counts)])]
    return strip_starts


@compiled
def _mark_even(alpha: Any, begin: int, end: int, even: Any) -> None:
    """Set 1 for each cell in these rows of cells that is even, and so are its neighbours."""
    height, width = alpha.shape
    for cy in range(begin, end):
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


@inlined
def _fill(values: Any, top: int, left: int, side: int, value: Any) -> None:
    """Write to a square; numba takes seconds to compile a slice that is assigned to."""
    for y in range(top, top + side):
        for x in range(left, left + side):
            values[y, x] = value


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
                _fill(level, by * side, bx * side, side, depth)
    return merged


@compiled
def _count(alpha: Any, level: Any) -> Any:
    """Rows, pixels and squares of each band that is as high as the largest square: K x 3."""
    height, width = alpha.shape
    rows = 1 << TOP_LEVEL
    counts = np.zeros(((height + rows - 1) // rows, 3), np.int64)
    for cy in range(level.shape[0]):
        here = counts[2 * cy // rows]
        here[0] += min(2, height - 2 * cy)
        for cx in range(level.shape[1]):
            depth = level[cy, cx]
            if depth == 0:
                here[1] += min(2, height - 2 * cy) * min(2, width - 2 * cx)
            else:
                mask = (1 << (depth - 1)) - 1
                here[2] += (cy & mask) == 0 and (cx & mask) == 0
    return counts


@compiled
def _number(alpha: Any, level: Any, strip: int, grid: Any) -> None:
    """Number the nodes of a strip, and note where they are."""
    width = alpha.shape[1]
    begin, node, square = grid.strips[strip]
    end = grid.strips[strip + 1, 0]
    for y in range(begin, end):
        for x in range(width):
            if level[y >> 1, x >> 1] == 0:
                grid.node[y, x] = node
                grid.share[node] = alpha[y, x]
                node += 1
    pixels = len(grid.near)
    for cy in range(begin >> 1, (end + 1) >> 1):
        for cx in range(level.shape[1]):
            depth = level[cy, cx]
            mask = (1 << depth >> 1) - 1
            if depth == 0 or (cy & mask) != 0 or (cx & mask) != 0:
                continue
            y, x, side = 2 * cy, 2 * cx, 1 << depth
            _fill(grid.node, y, x, side, pixels + square)
            grid.share[pixels + square] = alpha[y, x]
            corners = grid.squares[square]
            corners[0], corners[1], corners[2] = y, x, side
            square += 1


@compiled
def _join(alpha: Any, level: Any, epsilon: float, strip: int, grid: Any) -> None:
    """Note the neighbours of the nodes of a strip, and what their edges weigh."""
    _join_pixels(alpha, epsilon, strip, grid)
    _join_squares(level, epsilon, strip, grid)


@inlined
def _name(y: int, x: int, strip: int, grid: Any) -> Any:
    """The number of the node at a pixel, as a node of the strip names it."""
    node = grid.node[y, x]
    if grid.strips[strip, 0] <= y < grid.strips[strip + 1, 0]:
        return node
    place = grid.halo_size[strip]
    grid.halo_size[strip] = place + 1
    grid.halo[strip, place] = node
    return np.uint32(len(grid.share) + grid.halo.shape[1] * strip + place)


@inlined
def _join_pixels(alpha: Any, epsilon: float, strip: int, grid: Any) -> None:
    height, width = alpha.shape
    pixels = len(grid.near)
    for y in range(grid.strips[strip, 0], grid.strips[strip + 1, 0]):
        for x in range(width):
            node = grid.node[y, x]
            if node >= pixels:
                continue
            for slot in range(4):
                y2 = y + (slot == 3) - (slot == 1)
                x2 = x + (slot == 2) - (slot == 0)
                grid.near[node, slot] = node
                if 0 <= y2 < height and 0 <= x2 < width:
                    fine = grid.node[y2, x2] < pixels
                    step = epsilon + abs(alpha[y, x] - alpha[y2, x2]) if fine else epsilon / 1.5
                    grid.near[node, slot] = _name(y2, x2, strip, grid)
                    grid.near_weight[node, slot] = 2.0 * step


@inlined
def _join_squares(level: Any, epsilon: float, strip: int, grid: Any) -> None:
    height, width = grid.node.shape
    pixels = len(grid.near)
    for square in range(grid.strips[strip, 2], grid.strips[strip + 1, 2]):
        top, left, side = grid.squares[square]
        half = side >> 1
        itself = np.uint32(pixels + square)
        for slot in range(4):
            y = top + (side if slot == 3 else 0) - (slot == 1)
            x = left + (side if slot == 2 else 0) - (slot == 0)
            first, second = 2 * slot, 2 * slot + 1
            grid.far[square, first] = grid.far[square, second] = itself
            if not (0 <= y < height and 0 <= x < width):
                continue
            y2, x2 = (y + half, x) if slot % 2 == 0 else (y, x + half)
            grid.far[square, first] = _name(y, x, strip, grid)
            if grid.node[y, x] != grid.node[y2, x2]:
                grid.far[square, second] = _name(y2, x2, strip, grid)
                grid.far_weight[square, first] = grid.far_weight[square, second] = 2.0 * epsilon / 1.5
            else:
                alike = 1 << level[y >> 1, x >> 1] == side
                grid.far_weight[square, first] = 2.0 * epsilon if alike else 2.0 * epsilon / 1.5
