"""A study file: which background sets, which recipes, which network, which photographs it is judged on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, TypeAlias

from rssn.errors import InputError

Options: TypeAlias = Mapping[str, Any]
"""Options of one of our commands by their names, without dashes: a value, a list for one that is repeated, or true.

Those that the study sets itself are refused, see `pipelines.study.checks`.
"""

Paper: TypeAlias = Mapping[str, Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True, kw_only=True)
class BackgroundSet:
    """Where backgrounds come from: exactly one of the three.

    Attributes:
        take: A folder, a table or a curated set, as it is.
        curate: Photographs for `rssn build-bg20k`, with its options.
        crops: The name of a curated set, of whose rejected photographs with salient objects crops are taken; the
            options are those of `pipelines.study.crops`.
        options: See above.
    """

    take: str | None = None
    curate: str | None = None
    crops: str | None = None
    options: Options = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the table: what the network is trained on.

    Attributes:
        recipe: As `rssn compose --recipe` takes it; None: the photographs themselves (`rssn pack`, the ORI-Track).
        backgrounds: The name of a set.
        options: Of `rssn compose` or `rssn pack`.
        training: Options of `train run` that differ from the network's, `backbone` and `weights` among them.
    """

    recipe: str | None = None
    backgrounds: str | None = None
    options: Options = field(default_factory=dict)
    training: Options = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Network:
    """What is trained.

    Attributes:
        backbone: See `train run --backbone`.
        rosta: One representation or several, in any case.
        ensemble: Whether the median of their mattes is judged too.
        weights: Of the encoder: a file, or `package:NAME/FILE` for one that an installed package brings along.
        options: Of `train run`.
    """

    backbone: str
    rosta: tuple[str, ...] = ("TT",)
    ensemble: bool = False
    weights: str | None = None
    options: Options = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rosta", tuple(name.upper() for name in self.rosta))


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Real photographs with mattes, and the options of `train eval`."""

    data: str
    options: Options = field(default_factory=dict)

    @property
    def alpha_scale(self) -> float | None:
        """The value that means opaque in its mattes."""
        return _alpha_scale(self.options)


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study; once it is read, every path in it is absolute, and none is a URL.

    Attributes:
        name: Of the study.
        about: What it asks, in a sentence or two.
        foregrounds: Matting data sets.
        backgrounds: By name.
        rows: By name, in the order of the table.
        network: What is trained on each.
        seeds: Of the trainings, each another.
        evaluation: What all are judged on.
        compare: Pairs of rows to be tested against each other; all pairs where none are given.
        paper: The paper's figures, by row, representation (or `ensemble`) and column.
        synthetic: A folder into which the project renders pictures of its own, unless it is there.
    """

    name: str
    about: str = ""
    foregrounds: tuple[str, ...]
    rows: Mapping[str, Row]
    network: Network
    seeds: tuple[int, ...]
    evaluation: Evaluation
    backgrounds: Mapping[str, BackgroundSet] = field(default_factory=dict)
    compare: tuple[tuple[str, str], ...] = ()
    paper: Paper = field(default_factory=dict)
    synthetic: str | None = None

    @property
    def pairs(self) -> Sequence[tuple[str, str]]:
        """The rows that are compared."""
        return self.compare or list(combinations(self.rows, 2))

    @property
    def alpha_scales(self) -> list[float | None]:
        """The values that mean opaque in the mattes of the foregrounds, as the rows say."""
        return list(dict.fromkeys(_alpha_scale(row.options) for row in self.rows.values()))


def _alpha_scale(options: Options) -> float | None:
    value = options.get("alpha-scale")
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"--alpha-scale {value!r}: give the value that means opaque, such as 1 or 255") from error
