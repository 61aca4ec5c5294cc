"""By letter: how far each cue of composites is from that of photographs, and what would bring it nearer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import wasserstein_distance

from rssn.gap.cues import CUES, LETTERS, Cue, Letter, of_letter
from rssn.gap.pictures import Floats, Pictures

_LEAST_SPREAD = 1e-6


@dataclass(frozen=True)
class CueDistance:
    """How far one cue is.

    Attributes:
        cue: Which.
        far: 1-Wasserstein distance of F minus B, a value a picture, in standard deviations of the photographs'.
        composites: Mean of F minus B over the composites, in the cue's unit.
        photographs: Likewise over the photographs.
    """

    cue: Cue
    far: float
    composites: float
    photographs: float

    @property
    def remedy(self) -> str:
        """The step and setting that acts on it."""
        return self.cue.above if self.composites > self.photographs else self.cue.below

    def words(self) -> str:
        """What is off, and the remedy, in a line."""
        side = "above" if self.composites > self.photographs else "below"
        numbers = f"F minus B is {self.composites:+.2f}, {side} the photographs' {self.photographs:+.2f}"
        return f"{self.cue.letter} ({self.cue.name}): {numbers}, {self.far:.1f} of their deviations; {self.remedy}"


def cue_distances(composites: Pictures, photographs: Pictures) -> list[CueDistance]:
    """Every cue's distance, the largest first."""
    ours, theirs = composites.shifts, photographs.shifts
    found = [_distance(cue, ours[:, number], theirs[:, number]) for number, cue in enumerate(CUES)]
    return sorted(found, key=lambda one: -one.far)


def _distance(cue: Cue, ours: Floats, theirs: Floats) -> CueDistance:
    unit = max(float(theirs.std(ddof=1)) if len(theirs) > 1 else 0.0, _LEAST_SPREAD)
    return CueDistance(cue, float(wasserstein_distance(ours, theirs)) / unit, float(ours.mean()), float(theirs.mean()))


@dataclass(frozen=True)
class Yardstick:
    """One figure for recipes that are tried one after the other: the mean distance over letters, in units that stay.

    Attributes:
        photographs: What composites are to be like.
        units: For each letter a deviation of each of its cues' F minus B: of the means, then of the 20 % quantiles.
    """

    photographs: Pictures
    units: Mapping[Letter, Floats]

    @classmethod
    def of(cls, photographs: Pictures, first: Pictures) -> Yardstick:
        """Units from photographs and from the first composites together: a few photographs alone may hardly vary."""
        units = {}
        for letter in LETTERS:
            both = [one.differences(of_letter(letter)).var(axis=0) for one in (photographs, first)]
            units[letter] = np.maximum(np.sqrt((both[0] + both[1]) / 2), _LEAST_SPREAD)
        return cls(photographs, units)

    def far(self, composites: Pictures) -> float:
        """The mean over letters of the mean of their cues' 1-Wasserstein distances, in the units.

        Each letter counts as much as another, however many cues it has.
        """
        return float(np.mean([self._far(composites, letter) for letter in LETTERS]))

    def _far(self, composites: Pictures, letter: Letter) -> float:
        columns = [one.differences(of_letter(letter)).T for one in (composites, self.photographs)]
        return float(np.mean([wasserstein_distance(*pair) for pair in zip(*columns, strict=True)] / self.units[letter]))


def by_letter(distances: Sequence[CueDistance]) -> dict[Letter, CueDistance]:
    """The largest distance of each letter, from a sequence that begins with the largest."""
    found: dict[Letter, CueDistance] = {}
    for one in distances:
        found.setdefault(one.cue.letter, one)
    return found
