"""A finished study, read for what its figures say of studies to come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from pipelines.study.crossed import Floats
from pipelines.study.results import Line, summarise
from rssn.dataset.rows import iter_rows
from rssn.errors import InputError
from rssn.storage.files import read_json
from rssn.storage.location import Location


@dataclass(frozen=True)
class Pilot:
    """What is read of a finished study.

    Attributes:
        place: Its folder.
        lines: Of its first table: of the set that is tested.
        minutes: That a training and its evaluation took, on average.
    """

    place: Location
    lines: Sequence[Line]
    minutes: float

    @property
    def shape(self) -> tuple[int, int]:
        """Photographs and seeds."""
        photographs, seeds = self.lines[0].matrix.shape
        return photographs, seeds

    @property
    def mean(self) -> float:
        """SAD of the first line; not its logarithm."""
        return float(self.lines[0].matrix.mean())

    @property
    def kinds(self) -> list[Floats]:
        """Logarithms of SAD of lines with one kind of network, two or more of each; R x P x S."""
        by_variant: dict[str, list[Floats]] = {}
        for line in self.lines:
            by_variant.setdefault(line.variant, []).append(line.logarithms)
        return [np.stack(each) for each in by_variant.values() if len(each) > 1]

    @property
    def size(self) -> tuple[int, int]:
        """Trainings of a seed, and comparisons of all pairs of rows with one kind of network."""
        return len(self.lines), sum(comb(len(kind), 2) for kind in self.kinds)


def read_pilot(place: Location) -> Pilot:
    """Read a finished study.

    Raises:
        InputError: If it is none, or has fewer than two photographs, seeds or rows with the same kind of network.
    """
    figures = list(iter_rows(place / "per_image.parquet"))
    if not figures:
        raise InputError(f"{place}: no figures in it; give the --out of a finished rssn study")
    lines = summarise([each for each in figures if each.get("set") == figures[0].get("set")])
    seconds = [
        [
            read_json(path, "run that study again, which makes it anew")["seconds"]
            for path in place.glob(f"steps/{each}")
        ]
        for each in ("train-*/step.json", "eval-*/step.json")
    ]
    found = Pilot(place, lines, sum(float(np.mean(each)) for each in seconds if each) / 60)
    if min(found.shape) < 2 or not found.kinds:
        photographs, seeds = found.shape
        words = f"{photographs} photographs, {seeds} seeds and {len(found.kinds)} kinds of network with two rows"
        raise InputError(f"{place}: {words}; a spread takes two of each, and two rows with the same network")
    return found
