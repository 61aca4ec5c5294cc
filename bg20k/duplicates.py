"""Exact and near duplicates of a whole crawl, from columns of numbers.

The Hamming search is exact. Hashes within distance t agree in at least one of t + 1 bands of bits (pigeonhole), so
only hashes that share a band are compared; for 50,000 photographs that is one pair in a hundred.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count, pairwise

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FingerprintColumns:
    """Fingerprints of n photographs as columns of equal length.

    Attributes:
        ids: Content ids.
        sources: Paths or URLs; they rank copies of equal bytes and nothing else.
        areas: Pixels of the source.
        sharpness: Variance of the Laplacian, see `Fingerprint`.
        phashes: 64-bit perceptual hashes.
        flat: True where the perceptual hash means nothing.
    """

    ids: npt.NDArray[np.str_]
    sources: npt.NDArray[np.str_]
    areas: Integers
    sharpness: npt.NDArray[np.float64]
    phashes: Hashes
    flat: npt.NDArray[np.bool_]


def find_duplicates(columns: FingerprintColumns, distance: int) -> Integers:
    """Assign every photograph to its keeper.

    Photographs are ranked: largest source first, then sharpest, then smallest content id, then smallest source. In
    that order, each one that is no duplicate yet becomes a keeper and claims all that are within `distance` of it and
    not yet claimed. This equals: cluster by single link, keep the best of each cluster, verify its members against it,
    and cluster those that are too far away again. So every duplicate is within `distance` of its own keeper, chains
    do not merge strangers, and the result does not depend on the order of the rows.

    Equal content ids are duplicates always; flat photographs have no other duplicates.

    Args:
        columns: Fingerprints of n photographs.
        distance: Largest number of differing bits, 0 to 15.

    Returns:
        n positions; `keeper[i]` is the row that is kept for row i, `keeper[i] == i` for keepers.
    """
    best_first = np.lexsort((columns.sources, columns.ids, -columns.sharpness, -columns.areas))
    hashes, flat = columns.phashes[best_first], columns.flat[best_first]

    _, first, same = np.unique(columns.ids[best_first], return_index=True, return_inverse=True)
    keeper = first[same]  # in positions of rank, where smaller is better; np.unique gives the first of equals

    hashed = np.flatnonzero((keeper == np.arange(keeper.size)) & ~flat)
    _, first, same = np.unique(hashes[hashed], return_index=True, return_inverse=True)
    keeper[hashed] = hashed[first[same]]

    leaders = hashed[np.sort(first)]
    keeper[leaders] = leaders[_claim(near_pairs(hashes[leaders], distance), leaders.size)]

    keeper = keeper[keeper[keeper]]  # equal bytes -> equal hash -> near hash
    result = np.empty_like(keeper)
    result[best_first] = best_first[keeper]
    return result


def near_pairs(hashes: Hashes, distance: int) -> Integers:
    """All pairs of hashes that differ in at most `distance` bits; exact.

    Time grows with the number of pairs that share a band, memory with n and the number of pairs found: a band that
    all hashes share costs time but loses nothing. Pass distinct hashes to keep equal ones from costing n squared.

    Args:
        hashes: n 64-bit hashes.
        distance: 0 to 15.

    Returns:
        M x 2 positions, the smaller first, each pair once, in ascending order.
    """
    edges = [64 * band // (distance + 1) for band in range(distance + 2)]
    found = [_pairs_in_band(hashes, low, high - low, distance) for low, high in pairwise(edges)]
    codes = np.unique(np.concatenate(found))
    return np.stack(np.divmod(codes, max(hashes.size, 1)), axis=1)


def _pairs_in_band(hashes: Hashes, low: int, width: int, distance: int) -> Integers:
    """Pairs (i, j) that agree in bits `low` to `low + width` and are near, coded as `i * n + j` with i < j."""
    keys = (hashes >> np.uint64(low)) & np.uint64((1 << width) - 1)
    order = np.argsort(keys, kind="stable")
    keys, hashes = keys[order], hashes[order]
    codes = [np.empty(0, np.int64)]
    rows = np.arange(keys.size)
    for step in count(1):  # compare each hash with its step-th successor while they share the key
        rows = rows[: np.searchsorted(rows, keys.size - step)]
        rows = rows[keys[rows] == keys[rows + step]]
        if not rows.size:
            break
        near = rows[np.bitwise_count(hashes[rows] ^ hashes[rows + step]) <= distance]
        codes.append(order[near] * keys.size + order[near + step])  # a stable sort keeps i < j
    return np.concatenate(codes)


def _claim(pairs: Integers, total: int) -> Integers:
    """The keeper of each of `total` ranked items, from the near pairs in ascending order."""
    keeper = np.arange(total)
    for better, worse in pairs.tolist():
        if keeper[better] == better and keeper[worse] == worse:
            keeper[worse] = better
    return keeper
