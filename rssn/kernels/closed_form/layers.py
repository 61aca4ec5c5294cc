"""Pictures to the nodes of a grid, and nodes to the layers F and B, strip by strip."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from rssn.kernels.closed_form.grid import Grid, pixel_at, squares_of, strip_range
from rssn.kernels.closed_form.nodes import place, scale, store, zeros
from rssn.kernels.intrinsics import vector_code
from rssn.kernels.simd import DOUBLE, FLOAT, INT, Vectors

_LAYERS = 4  # lanes from F to B


@vector_code
def average(v: Vectors, first: Any, second: Any, grid: Any, strip: Any, means: Any) -> None:
    """Two pictures at each node of a strip, their means over a square, as its F and B."""
    with _pixels(v, grid, strip) as (pixel, node):
        store(v, means, node, v.joined([_colour(v, picture, pixel) for picture in (first, second)]))
    with squares_of(v, grid, strip) as (square, top, left, side):
        area = v.divide(FLOAT(1.0), v.builder.sitofp(v.builder.mul(side, side), FLOAT))
        rows, columns = ((start, v.builder.add(start, side)) for start in (top, left))
        totals = [_total(v, grid, rows, columns, partial(_colour, v, picture)) for picture in (first, second)]
        store(v, means, v.builder.add(grid.pixels, square), v.joined([scale(v, area, total) for total in totals]))


@vector_code
def fill_pixels(
    v: Vectors, grid: Any, strip: Any, values: Any, image: Any, alpha: Any, foreground: Any, background: Any
) -> None:
    """F and B of the pixels that are nodes; where one of them is all that shows, it is the photograph."""
    with _pixels(v, grid, strip) as (pixel, node):
        share, seen = v.load_scalar(alpha, pixel), _colour(v, image, pixel)
        for layer, lane, whole in ((foreground, 0, 1.0), (background, _LAYERS, 0.0)):
            estimate = _clipped(v, v.load(values, place(v, node, 8, lane), lanes=4, aligned=False))
            is_seen = v.builder.fcmp_ordered("==", share, FLOAT(whole))
            _write(v, layer, pixel, v.builder.select(is_seen, seen, estimate))


@vector_code
def fill_squares(
    v: Vectors, grid: Any, strip: Any, values: Any, image: Any, alpha: Any, foreground: Any, background: Any
) -> None:
    """The layer that is hidden in a square, bilinear between its corners; the other one is the photograph."""
    b = v.builder
    with squares_of(v, grid, strip) as (_, top, left, side):
        opaque = b.fcmp_ordered("==", v.load_scalar(alpha, pixel_at(v, grid, top, left)), FLOAT(1.0))
        hidden, shown = (b.select(opaque, *layers) for layers in ((background, foreground), (foreground, background)))
        layer = b.select(opaque, v.index(_LAYERS), v.index(0))
        ends = [(y, x) for y in (top, b.add(top, side)) for x in (left, b.add(left, side))]
        corners = [_mean_at(v, grid, values, y, x, layer) for y, x in ends]
        with v.loop(v.index(0), side) as row:
            down = _middle(v, row.index, side)
            start = pixel_at(v, grid, b.add(top, row.index), left)
            with v.loop(v.index(0), side) as column:
                right = _middle(v, column.index, side)
                above, below = (_between(v, corners[n], corners[n + 1], right) for n in (0, 2))
                pixel = b.add(start, column.index)
                _write(v, hidden, pixel, _clipped(v, _between(v, above, below, down)))
                _write(v, shown, pixel, _colour(v, image, pixel))


def _mean_at(v: Vectors, grid: Grid, values: Any, y: Any, x: Any, layer: Any) -> Any:
    """Mean of a layer over the up to four nodes that meet at the corner above and left of a pixel."""
    b, part = v.builder, []
    for centre, size in ((y, grid.height), (x, grid.width)):
        is_first, is_last = (b.icmp_signed("==", centre, end) for end in (v.index(0), size))
        begin, end = (b.select(at_edge, centre, v.offset(centre, n)) for at_edge, n in ((is_first, -1), (is_last, 1)))
        part.append((begin, end))
    (top, bottom), (left, right) = part

    def node_at(pixel: Any) -> Any:
        start = place(v, v.load_index(grid.node, pixel), 8)
        return v.load(values, b.add(start, layer), lanes=4, aligned=False)

    count = b.sitofp(b.mul(b.sub(bottom, top), b.sub(right, left)), FLOAT)
    return v.divide(_total(v, grid, (top, bottom), (left, right), node_at), v.splat(count, 4))


@contextmanager
def _pixels(v: Vectors, grid: Grid, strip: Any) -> Iterator[tuple[Any, Any]]:
    """Goes over the pixels of a strip that are nodes: their numbers in reading order, and as nodes."""
    b = v.builder
    begin, end = (b.mul(row, grid.width) for row in strip_range(v, grid, strip, 0))
    with v.loop(begin, end) as loop:
        node = v.load_index(grid.node, loop.index)
        with b.if_then(b.icmp_signed("<", node, grid.pixels)):
            yield loop.index, node


def _total(v: Vectors, grid: Grid, rows: tuple[Any, Any], columns: tuple[Any, Any], of: Callable[[Any], Any]) -> Any:
    """The sum of something over the pixels of a part, one after the other."""
    with v.loop(*rows, zeros(v, 4)) as row:
        begin, end = (pixel_at(v, grid, row.index, x) for x in columns)
        with v.loop(begin, end, row.value) as pixel:
            pixel.value = v.add(pixel.value, of(pixel.index))
        row.value = pixel.value
    return row.value


def _colour(v: Vectors, picture: Any, pixel: Any) -> Any:
    """The three channels of a pixel, and zero."""
    value = zeros(v, 4)
    for channel in range(3):
        number = v.load_scalar(picture, place(v, pixel, 3, channel))
        value = v.builder.insert_element(value, number, INT(channel))
    return value


def _write(v: Vectors, picture: Any, pixel: Any, value: Any) -> None:
    for channel in range(3):
        number = v.builder.extract_element(value, INT(channel))
        v.builder.store(number, v.at(picture, place(v, pixel, 3, channel)))


def _clipped(v: Vectors, value: Any) -> Any:
    nothing, one = zeros(v, 4), v.constant(1.0, value.type)
    value = v.builder.select(v.builder.fcmp_ordered("<", value, nothing), nothing, value)
    return v.builder.select(v.builder.fcmp_ordered(">", value, one), one, value)


def _middle(v: Vectors, number: Any, side: Any) -> Any:
    """Where the middle of a pixel is between the ends of a square, from 0 to 1."""
    b = v.builder
    whole = b.fadd(b.sitofp(number, DOUBLE), DOUBLE(0.5))
    return b.fptrunc(b.fdiv(whole, b.sitofp(side, DOUBLE)), FLOAT)


def _between(v: Vectors, first: Any, second: Any, share: Any) -> Any:
    return v.add(first, scale(v, share, v.subtract(second, first)))
