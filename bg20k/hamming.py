"""All pairs of 64-bit hashes that differ in few bits: exact, and far from quadratic.

Hashes within distance t, cut into m bands of bits, differ by at most t // m bits in one of the bands (pigeonhole). So a
band's values are sorted, and each run of equal values is compared with the runs whose value is up to t // m bits away:
whole runs lie side by side, and so do their neighbours, which is what caches like. Few hashes want many narrow bands
without such neighbours, many hashes want few wide bands: the number of bands with the least work is taken.
"""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rssn.kernels.compiling import compiled

Integers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

BITS = 64
_FEWEST = 3  # bands, of 22 bits at most: a table of their starts takes 32 MB
_NARROW = 8  # so many bands are looked at for any distance: few hashes take longest over tables for wide ones
_SAMPLE = 100_000  # hashes by which the others are judged
_EVEN = 0.22  # p (1 - p) of a bit that is set in a share p of hashes; above it bits discriminate about equally well
_VISIT = 0.5  # cost of visiting a run, in comparisons


class Bands(NamedTuple):
    """How hashes are cut."""

    edges: tuple[int, ...]  # the first bit of each band, and 64
    radius: int  # bits in which one of the bands may differ


def near_pairs(hashes: Hashes, distance: int) -> Integers:
    """All pairs of hashes that differ in at most `distance` bits; exact.

    Memory grows with n and the number of pairs found. Hashes that share the values of a band are compared with each
    other, so the bits are dealt to the bands first, see `spread_bits`. Pass distinct hashes to keep equal ones from
    costing n squared.

    Args:
        hashes: n 64-bit hashes.
        distance: 0 to 15.

    Returns:
        M x 2 positions, the smaller first, each pair once, in ascending order.
    """
    hashes = spread_bits(hashes)
    bands = choose_bands(hashes, distance)
    found = [_pairs_in_band(hashes, bands, band, distance) for band in range(len(bands.edges) - 1)]
    pairs = np.concatenate(found)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def near_owners(
    hashes: Hashes, owners: npt.NDArray[np.signedinteger[Any]], asking: npt.NDArray[np.bool_], distance: int, most: int
) -> npt.NDArray[np.uint64]:
    """Pairs of owners that have near hashes, where each owner has several and common hashes say nothing.

    Of two hashes one at least asks, and has at most `most` near ones of other owners: more, and it is a logo, a plain
    sky or a simple edge that thousands of photographs share. So there are at most `most` pairs for every hash that
    asks, and memory is bounded.

    Args:
        hashes: n 64-bit hashes.
        owners: n whole numbers of 0 or more, whose hash it is.
        asking: n truth values.
        distance: 0 to 15.
        most: 1 to 254.

    Returns:
        One number for each near pair of hashes, ascending: the smaller owner times 2**32, plus the larger one.
    """
    hashes = spread_bits(hashes)
    bands = choose_bands(hashes, distance)
    seen = np.zeros(hashes.size, np.uint8)
    found = np.empty(0, np.uint64)
    for last in (False, True):
        count = 0
        for band in range(len(bands.edges) - 1):
            order, starts, flips, below = _runs(hashes, bands, band)
            near = seen[order]
            arguments = (hashes[order], owners[order], asking[order], starts, flips, below, bands.radius, distance)
            count = _link_runs(*arguments, near, most, found, count, last)
            seen[order] = near
        if not last:
            found = np.empty(int(seen[asking & (seen <= most)].sum(dtype=np.int64)), np.uint64)
    found = found[:count]
    found.sort()
    return found


