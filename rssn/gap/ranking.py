"""Which cues stand out: farther off than chance alone has the farthest of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rssn.gap.cues import CUES
from rssn.gap.letters import CueDistance, deviations_apart
from rssn.gap.measure import Joint
from rssn.gap.pictures import Pictures

_PERMUTATIONS = 200
_LEVEL = 0.95


@dataclass(frozen=True)
class Ranking:
    """The cues that can tell, and how far one is by chance.

    Attributes:
        cues: The largest distance first.
        chance: What a distance must be above to stand out, in the photographs' standard deviations.
    """

    cues: Sequence[CueDistance]
    chance: float

    @property
    def largest(self) -> CueDistance | None:
        """The largest, if it stands out."""
        return self.cues[0] if self.stands_out(self.cues[0]) else None

    def stands_out(self, one: CueDistance) -> bool:
        """Whether a cue is farther off than by chance."""
        return one.far > self.chance


def rank_cues(cues: Sequence[CueDistance], composites: Pictures, photographs: Pictures, grid: bool = True) -> Ranking:
    """Which cues stand out.

    A cue stands out where it is farther off than labels that mean nothing have it: those of composites and photographs
    change places 200 times, as for the distance's p. Each time the farthest of all cues counts, for it is the farthest
    that is named; what 95 of 100 times is not above `Ranking.chance` is chance.

    Args:
        cues: What `cue_distances` found.
        composites: P pictures.
        photographs: Q pictures.
        grid: Whether the cues that read JPEG's grid can tell; they are left out otherwise.
    """
    telling = [one for one in cues if grid or not one.cue.on_grid]
    numbers = [CUES.index(one.cue) for one in telling]
    joint, dice = Joint.of([composites], photographs), np.random.default_rng(0)
    values = np.concatenate([composites.shifts, photographs.shifts])[:, numbers].T
    farthest = []
    for _ in range(_PERMUTATIONS):
        composed = joint.shuffled(dice)
        farthest.append(max(deviations_apart(each[composed], each[~composed]) for each in values))
    return Ranking(telling, float(np.quantile(farthest, _LEVEL)))
