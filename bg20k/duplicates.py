"""Exact and near duplicates of a whole crawl, from columns of numbers.

The search for near hashes is exact and far from quadratic, see `hamming`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from bg20k.hamming import Hashes, Integers

_BLOCK = 65_536  # pairs turned into Python numbers at a time


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FingerprintColumns:
    """Fingerprints of n photographs as columns of equal length.

    Attributes:
        ids: Content ids, or numbers in the same order.
        sources: Paths or URLs, or numbers in the same order; they rank copies of equal bytes and nothing else.
        grey: True where there are no colours.
        areas: Pixels of the source.
        cropped: True where a copy is known that shows more of the same picture.
        bits_per_pixel: Of the source file.
        sharpness: Variance of the Laplacian, see `bg20k.measures.sharpness`.
        phashes: 64-bit perceptual hashes.
        low_texture: True where the perceptual hash means nothing.
        fixed: True where a photograph belongs to an existing set: it comes before all others and stays.
    """

    ids: npt.NDArray[Any]
    sources: npt.NDArray[Any]
    grey: npt.NDArray[np.bool_]
    areas: Integers
    cropped: npt.NDArray[np.bool_]
    bits_per_pixel: npt.NDArray[np.float64]
    sharpness: npt.NDArray[np.float64]
    phashes: Hashes
    low_texture: npt.NDArray[np.bool_]
    fixed: npt.NDArray[np.bool_]

    def best_first(self) -> Integers:
        """Rows in order of rank: fixed, coloured, largest, uncropped, least compressed, sharpest, by id, by source."""
        quality = (-self.sharpness, -self.bits_per_pixel, self.cropped, -self.areas, self.grey)
        return np.lexsort((self.sources, self.ids, *quality, ~self.fixed))


def find_duplicates(columns: FingerprintColumns, distance: int) -> Integers:
    """Assign every photograph to its keeper.

    Photographs are ranked: those of an existing set first, then those with colours, then the largest source, then
    what is uncropped, then the least compressed, then the sharpest, then the smallest content id, then the smallest
    source. In that order, each one that is no duplicate yet becomes a keeper and claims all that are within `distance`
    of it and not yet claimed. This equals: cluster by single link, keep the best of each cluster, verify its members
    against it, and cluster those that are too far away again. So every duplicate is within `distance` of its own
    keeper, chains do not merge strangers, and the result does not depend on the order of the rows.

    Equal content ids are duplicates always; those of low texture have no other duplicates. Photographs of an existing
    set are duplicates of each other only by equal bytes or equal hashes, which has no effect.

    Args:
        columns: Fingerprints of n photographs.
        distance: Largest number of differing bits, 0 to 15.

    Returns:
        n positions; `keeper[i]` is the row that is kept for row i, `keeper[i] == i` for keepers.
    """
    from bg20k.hamming import near_pairs  # noqa: PLC0415  (its import loads numba)

    best_first = columns.best_first()
    hashes, fixed = columns.phashes[best_first], columns.fixed[best_first]

    _, first, same = np.unique(columns.ids[best_first], return_index=True, return_inverse=True)
    keeper = first[same]  # in positions of rank, where smaller is better; np.unique gives the first of equals

    hashed = np.flatnonzero((keeper == np.arange(keeper.size)) & ~columns.low_texture[best_first])
    _, first, same = np.unique(hashes[hashed], return_index=True, return_inverse=True)
    keeper[hashed] = hashed[first[same]]

    leaders = hashed[np.sort(first)]
    keeper[leaders] = leaders[claim(near_pairs(hashes[leaders], distance), fixed[leaders])]

    keeper = keeper[keeper[keeper]]  # equal bytes -> equal hash -> near hash
    result = np.empty_like(keeper)
    result[best_first] = best_first[keeper]
    return result


def claim(pairs: Integers, fixed: npt.NDArray[np.bool_]) -> Integers:
    """The keeper of each ranked item: the first that is near and no duplicate itself; fixed ones keep themselves.

    Args:
        pairs: M x 2 positions that are near, the better first, in ascending order.
        fixed: Of each item.
    """
    keeper = np.arange(fixed.size)
    for start in range(0, len(pairs), _BLOCK):
        for better, worse in pairs[start : start + _BLOCK].tolist():
            if keeper[better] == better and keeper[worse] == worse and not fixed[worse]:
                keeper[worse] = better
    return keeper
