"""Altered copies of a whole crawl: what the comparisons of pairs make of it.

A perceptual hash of the whole frame finds re-encoded and resized copies. What it misses, because it was cropped,
mirrored, recoloured or drawn over, is looked for among the photographs that the hash leaves.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bg20k.alignment import Comparison


@dataclass(frozen=True, slots=True)
class Match:
    """Two photographs that show the same picture, by content ids."""

    one: str
    other: str
    found: Comparison


class Link(NamedTuple):
    """Why a photograph is a duplicate: the next one on the way to its keeper, and what it matches itself.

    That is the next one, but where what links them is not among the photographs at hand, because a person or a rule
    refused it: `through` names that one then.
    """

    place: int
    match: Match
    through: str = ""


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

    def claimed(self, names: Sequence[str], fixed: npt.NDArray[np.bool_]) -> dict[int, Link]:
        """Link photographs to the best that a chain of matches leads to; that one keeps itself.

        Each link of a chain was verified by what both frames show. So two crops that hardly overlap are one picture
        where a third shows them both, also where that one was refused; which one it is, the link says.

        Args:
            names: Content ids of n photographs, the best first.
            fixed: n truth values; those keep themselves.

        Returns:
            For each duplicate among the n its link.
        """
        places: dict[str, list[int]] = defaultdict(list)
        for place, name in enumerate(names):
            places[self.leader(name)].append(place)
        matches = self._matches_by_name()
        found: dict[int, Link] = {}
        for start, name in enumerate(names):
            if start in found:
                continue
            seen: set[str] = set()
            waiting = deque([(self.leader(name), start)])
            while waiting:
                near, nearest = waiting.popleft()
                for far, match in matches.get(near, ()):
                    if far in seen:
                        continue
                    seen.add(far)
                    new = [one for one in places[far] if one > start and one not in found and not fixed[one]]
                    found |= dict.fromkeys(new, Link(nearest, match, "" if places[near] else near))
                    if new or not places[far]:
                        waiting.append((far, new[0] if new else nearest))
        return found

    def _matches_by_name(self) -> dict[str, list[tuple[str, Match]]]:
        """What each photograph matches, the surest first."""
        found: dict[str, list[tuple[str, Match]]] = defaultdict(list)
        for match in self.matches:
            found[match.one].append((match.other, match))
            found[match.other].append((match.one, match))
        return {name: sorted(each, key=lambda one: (-one[1].found.agreement, one[0])) for name, each in found.items()}


NO_COPIES = Copies()


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
