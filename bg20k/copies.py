"""Altered copies of a whole crawl: which pairs are worth a look, and what the looks gave.

A perceptual hash of the whole frame finds re-encoded and resized copies. What it misses, because it was cropped,
mirrored, recoloured or drawn over, is looked for among the photographs that the hash leaves.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bg20k.alignment import Comparison
from bg20k.hamming import Hashes, Integers
from bg20k.lookalikes import lookalikes


@dataclass(frozen=True, slots=True)
class Match:
    """Two photographs that show the same picture, by content ids."""

    one: str
    other: str
    found: Comparison


class Link(NamedTuple):
    """Why a photograph is a duplicate: what it matches on the way to its keeper."""

    place: int
    match: Match


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

    def claimed(self, names: Sequence[str], fixed: npt.NDArray[np.bool_]) -> tuple[Integers, dict[int, Link]]:
        """Assign each of some photographs to its keeper: the best that a chain of matches leads to.

        Each link of a chain was verified by what both frames show. So two crops that hardly overlap are one picture
        where a third shows them both; which one that is, the link says.

        Args:
            names: Content ids of n photographs, the best first.
            fixed: n truth values; those keep themselves.

        Returns:
            n positions, and for each duplicate the position next to it on the way to its keeper, with their match.
        """
        links = self._links(names)
        keepers = np.arange(len(names))
        chained: dict[int, Link] = {}
        for start in range(len(names)):
            if start in chained:
                continue
            waiting = deque([start])
            while waiting:
                nearer = waiting.popleft()
                for place, match in links.get(nearer, ()):
                    if place > start and place not in chained and not fixed[place]:
                        keepers[place], chained[place] = start, Link(nearer, match)
                        waiting.append(place)
        return keepers, chained

    def _links(self, names: Sequence[str]) -> dict[int, list[tuple[int, Match]]]:
        """The matches of each place, the best photograph first."""
        places: dict[str, list[int]] = defaultdict(list)
        for place, name in enumerate(names):
            places[self.leader(name)].append(place)
        found: dict[int, list[tuple[int, Match]]] = defaultdict(list)
        for match in self.matches:
            for first in places.get(match.one, ()):
                for second in places.get(match.other, ()):
                    found[first].append((second, match))
                    found[second].append((first, match))
        return {place: sorted(each, key=itemgetter(0)) for place, each in found.items()}


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


def describe(found: Comparison, other: str) -> str:
    """Why a photograph is a copy of another one, in one sentence."""
    how = f"by {found.inliers} local features" if found.inliers else "by the hashes of its views"
    mirrored = "mirrored, " if found.mirrored else ""
    share = max(found.covered)
    words = f"{mirrored}aligned {how}, {found.agreement:.0%} of the structure agrees on {share:.0%} of the frame"
    return f"shows the same as {other}: {words}"


def copies_of(matches: Iterable[Match], leaders: dict[str, str]) -> Copies:
    """Verified pairs in an order that does not depend on theirs."""
    return Copies(sorted(matches, key=lambda match: (match.one, match.other)), leaders)
