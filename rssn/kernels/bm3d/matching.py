"""Block matching of BM3D: the most similar blocks of a 39 x 39 search for each reference (Dabov et al. 2007, III-A).

Neighbouring reference blocks, three px apart, are neighbouring lanes. The image is split into three planes of columns
(x mod 3), so that what they need lies side by side, in quarters of a grey level as 16-bit ints: two px make a pair, of
which one instruction of most processors sums the squares. Sums of whole numbers are exact in any order. Squared
differences are summed over three rows and shared by the references above one another (four rows of references need 17
rows of px, not 32); the sums over columns are put together from neighbouring lanes.

A candidate is one int: the bits of its distance, as a float, with the last eleven replaced by its offset's label.
Positive floats order as ints do, so that the best are found with integers, and sorting needs only minima and maxima, no
branches: sixteen candidates are sorted by a network and merged into the sorted list of the best. Where none of the
sixteen is better than the worst of the list, nothing is done.
"""

from __future__ import annotations

from functools import cache, reduce
from typing import Any

import numpy as np

from rssn.kernels.compiling import inlined
from rssn.kernels.intrinsics import register_code, vector_code
from rssn.kernels.simd import INT, LANES, Vectors, aligned

BLOCK = 8
FIRST, SECOND = 16, 32
"""Blocks of a group in stage 1 and in stage 2."""
STEP = 3
REACH = 19  # the search is 39 x 39
SIDE = 2 * REACH + 1
BAND = 4  # rows of references matched together
REFERENCES = 30  # neighbouring references matched together: two vectors, less the lanes that look at their neighbours
WIDTH = 2 * LANES
LABEL_BITS = 11
LEVELS = 4  # whole numbers to a grey level
LIMIT = 1.05e8
"""Squared distances, in whole numbers, from here on are no candidate's: those of all blocks that leave the image, and
of those inside that differ by 320 grey levels in every px, of 441 that are possible."""

_THIRDS = (0, -1, 1, -2, 2, -3, 3, -4, 4, -5, 5, -6, 6)
"""Thirds of dx in the order of the search: once the nearest are found, few of the others are better."""
_ROWS = (BAND - 1) * STEP + BLOCK
_TOP = REACH  # rows above the image in the planes
_LEFT = 8  # lanes left of it
_FAR = 4700  # outside the image: eight such px are beyond the limit, and 64 are below 2^31
_WORST = 0x7F7FFFFF  # the bits of the largest float
_PAIRS = 2 * WIDTH  # 16-bit ints of a row of pairs
_REFERENCE_ROW = 2 * _PAIRS  # columns 0 and 1; column 2 in this row and the next
_CANDIDATE_ROW = 2 * STEP * _PAIRS  # the same for three neighbouring offsets


