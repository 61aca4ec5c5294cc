"""The figures of a study: cells with their spread over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.study.steps import Cell
from rssn.dataset.rows import iter_rows
from rssn.errors import InputError
from rssn.storage.location import Location
from train.metrics.paper import METRICS

_NAMED = 5
_LEAST_SAD = 0.1
"""A hundred wrong pixels: smaller SAD are alike, or the ratios of mattes that are all but perfect would decide."""


class Figure(NamedTuple):
    """A figure over the seeds."""

    mean: float
    deviation: float | None  # of a sample; None where there is one seed


@dataclass(frozen=True)
class Line:
    """A line of the table: a row of the study with one variant of its network."""

    row: str
    variant: str
    figures: Mapping[str, Figure]  # by column
    sad: Mapping[int, Mapping[str, float]]  # by seed and image

    @cached_property
    def by_image(self) -> Mapping[str, float]:
        """Mean SAD over the seeds."""
        each = list(self.sad.values())
        return {image: float(np.mean([sad[image] for sad in each])) for image in each[0]}

    @cached_property
    def matrix(self) -> npt.NDArray[np.float64]:
        """P x S, SAD of each image, in order of name, and seed."""
        return np.array([[sad[image] for sad in self.sad.values()] for image in sorted(self.by_image)])

    @cached_property
    def logarithms(self) -> npt.NDArray[np.float64]:
        """Of `matrix`; what is tested."""
        return np.log(np.maximum(self.matrix, _LEAST_SAD))


def read_figures(cells: Sequence[Cell], root: Location) -> list[dict[str, Any]]:
    """Every image's figures: set, row, variant, seed, image and the columns, from what `train eval` wrote.

    Images without figures, which the protocol leaves out, are left out here too.

    Raises:
        InputError: If the networks were not evaluated on the same images of a set.
    """
    found = []
    for cell in cells:
        rows = iter_rows(cell.results(root) / "per_image.parquet")
        facts: dict[str, Any] = {"set": cell.set, "row": cell.row, "variant": cell.variant, "seed": cell.seed}
        evaluated = [row for row in rows if row["sad"] is not None]
        found += [facts | {"image": row["name"]} | {name: row.get(name) for name in METRICS} for row in evaluated]
    groups: dict[tuple[Any, ...], set[str]] = {}
    for figures in found:
        group = (figures["set"], figures["row"], figures["variant"], figures["seed"])
        groups.setdefault(group, set()).add(figures["image"])
    for cell in cells:
        every = set[str]().union(*(images for group, images in groups.items() if group[0] == cell.set))
        missing = sorted(every - groups.get((cell.set, cell.row, cell.variant, cell.seed), set()))
        if missing:
            names = ", ".join(missing[:_NAMED]) + (f" and {len(missing) - _NAMED} more" if missing[_NAMED:] else "")
            remedy = "leave them out of the evaluation's data, or remove that folder and run the same command again"
            raise InputError(f"{cell.evaluation.folder(root)}: {cell.variant} has no figures of {names}; {remedy}")
    return found


def summarise(figures: Sequence[Mapping[str, Any]]) -> list[Line]:
    """The lines of the table of one set, in the order of the figures."""
    keys = dict.fromkeys((each["row"], each["variant"]) for each in figures)
    return [_line(*key, [each for each in figures if (each["row"], each["variant"]) == key]) for key in keys]


def _line(row: str, variant: str, figures: Sequence[Mapping[str, Any]]) -> Line:
    columns = [name for name in METRICS if figures[0][name] is not None]
    seeds = sorted({each["seed"] for each in figures})
    means = {name: [np.mean([e[name] for e in figures if e["seed"] == seed]) for seed in seeds] for name in columns}
    sad = {seed: {each["image"]: each["sad"] for each in figures if each["seed"] == seed} for seed in seeds}
    return Line(row, variant, {name: _cell(values) for name, values in means.items()}, sad)


def _cell(values: Sequence[Any]) -> Figure:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Figure(float(np.mean(values)), deviation)
