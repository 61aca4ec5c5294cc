"""The figures of a study: cells with their spread over seeds, and whether two rows differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy  # its parts are loaded when they are used

from pipelines.study.steps import Training
from rssn.errors import InputError
from rssn.rows import iter_rows
from train.columns import METRICS

LEVEL = 0.05
"""Below it a difference is called significant; after Holm's correction."""


class Cell(NamedTuple):
    """A figure over the seeds."""

    mean: float
    deviation: float | None  # of a sample; None where there is one seed


@dataclass(frozen=True)
class Line:
    """A line of the table: a row of the study with one representation."""

    row: str
    rosta: str
    cells: Mapping[str, Cell]  # by column
    by_image: Mapping[str, float]  # mean SAD over the seeds


@dataclass(frozen=True)
class Comparison:
    """Two rows with the same representation, image by image.

    Attributes:
        first, second: The rows.
        rosta: The representation.
        difference: Mean SAD of the second less that of the first.
        better: Images on which the second has the smaller SAD.
        images: All of them.
        p: Of Wilcoxon's signed-rank test, two-sided; NaN where no image differs.
        corrected: The same after Holm's correction for all comparisons of the study.
    """

    first: str
    second: str
    rosta: str
    difference: float
    better: int
    images: int
    p: float
    corrected: float = 1.0

    @property
    def verdict(self) -> str:
        """What may be claimed."""
        least = 2.0 ** (1 - self.images)
        if self.corrected < LEVEL:
            better = self.second if self.difference < 0 else self.first
            return f"{better} is better"
        if least >= LEVEL:
            return f"no claim: {self.images} images cannot give a p below {least:.2g}"
        return "no significant difference"


def read_figures(cells: Iterable[Training], root: Path) -> list[dict[str, Any]]:
    """Every image's figures: row, rosta, seed, image and the columns, from what `train eval` wrote.

    Raises:
        InputError: If the networks were not judged on the same images.
    """
    found = []
    for cell in cells:
        rows = iter_rows(cell.judged.out(root) / "per_image.parquet")
        facts: dict[str, Any] = {"row": cell.row, "rosta": cell.rosta, "seed": cell.seed}
        found += [facts | {"image": row["name"]} | {name: row.get(name) for name in METRICS} for row in rows]
    groups: dict[tuple[Any, ...], set[str]] = {}
    for figures in found:
        groups.setdefault((figures["row"], figures["rosta"], figures["seed"]), set()).add(figures["image"])
    if len({frozenset(images) for images in groups.values()}) > 1:
        raise InputError("the networks were judged on different images; remove the eval- folders and run it again")
    return found


def summarise(figures: Sequence[Mapping[str, Any]]) -> list[Line]:
    """The lines of the table, in the order of the figures."""
    keys = dict.fromkeys((each["row"], each["rosta"]) for each in figures)
    return [_line(*key, [each for each in figures if (each["row"], each["rosta"]) == key]) for key in keys]


def compare(lines: Sequence[Line], pairs: Sequence[tuple[str, str]]) -> list[Comparison]:
    """Test pairs of rows against each other, for each representation that both have."""
    by_key = {(line.row, line.rosta): line for line in lines}
    rostas = dict.fromkeys(line.rosta for line in lines)
    found = [
        _compared(by_key[first, rosta], by_key[second, rosta])
        for rosta in rostas
        for first, second in pairs
        if (first, rosta) in by_key and (second, rosta) in by_key
    ]
    corrected = holm([each.p for each in found])
    return [Comparison(**{**vars(each), "corrected": value}) for each, value in zip(found, corrected, strict=True)]


def holm(values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the i-th smallest of n values, from 0, times n - i; rising, at most 1; NaN is 1."""
    known = np.where(np.isnan(values), 1.0, values)
    order = np.argsort(known, kind="stable")
    scaled = known[order] * (len(known) - np.arange(len(known)))
    corrected = np.empty(len(known))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(value) for value in corrected]


def _line(row: str, rosta: str, figures: Sequence[Mapping[str, Any]]) -> Line:
    columns = [name for name in METRICS if figures[0][name] is not None]
    seeds = sorted({each["seed"] for each in figures})
    means = {name: [np.mean([e[name] for e in figures if e["seed"] == seed]) for seed in seeds] for name in columns}
    images = dict.fromkeys(each["image"] for each in figures)
    by_image = {image: float(np.mean([e["sad"] for e in figures if e["image"] == image])) for image in images}
    return Line(row, rosta, {name: _cell(values) for name, values in means.items()}, by_image)


def _cell(values: Sequence[Any]) -> Cell:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Cell(float(np.mean(values)), deviation)


def _compared(first: Line, second: Line) -> Comparison:
    images = list(first.by_image)
    differences: npt.NDArray[np.float64] = np.array([second.by_image[i] - first.by_image[i] for i in images])
    p = float(scipy.stats.wilcoxon(differences).pvalue) if differences.any() else float("nan")
    better = int((differences < 0).sum())
    return Comparison(first.row, second.row, first.rosta, float(differences.mean()), better, len(images), p)
