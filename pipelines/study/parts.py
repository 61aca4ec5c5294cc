"""The parts of a study file: background sets, networks, rows, sets of photographs, the design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import date
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field

from pipelines.study.kinds import Options, absolute, listed
from rssn.errors import InputError
from rssn.route.recipe import shipped_recipes
from rssn.storage.settings import settings
from rssn.storage.urls import is_url
from rssn.storage.weights import PACKAGE
from train.network.networks import NETWORKS
from train.targets.rosta import Rosta

NETWORKS_ALONE = ("max-side", "hybrid")
"""Options of `train eval` that say what a trained network sees."""

SSS = "sss"
"""The network of a row that is not trained, and the kind of its steps: Semantic Soft Segmentation."""


def distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same values.

    Raises:
        ValueError: If there are none, or one is there twice.
    """
    if len(set(values)) < len(values) or not values:
        raise ValueError("one or several, none of them twice")
    return values


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("a text that is not empty")
    return value


def _on_disk(place: str) -> str:
    if is_url(place):
        raise ValueError("a path: pictures are rendered on this disk")
    return place


def _network_name(name: str) -> str:
    if name not in (*NETWORKS, SSS):
        raise ValueError(f"one of {', '.join((*NETWORKS, SSS))}")
    return name


def _date(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise ValueError("a date in quotes, such as '2026-11-30'") from error


def _rosta(name: str) -> str:
    if name.upper() not in {*Rosta}:
        raise ValueError(f"one of {', '.join(Rosta)}")
    return name.upper()


Text: TypeAlias = Annotated[str, AfterValidator(_not_blank)]
Place: TypeAlias = Annotated[Text, AfterValidator(absolute)]
"""A file or folder, or its URL; a relative path is taken from the folder in which the study is read."""
LocalPlace: TypeAlias = Annotated[Place, AfterValidator(_on_disk)]
Weights: TypeAlias = Annotated[
    Text, AfterValidator(lambda given: given if given.startswith(PACKAGE) else absolute(given))
]
RecipeName: TypeAlias = Annotated[
    Text, AfterValidator(lambda name: name if name in shipped_recipes() else absolute(name))
]
Seed: TypeAlias = Annotated[int, Field(ge=0)]
NetworkName: TypeAlias = Annotated[str, AfterValidator(_network_name)]
RostaName: TypeAlias = Annotated[str, AfterValidator(_rosta)]
Date: TypeAlias = Annotated[str, AfterValidator(_date)]
Paper: TypeAlias = Mapping[str, Mapping[str, Mapping[str, float]]]


@settings
class BackgroundSet:
    """Where backgrounds come from: exactly one of the three.

    Attributes:
        take: A folder, a table or a curated set, as it is.
        curate: Photographs for `rssn build-bg20k`, with its options.
        crops: The name of a curated set, of whose rejected photographs with salient objects crops are taken; the
            options are those of `pipelines.study.crops`.
        options: See above.
    """

    take: Place | None = None
    curate: Place | None = None
    crops: Text | None = None
    options: Options = field(default_factory=dict)


@settings
class Network:
    """What is trained; or `sss`, which segments photographs without a training.

    Attributes:
        name: As `train run --network` has it; or `sss`.
        backbone: See `train run --backbone`.
        rosta: Of `gfm`: one representation or several, in any case; TT where none is given.
        ensemble: Of `gfm`: whether the median of their mattes is evaluated too.
        weights: Of the encoder: a file, or `package:NAME/FILE` for one that an installed package brings along.
        options: Of `train run`; of `sss` those of `train eval --method sss`.
        evaluation: `max-side` and `hybrid` of `train eval` in place of the study's; `{}`: as the training saw pictures.
    """

    backbone: Text
    name: NetworkName = "gfm"
    rosta: Annotated[tuple[RostaName, ...], BeforeValidator(listed), AfterValidator(distinct)] | None = None
    ensemble: bool = False
    weights: Weights | None = None
    options: Options = field(default_factory=dict)
    evaluation: Options | None = None

    @property
    def trained(self) -> tuple[str, ...]:
        """What is trained for each seed: GFM with each representation; any other network once; SSS not at all."""
        if self.name == "gfm":
            return self.rosta or ("TT",)
        return () if self.name == SSS else (self.name.upper(),)

    @property
    def variants(self) -> Mapping[str, tuple[str, ...]]:
        """What the table has a line for, and which of `trained` it consists of; of SSS both choices of layers."""
        if self.name == SSS:
            return {"SSS": (), "SSS-oracle": ()}
        return {each: (each,) for each in self.trained} | ({"ensemble": self.trained} if self.ensemble else {})


@settings
class Row:
    """A row of the table: what the network is trained on, and which one where it is not the study's.

    Attributes:
        recipe: As `rssn compose --recipe` takes it; None: the photographs themselves (`rssn pack`, the ORI-Track).
        backgrounds: The name of a set.
        options: Of `rssn compose` or `rssn pack`.
        training: Options of `train run` that differ from the network's, `backbone` and `weights` among them.
        network: Takes the place of the study's; nothing of that is inherited.
    """

    recipe: RecipeName | None = None
    backgrounds: Text | None = None
    options: Options = field(default_factory=dict)
    training: Options = field(default_factory=dict)
    network: Network | None = None


def alpha_scale_of(options: Options) -> float | None:
    """The value that means opaque, as options have it.

    Raises:
        InputError: If it is none.
    """
    value = options.get("alpha-scale")
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"--alpha-scale {value!r}: give the value that means opaque, such as 1 or 255") from error


