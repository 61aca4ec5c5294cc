"""Block matching of BM3D: the most similar blocks of a 39 x 39 search for each reference (Dabov et al. 2007, III-A).

Sixteen neighbouring reference blocks, three px apart, are sixteen lanes. The image is split into three planes of
columns (x mod 3), so that what they need lies side by side. Squared differences are summed over three rows and shared
by the references above one another (four rows of references need 17 rows of px, not 32); the sums over columns are put
together from neighbouring lanes. Three neighbouring offsets share their loads.

A candidate is one int: the bits of its distance with the last eleven replaced by its offset's label. Positive floats
order as ints do, so that the best are found with integers, and sorting needs only minima and maxima, no branches:
sixteen candidates are sorted by a network and merged into the sorted list of the best. Most of the time none of the
sixteen is better than the worst of the list, and nothing is done.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rssn.kernels.simd import LANES, Vectors, aligned, compiled, vector_code, vector_code_for

BLOCK = 8
STEP = 3
REACH = 19  # the search is 39 x 39
SIDE = 2 * REACH + 1
BAND = 4  # rows of references matched together
REFERENCES = 30  # neighbouring references matched together: two vectors, less the lanes that look at their neighbours
WIDTH = 2 * LANES
LABEL_BITS = 11
PLANES = STEP + 2  # columns that three neighbouring offsets look at

_ROWS = (BAND - 1) * STEP + BLOCK
_SLOTS = LANES + 2  # candidates that wait for a merge
_TOP = REACH  # rows above the image in the planes
_LEFT = 8  # lanes left of it
_FAR = 1e4  # a value outside the image: no block with it is ever near
_WORST = 0x7F7FFFFF  # the bits of the largest float


def phase_planes(luma: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Split an image into planes of every third column, with a margin of far values.

    Args:
        luma: H x W float32.

    Returns:
        The planes, flat; the distance between rows, and between planes, in elements.
    """
    height, width = luma.shape
    lanes = -(-width // STEP)
    columns = _LEFT + lanes + WIDTH + _LEFT
    rows = _TOP + height + REACH + _ROWS
    flat = aligned(STEP * rows * columns)
    flat[:] = _FAR
    planes = flat[: STEP * rows * columns].reshape(STEP, rows, columns)
    for phase in range(STEP):
        part = luma[:, phase::STEP]
        planes[phase, _TOP : _TOP + height, _LEFT : _LEFT + part.shape[1]] = part
    return flat, columns, rows * columns


def offsets() -> tuple[np.ndarray, np.ndarray]:
    """Labels of all offsets, and the offsets by label.

    Returns:
        Labels in the order of the search (third of dx, dy, dx within the third), int32; and (dy, dx) by label, the
        nearest offset first, N x 2 int64.
    """
    found = [(dy, 3 * third - 1 + r) for third in range(-6, 7) for dy in range(-REACH, REACH + 1) for r in range(3)]
    order = sorted(range(len(found)), key=lambda n: (found[n][0] ** 2 + found[n][1] ** 2, found[n]))
    labels = np.empty(len(found), dtype=np.int32)
    labels[order] = np.arange(len(found), dtype=np.int32)
    return labels, np.array([found[n] for n in order], dtype=np.int64)


def matching_buffers(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Buffers of `match_band`: px of the references, px of the candidates, waiting candidates, best candidates."""
    references = aligned(_ROWS * STEP * WIDTH)
    candidates = aligned((_ROWS + SIDE - 1) * PLANES * WIDTH)
    waiting = aligned(BAND * 2 * _SLOTS * LANES, np.int32)
    best = aligned(BAND * 2 * size * LANES, np.int32)
    return references, candidates, waiting, best


@vector_code
def _distances(
    v: Vectors,
    references: Any,
    candidates: Any,
    start: Any,
    waiting: Any,
    slot: Any,
    labels: Any,
    penalties: Any,
    first: Any,
) -> None:
    """Distances of three offsets (one dy, three dx) to 4 x 32 references, as candidates in three slots."""
    sums = [_vertical_sums(v, references, candidates, start, part) for part in range(2)]
    for r in range(3):
        label = v.splat(v.load_scalar(labels, v.offset(first, r)))
        penalty = v.splat(v.load_scalar(penalties, v.offset(first, r)))
        for row in range(BAND):
            two = [sums[part][r][row][0] for part in range(2)]  # squared differences in columns 0 and 1
            three = [v.add(sums[part][r][row][1], two[part]) for part in range(2)]  # in columns 0, 1 and 2
            for part in range(2):
                last = min(part + 1, 1)
                right = v.shuffle(three[part], three[last], range(1, LANES + 1))
                beyond = v.shuffle(two[part], two[last], range(2, LANES + 2))
                distance = v.add(v.add(three[part], right), v.add(beyond, penalty))
                bits = v.builder.and_(v.as_ints(distance), v.whole(-(1 << LABEL_BITS)))
                where = v.offset(v.builder.mul(slot, v.index(LANES)), ((row * 2 + part) * _SLOTS + r) * LANES)
                v.store(v.builder.or_(bits, label), waiting, where)


def _vertical_sums(v: Vectors, references: Any, candidates: Any, start: Any, part: int) -> list[list[tuple[Any, Any]]]:
    """For three offsets and four rows of references: squared differences over eight rows, columns 0 + 1 and 2 apart."""
    running: list[list[Any]] = [[None, None] for _ in range(3)]
    found: list[list[Any]] = [[[None, None] for _ in range(BAND)] for _ in range(3)]
    for row in range(_ROWS):
        group, within = divmod(row, STEP)
        here = [v.load(references, (row * STEP + phase) * WIDTH + part * LANES) for phase in range(STEP)]
        there = [
            v.load(candidates, v.offset(start, (row * PLANES + plane) * WIDTH + part * LANES))
            for plane in range(PLANES)
        ]
        for r in range(3):
            apart = [v.subtract(here[phase], there[r + phase]) for phase in range(STEP)]
            if within == 0:
                running[r] = [v.multiply(apart[0], apart[0]), v.multiply(apart[2], apart[2])]
            else:
                running[r] = [
                    v.multiply_add(apart[0], apart[0], running[r][0]),
                    v.multiply_add(apart[2], apart[2], running[r][1]),
                ]
            running[r][0] = v.multiply_add(apart[1], apart[1], running[r][0])
            targets = {2: (group - 1, group), 1: (group - 2,)}.get(within, ())
            for target in targets:
                if 0 <= target < BAND:
                    held = found[r][target]
                    found[r][target] = [
                        running[r][n] if held[n] is None else v.add(held[n], running[r][n]) for n in range(2)
                    ]
    return [[(pair[0], pair[1]) for pair in rows] for rows in found]


@compiled
def match_band(stage: Any, buffers: Any, y: int, first: int) -> None:
    """Match 4 rows of 30 references: from row y and reference column `first` (px 3 `first`) on.

    Args:
        stage: Has `planes`, `stride`, `plane`, `labels`, `penalties`, `limit`, `size`; see `tiles.Stage`.
        buffers: See `matching_buffers`. The best candidates are left in the last: [row, vector, rank, lane], sorted;
            where there are fewer, the rest is `limit`. References beyond the image give values without meaning.
        y: Row of the first references.
        first: Column of the first reference, in references.
    """
    references, candidates, waiting, best = buffers
    for row in range(_ROWS):
        for phase in range(STEP):
            source = phase * stage.plane + (y + row + _TOP) * stage.stride + first + _LEFT
            _copy_lanes(stage.planes, source, references, (row * STEP + phase) * WIDTH)
    best[: BAND * 2 * stage.size * LANES] = stage.limit
    count, number = 0, 0
    for third in range(-6, 7):
        _load_candidates(stage, candidates, y, first + third)
        for dy in range(SIDE):
            start = dy * PLANES * WIDTH
            _distances(references, candidates, start, waiting, count, stage.labels, stage.penalties, number)
            number += STEP
            count += STEP
            if count >= LANES:
                _merge_all(waiting, best, stage.size, count)
                count -= LANES
    for group in range(BAND * 2):
        waiting[(group * _SLOTS + count) * LANES : (group * _SLOTS + LANES) * LANES] = _WORST
    _merge_all(waiting, best, stage.size, LANES)


@compiled
def _load_candidates(stage: Any, candidates: Any, y: int, lane: int) -> None:
    """Rows above, beside and below the references, for three offsets: columns -1 to 3 of each lane."""
    for row in range(_ROWS + SIDE - 1):
        for part in range(PLANES):
            phase = (part + 2) % STEP
            shifted = lane - 1 if part == 0 else (lane + 1 if part == PLANES - 1 else lane)
            source = phase * stage.plane + (y + row) * stage.stride + shifted + _LEFT
            _copy_lanes(stage.planes, source, candidates, (row * PLANES + part) * WIDTH)


@compiled
def _copy_lanes(planes: Any, source: int, target: Any, start: int) -> None:
    for lane in range(WIDTH):
        target[start + lane] = planes[source + lane]


@compiled
def _merge_all(waiting: Any, best: Any, size: int, count: int) -> None:
    """Merge the first sixteen waiting candidates of all groups; those beyond move to the front."""
    for group in range(BAND * 2):
        start = group * _SLOTS * LANES
        _merge(size, waiting, start, best, group * size * LANES)
        for n in range((count - LANES) * LANES):
            waiting[start + n] = waiting[start + LANES * LANES + n]


@vector_code_for(16, 32)
def _merge(v: Vectors, size: int, waiting: Any, start: Any, best: Any, place: Any) -> None:
    """Merge sixteen waiting candidates into the best 16 or 32, lane by lane."""
    fresh = [v.load(waiting, v.offset(start, n * LANES), ints=True) for n in range(LANES)]
    lowest = fresh
    while len(lowest) > 1:
        lowest = [v.smaller(lowest[n], lowest[n + 1]) for n in range(0, len(lowest), 2)]
    worst = v.load(best, v.offset(place, (size - 1) * LANES), ints=True)
    with v.builder.if_then(v.any_below(lowest[0], worst)):
        for low, high in _sorting_network(LANES):
            _exchange(v, fresh, low, high)
        held = [v.load(best, v.offset(place, n * LANES), ints=True) for n in range(size)]
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
