"""Altered copies of a whole crawl: which pairs are worth a look, and what the looks gave.

A perceptual hash of the whole frame finds re-encoded and resized copies. What it misses, because it was cropped,
mirrored, recoloured or drawn over, is looked for among the photographs that the hash leaves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bg20k.alignment import Comparison
from bg20k.duplicates import claim
from bg20k.hamming import Hashes, Integers
from bg20k.lookalikes import lookalikes


@dataclass(frozen=True, slots=True)
class Match:
    """Two photographs that show the same picture, by content ids."""

    one: str
    other: str
    found: Comparison


@dataclass(frozen=True, eq=False)
class Copies:
    """All verified pairs of a crawl, and of the crawl with an existing set.

    Attributes:
        matches: The pairs.
        leaders: The photograph that was compared in the place of another one, because their hashes are near; by
            content ids.
    """

    matches: Sequence[Match] = ()
    leaders: dict[str, str] = field(default_factory=dict)

    def leader(self, name: str) -> str:
        """The photograph that was compared in the place of this one; mostly itself."""
        return self.leaders.get(name, name)

    @property
    def cropped(self) -> set[str]:
        """Those of which a copy shows more."""
        return {
            name
            for match in self.matches
            for name, cropped in zip((match.one, match.other), match.found.cropped, strict=True)
            if cropped
        }

    def claimed(self, names: Sequence[str], fixed: npt.NDArray[np.bool_]) -> tuple[Integers, dict[int, Match]]:
        """Assign each of some photographs to its keeper, as `bg20k.duplicates.find_duplicates` does.

        Args:
            names: Content ids of n photographs, the best first.
            fixed: n truth values.

        Returns:
            n positions, and the match that made each duplicate one.
        """
        places: dict[str, list[int]] = defaultdict(list)
        for place, name in enumerate(names):
            places[self.leader(name)].append(place)
        matched = {
            (min(first, second), max(first, second)): match
            for match in self.matches
            for first in places.get(match.one, ())
            for second in places.get(match.other, ())
        }
        pairs = np.array(sorted(matched), np.int64).reshape(-1, 2)
        keepers = claim(pairs, fixed)
        worse = np.flatnonzero(keepers != np.arange(len(keepers))).tolist()
        return keepers, {place: matched[int(keepers[place]), place] for place in worse}


NO_COPIES = Copies()


def pairs_to_compare(prints: Hashes, chosen: npt.NDArray[np.bool_], fixed: npt.NDArray[np.bool_]) -> Integers:
    """Pairs of rows that `bg20k.lookalikes.lookalikes` finds among some photographs.

    Args:
        prints: n x k, see `bg20k.lookalikes.unpacked`.
        chosen: n truth values: what is looked at.
        fixed: n truth values.
    """
    rows = np.flatnonzero(chosen)
    return rows[lookalikes(prints[rows], fixed[rows])]


def describe(found: Comparison, keeper: str) -> str:
    """Why a photograph is a copy of its keeper, in one sentence."""
    how = f"by {found.inliers} local features" if found.inliers else "by the hashes of its views"
    mirrored = "mirrored, " if found.mirrored else ""
    share = max(found.covered)
    words = f"{mirrored}aligned {how}, {found.agreement:.0%} of the structure agrees on {share:.0%} of the frame"
    return f"shows the same as {keeper}: {words}"


def copies_of(matches: Iterable[Match], leaders: dict[str, str]) -> Copies:
    """Verified pairs in an order that does not depend on theirs."""
    return Copies(sorted(matches, key=lambda match: (match.one, match.other)), leaders)
