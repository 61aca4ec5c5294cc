"""What `rssn gap` is asked to do, and what it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from pipelines.gap.sources import Source
from rssn.gap.measure import Gap
from rssn.gap.pictures import Pictures


@dataclass(frozen=True)
class GapJob:
    """What one `rssn gap` is asked to do.

    Attributes:
        sets: By name.
        photographs: What the network is meant for.
        out: The folder of what is written.
        at: What sides are multiplied with before anything is measured.
        seed: Of the permutations.
    """

    sets: Mapping[str, Source]
    photographs: Source
    out: Path
    at: Fraction = Fraction(1)
    seed: int = 0


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
    notes: Sequence[str]  # what a reader of the figures has to know