def phase_planes(luma: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Split an image into planes of every third column, with a margin of far values.

    Args:
        luma: H x W float32, 8-bit units, in [-250, 250].

    Returns:
        The planes, flat, 16-bit ints; the distance between rows, and between planes, in elements.
    """
    height, width = luma.shape
    lanes = -(-width // STEP)
    columns = _LEFT + lanes + WIDTH + _LEFT
    rows = _TOP + height + REACH + _ROWS
    flat = aligned(STEP * rows * columns, np.int16)
    flat[:] = _FAR
    planes = flat[: STEP * rows * columns].reshape(STEP, rows, columns)
    for phase in range(STEP):
        part = luma[:, phase::STEP]
        planes[phase, _TOP : _TOP + height, _LEFT : _LEFT + part.shape[1]] = np.rint(part * np.float32(LEVELS))
    return flat, columns, rows * columns


def offsets() -> tuple[np.ndarray, np.ndarray]:
    """Labels of all offsets, and the offsets by label.

    Returns:
        Labels in the order of the search (third of dx, dy, dx within the third), int32; and (dy, dx) by label, the
        nearest offset first, N x 2 int64.
    """
    found = [(dy, 3 * third - 1 + r) for third in _THIRDS for dy in range(-REACH, REACH + 1) for r in range(3)]
    order = sorted(range(len(found)), key=lambda n: (found[n][0] ** 2 + found[n][1] ** 2, found[n]))
    labels = np.empty(len(found), dtype=np.int32)
    labels[order] = np.arange(len(found), dtype=np.int32)
    return labels, np.array([found[n] for n in order], dtype=np.int64)


def matching_buffers(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Buffers of `match_band`: px of the references, px of the candidates, waiting candidates, best candidates."""
    references = aligned(_ROWS * _REFERENCE_ROW, np.int16)
    candidates = aligned((_ROWS + SIDE - 1) * _CANDIDATE_ROW, np.int16)
    waiting = aligned(BAND * 2 * LANES * LANES, np.int32)
    best = aligned(BAND * 2 * size * LANES, np.int32)
    return references, candidates, waiting, best


def _distances(
    v: Vectors,
    references: Any,
    candidates: Any,
    start: Any,
    waiting: Any,
    slot: Any,
    labels: Any,
    penalties: Any,
    n: Any,
) -> None:
    """Distances of the n-th offset to 4 x 32 references, as candidates in a slot."""
    label, penalty = v.splat(v.load_scalar(labels, n)), v.splat(v.load_scalar(penalties, n))
    after: list[tuple[Any, Any]] = []
    for first in reversed(range(0, WIDTH, v.lanes)):
        here = _vertical_sums(v, references, candidates, start, first)
        for row, (three, two) in enumerate(here):
            next_three, next_two = after[row] if after else (three, two)
            right = v.shuffle(three, next_three, range(1, v.lanes + 1))
            beyond = v.shuffle(two, next_two, range(2, v.lanes + 2))
            whole = v.builder.add(v.builder.add(three, right), beyond)
            bits = v.as_ints(v.add(v.to_float(whole), penalty))
            kept = v.builder.and_(bits, v.whole(-(1 << LABEL_BITS)))
            part, lane = divmod(first, LANES)
            place = v.offset(v.builder.mul(slot, v.index(LANES)), (row * 2 + part) * LANES * LANES + lane)
            v.store(v.builder.or_(kept, label), waiting, place)
        after = here


def _vertical_sums(v: Vectors, references: Any, candidates: Any, start: Any, first: int) -> list[tuple[Any, Any]]:
    """For four rows of references: squared differences over eight rows, in columns 0 to 2, and in 0 and 1 alone."""

    @cache
    def squares(row: int, kind: int) -> Any:
        here = v.load_pairs(references, v.index(row * _REFERENCE_ROW + kind * _PAIRS + 2 * first))
        there = v.load_pairs(candidates, v.offset(start, row * _CANDIDATE_ROW + kind * STEP * _PAIRS + 2 * first))
        return v.sum_of_squares(v.builder.sub(here, there))

    def total(*values: Any) -> Any:
        return reduce(v.builder.add, values)

    found: list[tuple[Any, Any]] = []
    thirds: list[Any] = []
    for row in range(0, _ROWS, STEP):
        pair = total(squares(row, 0), squares(row + 1, 0))
        if len(thirds) >= 2:
            top = row - 2 * STEP
            two = total(*thirds[-2:], pair)
            found.append((total(two, *(squares(top + n, 1) for n in range(0, BLOCK, 2))), two))
        if row + 2 < _ROWS:
            thirds.append(total(pair, squares(row + 2, 0)))
    return found


@inlined
def match_band(stage: Any, buffers: Any, y: int, first: int) -> None:
    """Match 4 rows of 30 references: from row y and reference column `first` (px 3 `first`) on.

    Args:
        stage: Has `planes`, `stride`, `plane`, `labels`, `penalties`, `limit`, `size`; see `tiles.Stage`.
        buffers: See `matching_buffers`. The best candidates are left in the last: [row, vector, rank, lane], sorted;
            where there are fewer, the rest is `limit`. References beyond the image give values without meaning.
        y: Row of the first references.
        first: Column of the first reference, in references.
    """
    _load_references(stage, buffers, y, first)
    for turn, third in enumerate(_THIRDS):
        _load_candidates(stage, buffers, y, first + third)
        _search(stage, buffers, turn)


@vector_code
def _load_references(v: Vectors, stage: Any, buffers: Any, y: Any, lane: Any) -> None:
    """Rows of the references; the best of each are none."""
    references, _, _, best = buffers
    with v.loop(v.index(0), v.index(_ROWS)) as loop:
        source, columns = _columns(v, stage, v.offset(v.builder.add(y, loop.index), _TOP), lane)
        target = v.builder.mul(loop.index, v.index(_REFERENCE_ROW))
        _pair(v, stage.planes, source, columns[1], references, target)
        below = v.builder.add(columns[2], stage.stride)
        _pair(v, stage.planes, columns[2], below, references, v.offset(target, _PAIRS))
    none = v.splat(v.builder.trunc(stage.limit, INT))
    with v.loop(v.index(0), v.builder.mul(stage.size, v.index(BAND * 2))) as loop:
        v.store(none, best, v.builder.mul(loop.index, v.index(LANES)))


@vector_code
def _load_candidates(v: Vectors, stage: Any, buffers: Any, y: Any, lane: Any) -> None:
    """Rows above, beside and below the references, for three offsets: columns -1 to 3 of each lane."""
    candidates = buffers[1]
    with v.loop(v.index(0), v.index(_ROWS + SIDE - 1)) as loop:
        source, thirds = _columns(v, stage, v.builder.add(y, loop.index), lane)
        target = v.builder.mul(loop.index, v.index(_CANDIDATE_ROW))
        columns = (v.offset(thirds[2], -1), *thirds, v.offset(source, 1))
        for r in range(STEP):
            _pair(v, stage.planes, columns[r], columns[r + 1], candidates, v.offset(target, r * _PAIRS))
            below = v.builder.add(columns[r + 2], stage.stride)
            _pair(v, stage.planes, columns[r + 2], below, candidates, v.offset(target, (STEP + r) * _PAIRS))


def _columns(v: Vectors, stage: Any, row: Any, lane: Any) -> tuple[Any, list[Any]]:
    """Where a lane is in the first plane, and in all three."""
    source = v.builder.add(v.builder.mul(row, stage.stride), v.offset(lane, _LEFT))
    return source, [v.builder.add(source, v.builder.mul(stage.plane, v.index(n))) for n in range(STEP)]


def _pair(v: Vectors, planes: Any, first: Any, second: Any, target: Any, start: Any) -> None:
    """Pairs of px from two rows of 32."""
    for lane in range(0, WIDTH, LANES):
        v.interleave(planes, v.offset(first, lane), v.offset(second, lane), target, v.offset(start, 2 * lane))


@register_code
def _search(v: Vectors, stage: Any, buffers: Any, turn: Any) -> None:
    """Compare with the blocks of three columns, one turn; sixteen candidates of a reference wait to be merged."""
    references, candidates, waiting, best = buffers
    b, each = v.builder, v.index(SIDE * STEP)
    with v.loop(v.index(0), each) as loop:
        number = b.add(b.mul(turn, each), loop.index)
        row, r = b.udiv(loop.index, v.index(STEP)), b.urem(loop.index, v.index(STEP))
        start = b.add(b.mul(row, v.index(_CANDIDATE_ROW)), b.mul(r, v.index(_PAIRS)))
        slot = b.urem(number, v.index(LANES))
        _distances(v, references, candidates, start, waiting, slot, stage.labels, stage.penalties, number)
        is_last = b.icmp_signed("==", number, v.index(len(_THIRDS) * SIDE * STEP - 1))
        with b.if_then(is_last):
            _fill_up(v, waiting, v.offset(slot, 1))
        with b.if_then(b.or_(is_last, b.icmp_signed("==", slot, v.index(LANES - 1)))):
            _merge_all(v, waiting, best, stage.size)


def _fill_up(v: Vectors, waiting: Any, slot: Any) -> None:
    """Let the worst wait in all slots from this one on."""
    with v.loop(slot, v.index(LANES)) as loop:
        for group in range(BAND * 2):
            place = v.builder.mul(v.offset(loop.index, group * LANES), v.index(LANES))
            for lane in range(0, LANES, v.lanes):
                v.store(v.whole(_WORST), waiting, v.offset(place, lane))


def _merge_all(v: Vectors, waiting: Any, best: Any, size: Any) -> None:
    """Merge the sixteen waiting candidates of all references."""
    b, parts = v.builder, v.index(LANES // v.lanes)
    for known in (FIRST, SECOND):
        with (
            b.if_then(b.icmp_signed("==", size, v.index(known))),
            v.loop(v.index(0), b.mul(parts, v.index(BAND * 2))) as loop,
        ):
            group = b.udiv(loop.index, parts)
            lane = b.mul(b.urem(loop.index, parts), v.index(v.lanes))
            start, place = (b.add(b.mul(group, v.index(rows * LANES)), lane) for rows in (LANES, known))
            _merge(v, known, waiting, start, best, place)


def _merge(v: Vectors, size: int, waiting: Any, start: Any, best: Any, place: Any) -> None:
    """Merge sixteen waiting candidates into the best 16 or 32, lane by lane."""
    fresh = [v.load(waiting, v.offset(start, n * LANES), of=INT) for n in range(LANES)]
    lowest = fresh
    while len(lowest) > 1:
        lowest = [v.smaller(lowest[n], lowest[n + 1]) for n in range(0, len(lowest), 2)]
    worst = v.load(best, v.offset(place, (size - 1) * LANES), of=INT)
    with v.builder.if_then(v.any_below(lowest[0], worst)):
        for low, high in _sorting_network(LANES):
            _exchange(v, fresh, low, high)
        held = [v.load(best, v.offset(place, n * LANES), of=INT) for n in range(size)]
        for n in range(LANES):  # the lower half of held, followed by fresh backwards: a bitonic sequence
            held[size - 1 - n] = v.smaller(held[size - 1 - n], fresh[n])
        width = size // 2
        while width:
            for n in range(size):
                if not n & width:
                    _exchange(v, held, n, n + width)
            width //= 2
        for n in range(size):
            v.store(held[n], best, v.offset(place, n * LANES))


def _exchange(v: Vectors, values: list[Any], low: int, high: int) -> None:
    values[low], values[high] = v.smaller(values[low], values[high]), v.larger(values[low], values[high])


def _sorting_network(size: int) -> list[tuple[int, int]]:
    """Batcher's merge exchange: pairs to compare, in order."""
    pairs = []
    p = 1
    while p < size:
        k = p
        while k >= 1:
            for j in range(k % p, size - k, 2 * k):
                low = [i for i in range(j, j + min(k, size - j - k)) if i // (2 * p) == (i + k) // (2 * p)]
                pairs += [(i, i + k) for i in low]
            k //= 2
        p *= 2
    return pairs
