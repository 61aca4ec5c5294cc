"""Unknowns of the closed form: every pixel near an edge of alpha, and a graded quadtree of squares elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rssn.image.arrays import Alpha
from rssn.kernels.closed_form.nodes import place
from rssn.kernels.compiling import compiled
from rssn.kernels.intrinsics import vector_code
from rssn.kernels.simd import DOUBLE, FLOAT, Vectors
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
    halo: Indices  # S x 2 W, nodes of the row above a strip and of the row below; of none: node 0
    pixels: int  # P
    nodes: int  # P + L
    height: int
    width: int


def build_grid(alpha: Alpha, epsilon: float, each: Each = alone) -> Grid:
    """Choose the unknowns of a matte, H x W float32 in [0, 1], and weigh the edges between them.

    A 2 x 2 cell keeps its pixels if one of them is fractional or differs from a neighbour; all other cells are merged
    into squares that differ at most by a factor of 2 from their neighbours. Edges between pixels weigh
    2 (epsilon + |difference of alpha|), as in Levin et al. 2007 (every pair counts twice); edges of squares weigh
    2 epsilon times the length of the common side over the distance of the centres.
    """
    level = _levels(alpha, each)
    strips = _cut(_count(alpha.shape, level))
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
        np.zeros((len(parts), 2 * alpha.shape[1]), np.uint32),
        int(pixels),
        int(nodes),
        *alpha.shape,
    )
    each(lambda strip: _number(alpha, level, strip, grid), parts)
    _note_halo(grid)
    each(lambda strip: _join(alpha, level, epsilon, strip, grid), parts)
    return grid


def _note_halo(grid: Grid) -> None:
    for strip, row in enumerate(grid.strips[1:-1, 0]):
        grid.halo[strip, grid.width :] = grid.node[row]
        grid.halo[strip + 1, : grid.width] = grid.node[row - 1]


def _levels(alpha: Alpha, each: Each) -> npt.NDArray[np.uint8]:
    """Level of the square that covers each 2 x 2 cell; 0 where the cell keeps its pixels."""
    height, width = alpha.shape
    level = np.zeros(((height + 1) // 2, (width + 1) // 2), np.uint8)
    ends = [height // 2 * part // MOST_STRIPS for part in range(MOST_STRIPS + 1)]
    each(lambda part: _mark_even(alpha, ends[part], ends[part + 1], level), range(MOST_STRIPS))
    even = level.view(np.bool_).copy()
    for depth in range(2, TOP_LEVEL + 1):
        even = _merge(even)
        side = 1 << (depth - 1)
        covered = even.repeat(side, axis=0).repeat(side, axis=1)[: level.shape[0], : level.shape[1]]
        level[: covered.shape[0], : covered.shape[1]][covered] = depth
    return level


def _merge(even: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Blocks of 2 x 2 that are even, and so are all eight beside them; those at its corners may not be."""
    height, width = (side // 2 for side in even.shape)
    wide = np.pad(even, 1, constant_values=True)
    columns = wide[:, 1::2][:, :width] & wide[:, 2::2][:, :width]
    rows = wide[1::2][:height] & wide[2::2][:height]
    whole = rows[:, 0::2][:, :width] & rows[:, 3::2][:, :width]
    for row in range(4):
        whole &= columns[row::2][:height]
    return np.pad(whole, [(0, side % 2) for side in even.shape])


def _count(shape: tuple[int, int], level: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Rows, pixels and squares of each band that is as high as the largest square: K x 3."""
    height, width = (np.minimum(side - 2 * np.arange(cells), 2) for side, cells in zip(shape, level.shape, strict=True))
    bands = np.arange(0, len(level), 1 << (TOP_LEVEL - 1))
    pixels = height * ((level == 0) @ width)
    squares = np.zeros_like(pixels)
    for depth in range(1, TOP_LEVEL + 1):
        side = 1 << (depth - 1)
        squares[::side] += np.count_nonzero(level[::side, ::side] == depth, axis=1)
    return np.stack([np.add.reduceat(each, bands) for each in (height, pixels, squares)], axis=1)


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


@compiled
def _number(alpha: Any, level: Any, strip: int, grid: Any) -> None:
    """Number the nodes of a strip, and note where they are."""
    _number_pixels(alpha, level, strip, grid)
    _number_squares(alpha, level, strip, grid)


@compiled
def _join(alpha: Any, level: Any, epsilon: float, strip: int, grid: Any) -> None:
    """Note the neighbours of the nodes of a strip, and what their edges weigh."""
    _join_pixels(alpha, epsilon, strip, grid)
    _join_squares(level, epsilon, strip, grid)


def strip_range(v: Vectors, grid: Grid, strip: Any, column: int) -> tuple[Any, Any]:
    """The first row (0), pixel (1) or square (2) of a strip, and of the next one."""
    begin, end = (v.load_scalar(grid.strips, place(v, strip, 3, entry)) for entry in (column, column + 3))
    return begin, end


class Part(NamedTuple):
    """The pixels or the squares of a strip: nodes begin to end - 1; row 0 of their neighbours is of node `top`."""

    begin: Any
    end: Any
    top: Any
    slots: int
    others: Any
    weights: Any


def parts(v: Vectors, grid: Grid, strip: Any) -> tuple[Part, Part]:
    """Pixels and squares."""
    pixel, last_pixel = strip_range(v, grid, strip, 1)
    square, last_square = (v.builder.add(grid.pixels, number) for number in strip_range(v, grid, strip, 2))
    return (
        Part(pixel, last_pixel, v.index(0), 4, grid.near, grid.near_weight),
        Part(square, last_square, grid.pixels, 8, grid.far, grid.far_weight),
    )


def halo_of(v: Vectors, grid: Grid, strip: Any) -> tuple[Any, Any]:
    """The nodes that the first place of a strip's halo is, and the one after its last."""
    size = v.builder.mul(grid.width, v.index(2))
    start = v.builder.add(grid.nodes, v.builder.mul(strip, size))
    return start, v.builder.add(start, size)


def pixel_at(v: Vectors, grid: Grid, y: Any, x: Any) -> Any:
    """The number of a pixel in reading order."""
    return v.builder.add(v.builder.mul(y, grid.width), x)


@contextmanager
def squares_of(v: Vectors, grid: Grid, strip: Any) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Goes over the squares of a strip: their number, first row and column, side."""
    with v.loop(*strip_range(v, grid, strip, 2)) as loop:
        top, left, side = (v.load_index(grid.squares, place(v, loop.index, 3, entry)) for entry in range(3))
        yield loop.index, top, left, side


def _level_at(v: Vectors, grid: Grid, level: Any, y: Any, x: Any) -> Any:
    """The level of the cell that a pixel is in."""
    b, one = v.builder, v.index(1)
    columns = b.lshr(v.offset(grid.width, 1), one)
    return v.load_index(level, b.add(b.mul(b.lshr(y, one), columns), b.lshr(x, one)))


@vector_code
def _number_pixels(v: Vectors, alpha: Any, level: Any, strip: Any, grid: Any) -> None:
    first, _ = strip_range(v, grid, strip, 1)
    with v.loop(*strip_range(v, grid, strip, 0), first) as row:
        with v.loop(v.index(0), grid.width, row.value) as column:
            pixel, node = pixel_at(v, grid, row.index, column.index), column.value
            covered = _level_at(v, grid, level, row.index, column.index)
            is_node = v.builder.icmp_signed("==", covered, v.index(0))
            with v.builder.if_then(is_node):
                v.store_index(node, grid.node, pixel)
                v.builder.store(v.load_scalar(alpha, pixel), v.at(grid.share, node))
            column.value = v.builder.add(node, v.builder.zext(is_node, node.type))
        row.value = column.value


@vector_code
def _number_squares(v: Vectors, alpha: Any, level: Any, strip: Any, grid: Any) -> None:
    """Each is found at its first cell."""
    b = v.builder
    begin, end = (b.lshr(v.offset(row, n), v.index(1)) for n, row in enumerate(strip_range(v, grid, strip, 0)))
    first, _ = strip_range(v, grid, strip, 2)
    with v.loop(begin, end, first) as row:
        with v.loop(v.index(0), b.lshr(v.offset(grid.width, 1), v.index(1)), row.value) as column:
            y, x = (b.shl(cell.index, v.index(1)) for cell in (row, column))
            depth = _level_at(v, grid, level, y, x)
            side = b.shl(v.index(1), depth)
            inside = b.and_(b.or_(y, x), v.offset(side, -1))
            is_first = b.and_(*(b.icmp_signed(*test, v.index(0)) for test in (("!=", depth), ("==", inside))))
            with b.if_then(is_first):
                _note_square(v, grid, column.value, (y, x, side), v.load_scalar(alpha, pixel_at(v, grid, y, x)))
            column.value = b.add(column.value, b.zext(is_first, y.type))
        row.value = column.value


def _note_square(v: Vectors, grid: Grid, square: Any, corner: tuple[Any, Any, Any], share: Any) -> None:
    top, left, side = corner
    node = v.builder.add(grid.pixels, square)
    v.builder.store(share, v.at(grid.share, node))
    for column, value in enumerate(corner):
        v.store_index(value, grid.squares, place(v, square, 3, column))
    with v.loop(top, v.builder.add(top, side)) as row:
        start = pixel_at(v, grid, row.index, left)
        with v.loop(start, v.builder.add(start, side)) as pixel:
            v.store_index(node, grid.node, pixel.index)


_SLOTS = ((0, -1), (-1, 0), (0, 1), (1, 0))
"""Where neighbours are: to the left, above, to the right, below."""


def _is_inside(v: Vectors, grid: Grid, y: Any, x: Any) -> Any:
    """Whether there is such a pixel: negative numbers are large unsigned ones."""
    b = v.builder
    return b.and_(b.icmp_unsigned("<", y, grid.height), b.icmp_unsigned("<", x, grid.width))


def _name(v: Vectors, grid: Grid, strip: Any, y: Any, x: Any) -> Any:
    """The number of the node at a pixel, as a node of the strip names it."""
    b = v.builder
    begin, end = strip_range(v, grid, strip, 0)
    above = b.add(halo_of(v, grid, strip)[0], x)
    node = v.load_index(grid.node, pixel_at(v, grid, y, x))
    node = b.select(b.icmp_signed("<", y, begin), above, node)
    return b.select(b.icmp_signed(">=", y, end), b.add(above, grid.width), node)


@vector_code
def _join_pixels(v: Vectors, alpha: Any, epsilon: Any, strip: Any, grid: Any) -> None:
    b, two = v.builder, DOUBLE(2.0)
    with v.loop(*strip_range(v, grid, strip, 0)) as row, v.loop(v.index(0), grid.width) as column:
        pixel = pixel_at(v, grid, row.index, column.index)
        node, share = v.load_index(grid.node, pixel), v.load_scalar(alpha, pixel)
        with b.if_then(b.icmp_signed("<", node, grid.pixels)):
            for slot, (down, right) in enumerate(_SLOTS):
                edge = place(v, node, 4, slot)
                v.store_index(node, grid.near, edge)
                y, x = v.offset(row.index, down), v.offset(column.index, right)
                with b.if_then(_is_inside(v, grid, y, x)):
                    other = pixel_at(v, grid, y, x)
                    v.store_index(_name(v, grid, strip, y, x), grid.near, edge)
                    step = v.absolute(v.subtract(share, v.load_scalar(alpha, other)))
                    fine = b.fadd(epsilon, b.fpext(step, DOUBLE))
                    is_fine = b.icmp_signed("<", v.load_index(grid.node, other), grid.pixels)
                    weight = b.fmul(two, b.select(is_fine, fine, b.fdiv(epsilon, DOUBLE(1.5))))
                    b.store(b.fptrunc(weight, FLOAT), v.at(grid.near_weight, edge))


@vector_code
def _join_squares(v: Vectors, level: Any, epsilon: Any, strip: Any, grid: Any) -> None:
    b = v.builder
    double = b.fmul(DOUBLE(2.0), epsilon)
    alike, unlike = (b.fptrunc(weight, FLOAT) for weight in (double, b.fdiv(double, DOUBLE(1.5))))
    with squares_of(v, grid, strip) as (square, top, left, side):
        half = b.lshr(side, v.index(1))
        for slot, (down, right) in enumerate(_SLOTS):
            first, second = (place(v, square, 8, 2 * slot + n) for n in range(2))
            for edge in (first, second):
                v.store_index(b.add(grid.pixels, square), grid.far, edge)
            y, x = (
                b.add(start, side) if way > 0 else v.offset(start, way) for start, way in ((top, down), (left, right))
            )
            y2, x2 = (b.add(y, half), x) if slot % 2 == 0 else (y, b.add(x, half))
            with b.if_then(_is_inside(v, grid, y, x)):
                v.store_index(_name(v, grid, strip, y, x), grid.far, first)
                nodes = [v.load_index(grid.node, pixel_at(v, grid, *at)) for at in ((y, x), (y2, x2))]
                is_one = b.icmp_signed("==", *nodes)
                is_alike = b.icmp_signed("==", b.shl(v.index(1), _level_at(v, grid, level, y, x)), side)
                weight = b.select(b.and_(is_one, is_alike), alike, unlike)
                b.store(weight, v.at(grid.far_weight, first))
                with b.if_then(b.not_(is_one)):
                    v.store_index(_name(v, grid, strip, y2, x2), grid.far, second)
                    b.store(weight, v.at(grid.far_weight, second))
