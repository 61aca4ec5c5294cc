"""One stage of BM3D over a tile: thirty references wide, from the top of the image to its bottom.

Only 42 rows of blocks are held, as 16-bit coefficients, with the sums that groups add to them: about 8 MB a tile, so
that nearly all of it stays in the second and third cache. A row of references makes the rows of blocks that its search
reaches, filters its groups channel by channel while the next group's cache lines are on their way, and hands the rows
that no later reference reaches to the way back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rssn.kernels.bm3d.groups import SHRINKAGE, Group, attenuate_group, shrink_group
from rssn.kernels.bm3d.matching import (
    BAND,
    BLOCK,
    FIRST,
    LABEL_BITS,
    REACH,
    REFERENCES,
    SECOND,
    STEP,
    match_band,
    matching_buffers,
)
from rssn.kernels.bm3d.transforms import (
    COEFFICIENTS,
    WEIGHTS,
    WEIGHTS_MARGIN,
    column_forward,
    column_inverse,
    gather_weights,
    row_forward,
    row_inverse,
    spread_weights,
)
from rssn.kernels.compiling import compiled
from rssn.kernels.intrinsics import register_code, vector_code
from rssn.kernels.simd import LANES, Vectors, aligned_together

RING = 2 * REACH + 1 + STEP
"""Rows of blocks that are held."""
POSITIONS = -(-((REFERENCES - 1) * STEP + 2 * REACH + 1) // LANES) * LANES
"""Positions of blocks in a row of a tile."""
MARGIN = POSITIONS + 2 * LANES
"""Floats that a source row needs from a tile's first position on, and that a row of a tile's result has."""
_SPAN = POSITIONS * COEFFICIENTS
_TO_WEIGHTS = (
    COEFFICIENTS // WEIGHTS
).bit_length() - 1  # bits that a place in the ring has more than that of its weights
_WEIGHT_ROW = POSITIONS * WEIGHTS + 2 * WEIGHTS_MARGIN


class Stage(NamedTuple):
    """What all tiles of a stage share."""

    noisy: Any  # C x H x `width` float32, flat
    basic: Any  # the same, of stage 1; in stage 1 the noisy image once more
    planes: Any  # of the luma that is matched, see `phase_planes`
    stride: int
    plane: int
    height: int
    width: int  # floats in a row of the images
    channels: int
    wiener: bool
    size: int  # blocks in a group: 16 or 32
    limit: int  # candidates at or above it are none
    labels: Any
    penalties: Any
    moves: Any
    shrinkage: Any  # C x SHRINKAGE: thresholds, or variances of the noise, by the Haar transform's power of two
    lift: Any  # C float32: what was taken from the first coefficient of every block


class Scratch(NamedTuple):
    """Buffers of one tile at a time; zero wherever something is added before and after."""

    matching: Any
    matches: Any
    places: Any
    rows: Any
    rows_basic: Any
    blocks: Any
    basics: Any
    sums: Any
    weights: Any
    held: Any
    back: Any
    back_weights: Any
    out: Any
    out_weights: Any


def make_scratch(channels: int, height: int, size: int) -> Scratch:
    """Buffers for tiles of an image of this height; 14 MB for a colour image of 1,080 rows."""
    row = BLOCK * channels * POSITIONS * BLOCK
    ring = RING * channels * _SPAN
    blocks, basics, sums, out, rows, rows_basic, back, weights, back_weights, out_weights, held = aligned_together(
        (ring, np.int16),
        (ring, np.int16),
        (ring, np.float32),
        (channels * height * MARGIN, np.float32),
        *[(row, np.float32)] * 3,
        (RING * POSITIONS * WEIGHTS, np.float32),
        (BLOCK * _WEIGHT_ROW, np.float32),
        (height * MARGIN * WEIGHTS, np.float32),
        (COEFFICIENTS * (size + 1), np.float32),
    )
    return Scratch(
        matching=matching_buffers(size),
        matches=np.zeros(BAND * REFERENCES * size, dtype=np.int32),
        places=np.zeros((REFERENCES, size), dtype=np.int64),
        rows=rows,
        rows_basic=rows_basic,
        blocks=blocks,
        basics=basics,
        sums=sums,
        weights=weights,
        held=held,
        back=back,
        back_weights=back_weights,
        out=out,
        out_weights=out_weights,
    )


@compiled
def filter_tile(stage: Any, scratch: Any, first: int, count: int, left: int) -> None:
    """Filter the groups of `count` references a row from number `first` on; blocks start at column `left`.

    Leaves weighted sums in `scratch.out` and their weights in `scratch.out_weights`, both to be cleared by the caller.
    """
    last = stage.height - BLOCK
    made = 0
    aggregated = 0
    for top in range(0, last + 1, BAND * STEP):
        match_band(stage, scratch.matching, top, first)
        _keep_matches(stage, scratch, count)
        for row in range(BAND):
            y = top + row * STEP
            if y > last:
                break
            reached = min(y + REACH, last)
            _make_blocks(stage, scratch, left, made, reached + 1)
            made = reached + 1
            _place_groups(stage, scratch, row, y, first * STEP - left, count)
            _filter_groups(stage, scratch, count)
            until = y + STEP - REACH if y + STEP <= last else last + 1
            for line in range(aggregated, until):
                _aggregate(stage, scratch, line)
                _give_away(stage, scratch, line, stage.height if line == last else line + 1)
            aggregated = max(aggregated, until)


@vector_code
def _keep_matches(v: Vectors, stage: Any, scratch: Any, count: Any) -> None:
    """From [row, vector, rank, lane] to [row, reference, rank]."""
    b, best = v.builder, scratch.matching[3]
    for row in range(BAND):
        with v.loop(v.index(0), count) as reference, v.loop(v.index(0), stage.size) as rank:
            half, lane = b.udiv(reference.index, v.index(LANES)), b.urem(reference.index, v.index(LANES))
            source = _number(v, v.offset(half, row * 2), stage.size, rank.index, v.index(LANES), lane)
            target = _number(v, v.offset(reference.index, row * REFERENCES), stage.size, rank.index)
            b.store(v.load_scalar(best, source), v.at(scratch.matches, target))


def _number(v: Vectors, first: Any, *rest: Any) -> Any:
    """The number of an element of an array, from its first index and, in turns, the next size and index."""
    for size, index in zip(rest[::2], rest[1::2], strict=True):
        first = v.builder.add(v.builder.mul(first, size), index)
    return first


def _in_cycle(v: Vectors, number: Any, size: int) -> Any:
    return v.builder.urem(number, v.index(size))


@vector_code
def _make_blocks(v: Vectors, stage: Any, scratch: Any, left: Any, first: Any, end: Any) -> None:
    """Transform rows of blocks `first` to `end` - 1; the rows of px above are in the ring already."""
    row, channels = v.index(POSITIONS * BLOCK), stage.channels
    size = v.builder.mul(channels, row)
    b = v.builder
    with v.loop(first, end) as block:
        y = block.index
        last = v.offset(y, BLOCK)
        is_top = b.icmp_signed("==", y, v.index(0))
        with (
            v.loop(b.select(is_top, v.index(0), v.offset(y, BLOCK - 1)), last) as line,
            v.loop(v.index(0), channels) as c,
        ):
            target = b.mul(_number(v, _in_cycle(v, line.index, BLOCK), channels, c.index), row)
            source = _number(v, c.index, stage.height, line.index, stage.width, left)
            row_forward(v, stage.noisy, source, scratch.rows, target, POSITIONS)
            with b.if_then(stage.wiener):
                row_forward(v, stage.basic, source, scratch.rows_basic, target, POSITIONS)
        slot, held = _in_cycle(v, y, BLOCK), _in_cycle(v, y, RING)
        with v.loop(v.index(0), channels) as c:
            source, target = b.mul(c.index, row), b.mul(_number(v, c.index, v.index(RING), held), v.index(_SPAN))
            column_forward(v, scratch.rows, source, slot, size, scratch.blocks, target, POSITIONS)
            with b.if_then(stage.wiener):
                column_forward(v, scratch.rows_basic, source, slot, size, scratch.basics, target, POSITIONS)


@vector_code
def _place_groups(v: Vectors, stage: Any, scratch: Any, row: Any, y: Any, x: Any, count: Any) -> None:
    """Where the blocks of each group lie in the ring; where fewer are in reach, the reference fills the group up."""
    b = v.builder
    with v.loop(v.index(0), count) as reference, v.loop(v.index(0), stage.size) as rank:
        found = _number(v, row, v.index(REFERENCES), reference.index, stage.size, rank.index)
        match = v.load_index(scratch.matches, found)
        label = b.and_(match, v.index((1 << LABEL_BITS) - 1))
        label = b.select(b.icmp_signed("<", match, stage.limit), label, v.index(0))
        dy, dx = (v.load_scalar(stage.moves, _number(v, label, v.index(2), v.index(axis))) for axis in range(2))
        line = _in_cycle(v, b.add(y, dy), RING)
        column = _number(v, reference.index, v.index(STEP), b.add(x, dx))
        place = _number(v, line, v.index(_SPAN // COEFFICIENTS), column)
        target = v.at(scratch.places, _number(v, reference.index, stage.size, rank.index))
        b.store(b.mul(place, v.index(COEFFICIENTS)), target)


@register_code
def _filter_groups(v: Vectors, stage: Any, scratch: Any, count: Any) -> None:
    with v.builder.if_else(stage.wiener) as (second, first):
        with second:
            _filter_all(v, stage, scratch, count, SECOND, attenuate_group)
        with first:
            _filter_all(v, stage, scratch, count, FIRST, shrink_group)


def _filter_all(
    v: Vectors, stage: Any, scratch: Any, count: Any, size: int, filter_group: Callable[[Vectors, Group], Any]
) -> None:
    """Filter groups of one size channel by channel, and add up the weights of their blocks."""
    b, values = v.builder, v.index(SHRINKAGE)
    with v.loop(v.index(0), stage.channels) as channel, v.loop(v.index(0), count) as reference:
        following = b.sub(count, v.index(1))
        is_last = b.icmp_signed("==", reference.index, following)
        following = b.select(is_last, following, v.offset(reference.index, 1))
        places, next_places = (v.at(scratch.places, b.mul(n, v.index(size))) for n in (reference.index, following))
        group = Group(
            scratch.blocks,
            scratch.basics,
            scratch.sums,
            places,
            next_places,
            b.mul(channel.index, v.index(RING * _SPAN)),
            scratch.held,
            v.at(stage.shrinkage, b.mul(channel.index, values)),
            v.load_scalar(stage.lift, channel.index),
        )
        weight = filter_group(v, group)
        with v.loop(v.index(0), v.index(size)) as rank:
            place = b.lshr(v.load_scalar(places, rank.index), v.index(_TO_WEIGHTS))
            total = v.at(scratch.weights, b.add(place, channel.index))
            b.store(v.add(b.load(total), weight), total)


@register_code
def _aggregate(v: Vectors, stage: Any, scratch: Any, line: Any) -> None:
    """Add one row of blocks to the rows of px that it covers."""
    row, b = v.index(POSITIONS * BLOCK), v.builder
    slot, held = _in_cycle(v, line, BLOCK), _in_cycle(v, line, RING)
    with v.loop(v.index(0), stage.channels) as loop:
        channel = loop.index
        column_inverse(
            v,
            scratch.sums,
            b.mul(_number(v, channel, v.index(RING), held), v.index(_SPAN)),
            scratch.weights,
            b.add(b.mul(held, v.index(POSITIONS * WEIGHTS)), channel),
            scratch.back,
            b.mul(channel, row),
            slot,
            b.mul(stage.channels, row),
            POSITIONS,
        )


@vector_code
def _give_away(v: Vectors, stage: Any, scratch: Any, line: Any, end: Any) -> None:
    """Add the weights of a row of blocks, and give away the rows of px that are complete with it."""
    b, slot = v.builder, _in_cycle(v, line, BLOCK)
    weights = b.mul(_in_cycle(v, line, RING), v.index(POSITIONS * WEIGHTS))
    spread_weights(v, scratch.weights, weights, scratch.back_weights, slot, v.index(_WEIGHT_ROW), POSITIONS)
    with v.loop(line, end) as loop:
        y, slot = loop.index, _in_cycle(v, loop.index, BLOCK)
        with v.loop(v.index(0), stage.channels) as c:
            source = b.mul(_number(v, slot, stage.channels, c.index), v.index(POSITIONS * BLOCK))
            target = b.mul(_number(v, c.index, stage.height, y), v.index(MARGIN))
            row_inverse(v, scratch.back, source, scratch.out, target, POSITIONS)
        source, target = b.mul(slot, v.index(_WEIGHT_ROW)), b.mul(y, v.index(MARGIN * WEIGHTS))
        gather_weights(v, scratch.back_weights, source, scratch.out_weights, target, POSITIONS)
