"""One stage of BM3D over a tile: thirty references wide, from the top of the image to its bottom.

Only 42 rows of blocks are held, as 16-bit coefficients, with the sums that groups add to them: about 8 MB a tile, so
that nearly all of it stays in the second and third cache. A row of references makes the rows of blocks that its search
reaches, filters its groups channel by channel while the next group's cache lines are on their way, and hands the rows
that no later reference reaches to the way back.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rssn.kernels.bm3d.groups import attenuate_group, shrink_group
from rssn.kernels.bm3d.matching import (
    BAND,
    BLOCK,
    LABEL_BITS,
    REACH,
    REFERENCES,
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
from rssn.kernels.compiling import compiled, inlined
from rssn.kernels.simd import LANES, aligned_together

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
    shrinkage: Any  # C x 6: thresholds, or variances of the noise, by the Haar transform's power of two
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
            _make_blocks(stage, scratch, left, made, reached)
            made = reached + 1
            _place_groups(stage, scratch, row, y, first * STEP - left, count)
            for channel in range(stage.channels):
                _filter_groups(stage, scratch, channel, count)
            until = y + STEP - REACH if y + STEP <= last else last + 1
            for line in range(aggregated, until):
                _aggregate(stage, scratch, line)
            aggregated = max(aggregated, until)


@inlined
def _keep_matches(stage: Any, scratch: Any, count: int) -> None:
    """From [row, vector, rank, lane] to [row, reference, rank]."""
    best = scratch.matching[3]
    for row in range(BAND):
        for lane in range(count):
            target = (row * REFERENCES + lane) * stage.size
            source = (row * 2 + lane // LANES) * stage.size * LANES + lane % LANES
            for rank in range(stage.size):
                scratch.matches[target + rank] = best[source + rank * LANES]


@inlined
def _make_blocks(stage: Any, scratch: Any, left: int, first: int, last: int) -> None:
    """Transform rows of blocks `first` to `last`; the rows of px above are in the ring already."""
    row_size = stage.channels * POSITIONS * BLOCK
    for y in range(first, last + 1):
        for line in range(0 if y == 0 else y + BLOCK - 1, y + BLOCK):
            for channel in range(stage.channels):
                target = ((line % BLOCK) * stage.channels + channel) * POSITIONS * BLOCK
                source = (channel * stage.height + line) * stage.width + left
                row_forward(stage.noisy, source, scratch.rows, target, POSITIONS)
                if stage.wiener:
                    row_forward(stage.basic, source, scratch.rows_basic, target, POSITIONS)
        for channel in range(stage.channels):
            source = channel * POSITIONS * BLOCK
            target = (channel * RING + y % RING) * _SPAN
            column_forward(scratch.rows, source, y % BLOCK, row_size, scratch.blocks, target, POSITIONS)
            if stage.wiener:
                column_forward(scratch.rows_basic, source, y % BLOCK, row_size, scratch.basics, target, POSITIONS)


@inlined
def _place_groups(stage: Any, scratch: Any, row: int, y: int, x: int, count: int) -> None:
    """Where the blocks of each group lie in the ring; where fewer are in reach, the reference fills the group up."""
    for reference in range(count):
        found = (row * REFERENCES + reference) * stage.size
        for rank in range(stage.size):
            match = scratch.matches[found + rank]
            label = match & ((1 << LABEL_BITS) - 1) if match < stage.limit else 0
            line = (y + stage.moves[label, 0]) % RING
            column = x + reference * STEP + stage.moves[label, 1]
            scratch.places[reference, rank] = line * _SPAN + column * COEFFICIENTS


@inlined
def _filter_groups(stage: Any, scratch: Any, channel: int, count: int) -> None:
    shift = channel * RING * _SPAN
    lift = stage.lift[channel]
    shrinkage = stage.shrinkage[channel]
    blocks, basics, sums, held = scratch.blocks, scratch.basics, scratch.sums, scratch.held
    for reference in range(count):
        places = scratch.places[reference]
        following = scratch.places[min(reference + 1, count - 1)]
        if stage.wiener:
            weight = attenuate_group(blocks, basics, sums, places, following, shift, held, shrinkage, lift)
        else:
            weight = shrink_group(blocks, sums, places, following, shift, held, shrinkage, lift)
        for rank in range(stage.size):
            scratch.weights[(places[rank] >> _TO_WEIGHTS) + channel] += weight


@inlined
def _aggregate(stage: Any, scratch: Any, line: int) -> None:
    """Add one row of blocks, and give away the rows of px that are complete with it."""
    row_size = stage.channels * POSITIONS * BLOCK
    slot = line % BLOCK
    weights = (line % RING) * POSITIONS * WEIGHTS
    for channel in range(stage.channels):
        source = (channel * RING + line % RING) * _SPAN
        target = channel * POSITIONS * BLOCK
        column_inverse(
            scratch.sums, source, scratch.weights, weights + channel, scratch.back, target, slot, row_size, POSITIONS
        )
    spread_weights(scratch.weights, weights, scratch.back_weights, slot, _WEIGHT_ROW, POSITIONS)
    bottom = line == stage.height - BLOCK
    for y in range(line, stage.height if bottom else line + 1):
        for channel in range(stage.channels):
            source = ((y % BLOCK) * stage.channels + channel) * POSITIONS * BLOCK
            row_inverse(scratch.back, source, scratch.out, (channel * stage.height + y) * MARGIN, POSITIONS)
        gather_weights(
            scratch.back_weights, (y % BLOCK) * _WEIGHT_ROW, scratch.out_weights, y * MARGIN * WEIGHTS, POSITIONS
        )
