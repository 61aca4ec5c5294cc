"""What `rssn gap` is asked to do, and what it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from pipelines.gap.sources import Source
from rssn.gap.measure import Gap
from rssn.gap.pictures import Pictures
from rssn.gap.ranking import Ranking
from rssn.storage.location import Location


@dataclass(frozen=True)
class GapJob:
    """What one `rssn gap` is asked to do.

    Attributes:
        sets: By name.
        photographs: What the network is meant for.
        out: The folder of what is written.
        at: What sides are multiplied with before anything is measured.
        seed: Of the permutations.
        fit: Where it judges a fit: what was fitted, and how; see `pipelines.gap.fit`.
    """

    sets: Mapping[str, Source]
    photographs: Source
    out: Location
    at: Fraction = Fraction(1)
    seed: int = 0
    fit: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Read:
    """What was read of a source.

    Attributes:
        source: Where from.
        pictures: Their figures.
        skipped: What could not be measured, a sentence each.
    """

    source: Source
    pictures: Pictures
    skipped: Sequence[str]


@dataclass(frozen=True)
class Result:
    """What was measured, and of what."""

    job: GapJob
    sets: Mapping[str, Read]
    photographs: Read
    gap: Gap
    rankings: Mapping[str, Ranking]  # of each set
    notes: Sequence[str]  # what a reader of the figures has to know

    def shared(self, name: str) -> int:
        """How many foregrounds of a set are photographs'."""
        return len(set(self.sets[name].pictures.groups) & set(self.photographs.pictures.groups))

    def steps(self, name: str) -> tuple[str, ...]:
        """The steps that a set's recipe draws."""
        recipe = self.sets[name].source.recipe
        return tuple(step.name for step in recipe.drawn) if recipe else ()