def spread_bits(hashes: Hashes) -> Hashes:
    """Permute the bits so that every band has its share of the discriminating ones; distances do not change.

    In real hashes some bits are nearly always the same. A band of such bits alone would compare everything.
    """
    sample = hashes[:: max(1, hashes.size // _SAMPLE)]
    ones = np.array([((sample >> np.uint64(bit)) & np.uint64(1)).mean() if sample.size else 0.5 for bit in range(BITS)])
    telling = ones * (1 - ones)
    if telling.min() > _EVEN:
        return hashes
    dealt = np.zeros_like(hashes)
    for rank, bit in enumerate(np.argsort(-telling, kind="stable").tolist()):
        place = int(f"{rank:06b}"[::-1], 2)  # ranks that follow each other come to lie far apart
        dealt |= ((hashes >> np.uint64(bit)) & np.uint64(1)) << np.uint64(place)
    return dealt


def choose_bands(hashes: Hashes, distance: int) -> Bands:
    """The cut with the least work: runs to visit, and comparisons as the hashes' own crowding makes them."""
    counts = range(_FEWEST, max(distance + 1, _NARROW) + 1)
    cuts = [Bands(tuple(BITS * band // count for band in range(count + 1)), distance // count) for count in counts]
    return min(cuts, key=lambda cut: _work(hashes, cut))


def _work(hashes: Hashes, bands: Bands) -> float:
    sample = hashes[:: max(1, hashes.size // _SAMPLE)]
    total = 0.0
    for band in range(len(bands.edges) - 1):
        width = bands.edges[band + 1] - bands.edges[band]
        near = sum(comb(width, bits) for bits in range(bands.radius + 1))
        runs = np.unique(_values(sample, bands, band), return_counts=True)[1].astype(np.float64)
        crowd = max(float((runs * runs).sum() - sample.size) / max(sample.size, 1) ** 2, 0.5**width)
        total += near * (_VISIT * 2.0**width + crowd * float(hashes.size) ** 2 / 2)
    return total


def _values(hashes: Hashes, bands: Bands, band: int) -> npt.NDArray[np.int32]:
    low, width = bands.edges[band], bands.edges[band + 1] - bands.edges[band]
    return ((hashes >> np.uint64(low)) & np.uint64((1 << width) - 1)).astype(np.int64)


def _pairs_in_band(hashes: Hashes, bands: Bands, band: int, distance: int) -> Integers:
    """Near pairs that are within the radius in this band and in no band below."""
    order, starts, flips, below = _runs(hashes, bands, band)
    found = np.empty((1024, 2), dtype=np.int64)
    arguments = (hashes[order], order, starts, flips, below, bands.radius, distance)
    while (count := _compare_runs(*arguments, found)) > len(found):
        found = np.empty((count, 2), dtype=np.int64)
    return found[:count]


def _runs(hashes: Hashes, bands: Bands, band: int) -> tuple[npt.NDArray[np.int32], Integers, Integers, Hashes]:
    """How the hashes lie in a band.

    Returns:
        Their order by their values, the start of each value's run, the flips that lead from a run to those within the
        radius, and the masks of the bands below.
    """
    width = bands.edges[band + 1] - bands.edges[band]
    values = _values(hashes, bands, band)
    order = np.argsort(values, kind="stable").astype(np.int32)  # half the memory
    starts = np.concatenate([[0], np.cumsum(np.bincount(values, minlength=1 << width))]).astype(np.int64)
    flips = np.array(
        [
            sum(1 << bit for bit in bits)
            for size in range(bands.radius + 1)
            for bits in combinations(range(width), size)
        ],
        dtype=np.int64,
    )
    below = np.array([_mask(bands.edges[n], bands.edges[n + 1]) for n in range(band)], dtype=np.uint64)
    return order, starts, flips, below


def _mask(low: int, high: int) -> int:
    return (1 << high) - (1 << low)


@compiled
def _compare_runs(
    hashes: Any, order: Any, starts: Any, flips: Any, below: Any, radius: int, distance: int, found: Any
) -> int:
    """Compare each run with those a flip away; returns how many pairs there are, of which `found` holds the first."""
    count = 0
    for flip in flips:
        for value in range(len(starts) - 1):
            other = value ^ flip
            if other < value or starts[value] == starts[value + 1]:
                continue
            for i in range(starts[value], starts[value + 1]):
                for j in range(i + 1 if flip == 0 else starts[other], starts[other + 1]):
                    if _is_near(hashes[i] ^ hashes[j], below, radius, distance):
                        if count < len(found):
                            found[count, 0] = min(order[i], order[j])
                            found[count, 1] = max(order[i], order[j])
                        count += 1
    return count


@compiled
def _link_runs(
    hashes: Any,
    owners: Any,
    asking: Any,
    starts: Any,
    flips: Any,
    below: Any,
    radius: int,
    distance: int,
    seen: Any,
    most: int,
    found: Any,
    count: int,
    last: bool,
) -> int:
    """First count in `seen` how many near ones each hash has, up to one more than `most`; at `last` note the pairs.

    A hash is open while it asks and is not common yet. Pairs of which none is open are not visited: so a hash that n
    owners share costs some n comparisons, not n squared.
    """
    waiting = np.empty(np.max(starts[1:] - starts[:-1]), np.int32)
    for flip in flips:
        for value in range(len(starts) - 1):
            other = value ^ flip
            if other < value or starts[value] == starts[value + 1]:
                continue
            left = _open_ones(asking, seen, most, starts[other], starts[other + 1], waiting)
            for i in range(starts[value], starts[value + 1]):
                first = i + 1 if flip == 0 else starts[other]
                if asking[i] and seen[i] <= most:
                    for j in range(first, starts[other + 1]):
                        if _is_near(hashes[i] ^ hashes[j], below, radius, distance):
                            count = _link(i, j, owners, seen, most, found, count, last)
                else:
                    left = _still_open(seen, most, first, waiting, left)
                    for j in waiting[:left]:
                        if _is_near(hashes[i] ^ hashes[j], below, radius, distance):
                            count = _link(i, j, owners, seen, most, found, count, last)
    return count


@compiled
def _is_near(apart: Any, below: Any, radius: int, distance: int) -> bool:
    """Whether so many bits differ, and no band below has found the two."""
    return count_ones(apart) <= distance and _first_time(apart, below, radius)


@compiled
def _still_open(seen: Any, most: int, first: int, waiting: Any, left: int) -> int:
    """Take out of the open ones what has become common, and what lies before `first`; returns how many are left."""
    kept = 0
    for j in waiting[:left]:
        if j >= first and seen[j] <= most:
            waiting[kept] = j
            kept += 1
    return kept


@compiled
def _link(i: int, j: int, owners: Any, seen: Any, most: int, found: Any, count: int, last: bool) -> int:
    """Count or note two near hashes, if they are of two owners; returns how many are noted."""
    if owners[i] == owners[j]:
        return count
    if not last:
        seen[i] = min(seen[i] + 1, most + 1)
        seen[j] = min(seen[j] + 1, most + 1)
        return count
    low, high = min(owners[i], owners[j]), max(owners[i], owners[j])
    found[count] = (np.uint64(low) << np.uint64(32)) | np.uint64(high)
    return count + 1


@compiled
def _open_ones(asking: Any, seen: Any, most: int, start: int, stop: int, waiting: Any) -> int:
    """Note which hashes of a run are open, see `_link_runs`; returns how many."""
    count = 0
    for place in range(start, stop):
        if asking[place] and seen[place] <= most:
            waiting[count] = place
            count += 1
    return count


@compiled
def _first_time(apart: Any, below: Any, radius: int) -> bool:
    for mask in below:  # noqa: SIM110  (numba knows no generators)
        if count_ones(apart & mask) <= radius:
            return False
    return True


@compiled
def count_ones(bits: Any) -> int:
    """How many bits are set; LLVM makes one instruction of it where the processor has one."""
    ones = 0
    while bits:
        bits &= bits - np.uint64(1)
        ones += 1
    return ones
