"""By letter: how far each cue of composites is from that of photographs, and what would bring it nearer.

These distances have no interval; which of them are more than chance says `rssn.gap.ranking`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import wasserstein_distance

from rssn.gap.cues import CUES, LETTERS, Cue, Letter, of_letter
from rssn.gap.pictures import Floats, Pictures

_LEAST_SPREAD = 1e-6
_MORE_ALIKE = "draws of {} that are more alike: a narrower range, or a probability nearer 0 or 1"
_LESS_ALIKE = "draws of {} that differ more: a wider range, or a probability nearer 0.5"
_MOSTLY = 0.5  # of a distance: the share that the means' shift must explain, so that it has a direction


@dataclass(frozen=True)
class CueDistance:
    """How far one cue is.

    Attributes:
        cue: Which.
        far: 1-Wasserstein distance of F minus B, a value a picture, in standard deviations of the photographs'.
        composites: Mean of F minus B over the composites, in the cue's unit.
        photographs: Likewise over the photographs.
        spreads: Standard deviation of F minus B over the composites, and over the photographs.
    """

    cue: Cue
    far: float
    composites: float
    photographs: float
    spreads: tuple[float, float]

    @property
    def side(self) -> str:
        """`above` or `below` where the shift of the means is half of the distance or more.

        Else `more spread` or `less spread`: no setting that moves composites to one side would bring them nearer.
        """
        shift = self.composites - self.photographs
        if abs(shift) >= _MOSTLY * self.far * max(self.spreads[1], _LEAST_SPREAD):
            return "above" if shift > 0 else "below"
        return "more spread" if self.spreads[0] > self.spreads[1] else "less spread"

    def remedy(self, steps: Collection[str] = ()) -> str:
        """What would bring it nearer.

        Args:
            steps: Names of the steps that the composites' recipe draws.
        """
        side = self.side
        if side in ("above", "below"):
            acts = self.cue.above if side == "above" else self.cue.below
            return ", or ".join(filter(None, (act.words(steps) for act in acts)))
        named = dict.fromkeys(act.named for act in (*self.cue.above, *self.cue.below) if act.step in steps)
        way = _MORE_ALIKE if side == "more spread" else _LESS_ALIKE
        return way.format(" or ".join(named)) if named else "no step of the recipe acts on it"

    def words(self, steps: Collection[str] = ()) -> str:
        """What is off, and the remedy, in a line."""
        if self.side in ("above", "below"):
            numbers = f"F minus B is {self.composites:+.2f}, {self.side} the photographs' {self.photographs:+.2f}"
        else:
            ours, theirs = self.spreads
            way = self.side.partition(" ")[0]
            numbers = f"F minus B varies {way} than the photographs' (deviations of {ours:.2f} and {theirs:.2f})"
        return (
            f"{self.cue.letter} ({self.cue.name}): {numbers}, {self.far:.1f} of their deviations; {self.remedy(steps)}"
        )


def cue_distances(composites: Pictures, photographs: Pictures) -> list[CueDistance]:
    """Every cue's distance, the largest first."""
    ours, theirs = composites.shifts, photographs.shifts
    found = [_distance(cue, ours[:, number], theirs[:, number]) for number, cue in enumerate(CUES)]
    return sorted(found, key=lambda one: -one.far)


def _distance(cue: Cue, ours: Floats, theirs: Floats) -> CueDistance:
    spreads = _spread(ours), _spread(theirs)
    far = deviations_apart(ours, theirs)
    return CueDistance(cue, far, float(ours.mean()), float(theirs.mean()), spreads)


def deviations_apart(ours: Floats, theirs: Floats) -> float:
    """1-Wasserstein distance of values, in standard deviations of the second ones."""
    return float(wasserstein_distance(ours, theirs)) / max(_spread(theirs), _LEAST_SPREAD)


def _spread(values: Floats) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


@dataclass(frozen=True)
class Yardstick:
    """One figure for recipes that are tried one after the other: their discrepancy, in units that stay.

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
        """The discrepancy: the mean over letters of the mean of their cues' 1-Wasserstein distances, in the units.

        Each letter counts as much as another, however many cues it has. 0: none.
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