@settings
class EvaluationSet:
    """Real photographs with mattes.

    Attributes:
        data: A matting data set, or shards.
        options: Of `train eval`; `max-side` and `hybrid`, for networks alone, are those of all sets.
        tuned: What was chosen on these photographs; empty: nothing was.
        predicted: Whether a network made the mattes, so that what is alike is measured, not what is right.
        note: What else the report says of it.
    """

    data: Place
    options: Options = field(default_factory=dict)
    tuned: str = ""
    predicted: bool = False
    note: str = ""

    @property
    def alpha_scale(self) -> float | None:
        """The value that means opaque in its mattes."""
        return alpha_scale_of(self.options)


@settings
class Evaluation:
    """What rows are evaluated on: one set of photographs, or several, which are reported apart.

    Attributes:
        data: The set, where there is one.
        sets: By name, where there are several. The one test is made on the first on which nothing was chosen and whose
            mattes no network made; where there is none such, on the first whose mattes are true. The others are
            described.
        options: Of all sets.
    """

    data: Place | None = None
    sets: Mapping[str, EvaluationSet] = field(default_factory=dict)
    options: Options = field(default_factory=dict)

    @property
    def named(self) -> Mapping[str, EvaluationSet]:
        """All sets by name, with all of their options; first the one that is tested. A set alone has an empty name."""
        sets = self.sets or {"": EvaluationSet(data=self.data or "")}
        return {
            name: replace(sets[name], options={**self.options, **sets[name].options})
            for name in sorted(sets, key=lambda name: (sets[name].predicted, bool(sets[name].tuned)))
        }

    @property
    def tested(self) -> EvaluationSet | None:
        """The set that is tested; None where networks made all mattes."""
        first = next(iter(self.named.values()))
        return None if first.predicted else first


@settings
class Design:
    """What was decided before the data were seen; `rssn study --power` says what goes together.

    Attributes:
        date: When.
        pilot: The finished study whose spread was known, and the command that read it.
        difference: What is looked for, by what share SAD is smaller.
        seeds: Of each row.
        photographs: Of the set that is tested.
        power: How often a study of that size finds that difference.
        cautious: The same with all of the pilot's spreads at the upper end of their intervals.
    """

    date: Date
    pilot: Text
    difference: Annotated[float, Field(gt=0, lt=1)]
    seeds: Annotated[int, Field(ge=2)]
    photographs: Annotated[int, Field(ge=2)]
    power: Annotated[float, Field(gt=0, lt=1)]
    cautious: Annotated[float, Field(gt=0, lt=1)]
