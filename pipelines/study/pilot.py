"""A finished study, read for what its figures say of studies to come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pipelines.study.comparisons import compare
from pipelines.study.crossed import Floats
from pipelines.study.results import Line, summarise
from rssn.dataset.rows import iter_rows
from rssn.errors import InputError, first_line
from rssn.storage.files import read_json
from rssn.storage.location import Location
from train.metrics.paper import METRICS

_COLUMNS = ("set", "row", "variant", "seed", "image", *METRICS)


@dataclass(frozen=True)
class Pilot:
    """What is read of a finished study.

    Attributes:
        place: Its folder.
        lines: Of its first table: of the set that is tested.
        trainings: Of a seed.
        minutes: That a training and its evaluation took, on average.
    """

    place: Location
    lines: Sequence[Line]
    trainings: int
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
    def comparisons(self) -> int:
        """Of all pairs of rows, as a study makes them that names none."""
        rows = dict.fromkeys(line.row for line in self.lines)
        return len(compare(self.lines, list(combinations(rows, 2))))


def read_pilot(place: Location) -> Pilot:
    """Read a finished study.

    Raises:
        InputError: If it is none, or has fewer than two photographs, seeds or rows with the same kind of network.
    """
    remedy = "give the --out of a finished rssn study, whole"
    try:
        figures = list(iter_rows(place / "per_image.parquet", _COLUMNS))
    except (InputError, NotADirectoryError) as error:
        raise InputError(f"{place}: {first_line(error)}; {remedy}") from error
    if not figures:
        raise InputError(f"{place}: no figures in it; {remedy}")
    lines = summarise([each for each in figures if each["set"] == figures[0]["set"]])
    seconds = [
        [
            read_json(path, "run that study again, which makes it anew")["seconds"]
            for path in place.glob(f"steps/{each}")
        ]
        for each in ("train-*/step.json", "eval-*/step.json")
    ]
    if not all(seconds):
        raise InputError(f"{place}: no times of trainings and evaluations in it, steps/*/step.json; {remedy}")
    minutes = sum(float(np.mean(each)) for each in seconds) / 60
    found = Pilot(place, lines, len(seconds[0]) // len(lines[0].sad), minutes)
    if min(found.shape) < 2 or not found.kinds:
        photographs, seeds = found.shape
        words = f"{photographs} photographs, {seeds} seeds and {len(found.kinds)} kinds of network with two rows"
        raise InputError(f"{place}: {words}; a spread takes two of each, and two rows with the same network")
    return found
