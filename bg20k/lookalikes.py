"""Pairs of photographs of which one may be a copy of the other: found by hashes and codes alone, never quadratic.

Four searches, each exact within its distance (see `hamming`): the whole of one photograph, as it is or mirrored,
against the views of all others; wholes against wholes, at a larger distance; their edges, which dark,
tinted and negative copies share; and codes of local features, which a crop of any place shares and a logo or a text
leaves alone. What is common is passed over, so the number of pairs is bounded by the number of photographs.
"""

from __future__ import annotations

from itertools import accumulate
from math import comb
from typing import Final

import numpy as np
import numpy.typing as npt

from bg20k.hamming import BITS, Hashes, Integers, near_owners
from bg20k.sketch import CODES, Sketch
from bg20k.views import EDGES, VIEWS, view_hashes
from rssn.image.arrays import Pixels

VIEW_DISTANCE: Final = 8
"""Bits by which the whole of one photograph and a view of another may differ."""

_CHANCE = 0.2  # pairs of wholes per photograph that may be near by chance, and of their edges
_CODE_DISTANCE = 4  # bits
_CODES_SHARED = 2
_MOST_VIEWS = 32  # near hashes of a whole; of more, the view is common
_MOST_CODES = 8


def print_of(grey: Pixels, sketch: Sketch, flat_std: float) -> bytes:
    """What a photograph is looked for by: the hashes of its views and the codes of its features.

    Args:
        grey: H x W uint8.
        sketch: Of the same picture.
        flat_std: See `view_hashes`.
    """
    return np.concatenate([view_hashes(grey, flat_std), sketch.codes()]).astype("<u8").tobytes()


def unpacked(prints: bytes) -> npt.NDArray[np.uint64]:
    """Stored prints, one after the other, as n x (`VIEWS` + `CODES`) hashes."""
    return np.frombuffer(prints, "<u8").reshape(-1, VIEWS + CODES)


def lookalikes(prints: Hashes, fixed: npt.NDArray[np.bool_]) -> Integers:
    """Pairs that are worth a look; for a million photographs in at most 4 GB.

    Args:
        prints: n x (`VIEWS` + `CODES`), a row of zeros for a photograph that is left out.
        fixed: n truth values; two fixed ones are no pair.

    Returns:
        M x 2 rows, the smaller first, each pair once, in ascending order.
    """
    views, edges, codes = np.split(prints, [VIEWS - 1, VIEWS], axis=1)
    found = [
        np.unique(_near(views, 2, VIEW_DISTANCE, _MOST_VIEWS)),
        np.unique(_near(views[:, :1], 1, reach(len(prints)), _MOST_VIEWS)),
        np.unique(_near(edges, 1, reach(len(prints)), _MOST_VIEWS)),
        _shared(_near(codes, CODES, _CODE_DISTANCE, _MOST_CODES)),
    ]
    packed = np.unique(np.concatenate(found))
    pairs = np.stack([packed >> np.uint64(32), packed & np.uint64(0xFFFFFFFF)], axis=1).astype(np.int64)
    return pairs[~fixed[pairs].all(axis=1)]


def reach(count: int) -> int:
    """Bits by which wholes, and edges, of so many photographs may differ: few enough that chance makes few pairs.

    It is 15 up to some 27,000 photographs, 14 up to 100,000, and 12 for a million.
    """
    near = accumulate(comb(BITS, bits) / 2.0**BITS for bits in range(16))
    return max(VIEW_DISTANCE, sum(share * count / 2 <= _CHANCE for share in near) - 1)


def view_distances(one: Hashes, other: Hashes) -> npt.NDArray[np.int64]:
    """By how many bits the wholes of two photographs differ from the views of the other one.

    Args:
        one: `VIEWS` hashes.
        other: Of another photograph.

    Returns:
        2 x 2 x (`VIEWS` - 1): the whole and the mirrored whole of the one, then of the other, against the views of the
        other one; 65 where there is no hash.
    """
    both = np.stack([one, other])
    asking, asked = both[:, :2, None], both[::-1, None, :EDGES]
    apart: npt.NDArray[np.int64] = np.bitwise_count(asking ^ asked).astype(np.int64)
    apart[(asking == 0) | (asked == 0)] = 65
    return apart


def _near(hashes: Hashes, asking: int, distance: int, most: int) -> Hashes:
    """Pairs of rows of an n x k table, as `near_owners` has them, of which the first `asking` columns ask."""
    there = hashes != 0
    owners = np.repeat(np.arange(len(hashes), dtype=np.int32), there.sum(axis=1))
    asks = np.broadcast_to(np.arange(hashes.shape[1]) < asking, hashes.shape)[there]
    return near_owners(hashes[there], owners, asks, distance, most)


def _shared(packed: Hashes) -> Hashes:
    """The pairs that come at least `_CODES_SHARED` times, of pairs in ascending order."""
    pairs, counts = np.unique(packed, return_counts=True)
    return pairs[counts >= _CODES_SHARED]
