"""A study file: which background sets, which recipes, which network, which photographs it is evaluated on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from itertools import combinations
from typing import Annotated, Any, TypeAlias, cast

from pydantic import AfterValidator, BeforeValidator, Field

from pipelines.study.jobs import KINDS
from pipelines.study.kinds import Options, absolute, check_option, listed
from rssn.errors import InputError
from rssn.route.recipe import shipped_recipes
from rssn.storage.documents import brief
from rssn.storage.settings import settings
from rssn.storage.urls import is_url
from rssn.storage.weights import PACKAGE
from train.metrics.paper import METRICS
from train.network.networks import NETWORKS
from train.targets.rosta import Rosta

NETWORKS_ALONE = ("max-side", "hybrid")
"""Options of `train eval` that say what a trained network sees."""

SSS = "sss"
"""The network of a row that is not trained, and the kind of its steps: Semantic Soft Segmentation."""


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
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
    rosta: Annotated[tuple[RostaName, ...], BeforeValidator(listed), AfterValidator(_distinct)] | None = None
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
        return _alpha_scale(self.options)


@settings
class Evaluation:
    """What rows are evaluated on: one set of photographs, or several, which are reported apart.

    Attributes:
        data: The set, where there is one.
        sets: By name, where there are several. The one test is made on the first on which nothing was chosen and whose
            mattes no network made, or on the first where there is none such; the others are described.
        options: Of all sets.
    """

    data: Place | None = None
    sets: Mapping[str, EvaluationSet] = field(default_factory=dict)
    options: Options = field(default_factory=dict)

    @property
    def named(self) -> Mapping[str, EvaluationSet]:
        """All sets by name, with all of their options; first the one that is tested, whose name is empty if alone."""
        sets = self.sets or {"": EvaluationSet(data=self.data or "")}
        tested = next((name for name, one in sets.items() if not one.tuned and not one.predicted), next(iter(sets)))
        return {
            name: replace(sets[name], options={**self.options, **sets[name].options})
            for name in sorted(sets, key=lambda name: name != tested)
        }


@settings
class Study:
    """A study; once it is read, every path in it is absolute.

    Attributes:
        name: Of the study.
        about: What it asks, in a sentence or two.
        foregrounds: Matting data sets.
        backgrounds: By name.
        rows: By name, in the order of the table.
        network: What is trained on each that names none of its own; not sss.
        seeds: Of the trainings, each another; three or more for a spread.
        evaluation: What all are evaluated on; see `Evaluation`.
        compare: Pairs of rows to be tested against each other; all pairs where none are given.
        paper: The paper's figures, by row, variant (see `Network.variants`) and column.
        gap: Options of `rssn gap`, whose two figures of each composed row then stand beside SAD; true: without any.
        synthetic: A folder into which the project renders pictures of its own, unless it is there.
    """

    name: Text
    foregrounds: Annotated[tuple[Place, ...], BeforeValidator(listed), AfterValidator(_distinct)]
    rows: Annotated[Mapping[str, Row], Field(min_length=1)]
    seeds: Annotated[tuple[Seed, ...], BeforeValidator(listed), AfterValidator(_distinct)]
    evaluation: Evaluation
    network: Network | None = None
    about: str = ""
    backgrounds: Mapping[str, BackgroundSet] = field(default_factory=dict)
    compare: tuple[tuple[Text, Text], ...] = ()
    paper: Paper = field(default_factory=dict)
    gap: Annotated[Options | None, BeforeValidator(lambda given: {} if given is True else given or None)] = None
    synthetic: LocalPlace | None = None

    def __post_init__(self) -> None:
        for name, one in self.backgrounds.items():
            self._check_backgrounds(f"backgrounds.{name}", name, one)
        for name, row in self.rows.items():
            self._check_row(f"rows.{name}", name, row)
        self._check_own_network()
        self._check_evaluation()
        _check_options("gap", self.gap or {}, "gap", _GAP)
        for pair in self.compare:
            if not set(pair) <= set(self.rows):
                raise InputError(f"'compare' holds {brief(list(pair))}; give pairs of rows: {', '.join(self.rows)}")
        for name, figures in self.paper.items():
            known = self.network_of(name).variants if name in self.rows else {}
            if not all(variant in known and set(of) <= set(METRICS) for variant, of in figures.items()) or not known:
                rows, columns, own = (", ".join(each) for each in (self.rows, METRICS, known or ("TT",)))
                words = f"give {{ROW: {{NETWORK: {{sad: 1.0}}}}}}; rows are {rows}, networks {own}, columns {columns}"
                raise InputError(f"'paper.{name}': {words}")

    def network_of(self, row: str) -> Network:
        """What is trained for a row."""
        return self.rows[row].network or cast(Network, self.network)  # `__post_init__` has seen to it

    def _check_backgrounds(self, where: str, name: str, one: BackgroundSet) -> None:
        _check_name(where, name)
        if sum(way is not None for way in (one.take, one.curate, one.crops)) != 1:
            raise InputError(f"'{where}': give one of take, curate and crops")
        if one.crops is not None and (one.crops not in self.backgrounds or not self.backgrounds[one.crops].curate):
            raise InputError(f"'{where}.crops' is {brief(one.crops)}; give the name of a set with curate")
        if one.take is not None and one.options:
            raise InputError(f"'{where}.options': a set that is taken has none; leave it out")
        kind = "curate" if one.curate else "crops"
        _check_options(f"{where}.options", one.options, kind, _CURATION if one.curate else {})

    def _check_row(self, where: str, name: str, row: Row) -> None:
        _check_name(where, name)
        if row.network:
            self._check_network(f"{where}.network", row.network)
            if row.network.name == SSS and row != Row(network=row.network):
                raise InputError(f"'{where}': sss is not trained; leave out all but its network")
        if row.recipe is not None and row.backgrounds not in self.backgrounds:
            known = ", ".join(self.backgrounds)
            raise InputError(f"'{where}.backgrounds' is {brief(row.backgrounds)}; the sets are {known}")
        _check_options(f"{where}.options", row.options, "compose" if row.recipe else "pack", _SHARDS)
        _check_options(f"{where}.training", row.training, "train", _TRAINING)

    def _check_evaluation(self) -> None:
        """Either one set or several; what a network sees is the same of all."""
        _check_options("evaluation.options", self.evaluation.options, "eval", _EVALUATION)
        if (self.evaluation.data is None) != bool(self.evaluation.sets):
            raise InputError("'evaluation': give one of data and sets")
        for name, one in self.evaluation.sets.items():
            where = f"evaluation.sets.{name}"
            _check_name(where, name)
            for option in one.options:
                if option in NETWORKS_ALONE:
                    raise InputError(f"'{where}.options.{option}': its place is evaluation.options, for all sets")
            _check_options(f"{where}.options", one.options, "eval", _EVALUATION)

    def _check_own_network(self) -> None:
        """The study's network is trained for the rows that name none: for one at least."""
        without = [name for name, row in self.rows.items() if row.network is None]
        if self.network is None:
            if without:
                raise InputError(f"'rows.{without[0]}' names no network; give the study one, 'network', or the row")
            return
        if not without:
            raise InputError("'network': every row names a network of its own; leave this one out")
        if self.network.name == SSS:
            raise InputError("'network': sss is not trained; give it to a row as the row's network")
        if self.network.evaluation is not None:
            raise InputError("'network.evaluation': of the study's network its place is evaluation.options")
        self._check_network("network", self.network)

    def _check_network(self, where: str, network: Network) -> None:
        """Refuse what its kind has no use for."""
        if network.name != "gfm" and (network.rosta or network.ensemble):
            raise InputError(f"'{where}': rosta and ensemble are GFM's; leave them out of {network.name}")
        if network.name == SSS and network.weights is None:
            raise InputError(f"'{where}.weights': sss takes features of an encoder that has learned; give its weights")
        kind, owned = (SSS, _SSS) if network.name == SSS else ("train", _TRAINING | _NETWORK)
        _check_options(f"{where}.options", network.options, kind, owned)
        if network.evaluation is not None:
            _check_view(f"{where}.evaluation", network, network.evaluation)
        seen = self.evaluation.options if network.evaluation is None else network.evaluation
        if network.name not in (SSS, "gfm") and "hybrid" in seen:
            words = f"{network.name} has no glance and no focus; give the row's network an 'evaluation', such as {{}}"
            raise InputError(f"'{where}': the evaluation's hybrid is GFM's, and {words}")

    @property
    def pairs(self) -> Sequence[tuple[str, str]]:
        """The rows that are compared."""
        return self.compare or list(combinations(self.rows, 2))

    @property
    def trainings(self) -> int:
        """Of a seed."""
        return sum(len(self.network_of(row).trained) for row in self.rows)

    @property
    def comparisons(self) -> int:
        """As many as `pipelines.study.comparisons.compare` makes."""
        variants = {row: set(self.network_of(row).variants) for row in self.rows}
        return sum(max(1, len(variants[first] & variants[second])) for first, second in self.pairs)

    @property
    def alpha_scales(self) -> list[float | None]:
        """The values that mean opaque in the mattes of the foregrounds, as the rows that train on them say."""
        trained = [row for name, row in self.rows.items() if self.network_of(name).trained]
        return list(dict.fromkeys(_alpha_scale(row.options) for row in trained))


_ALWAYS = {"out": "rssn study --out", "help": "the command line, as train run --help"}
_WORKERS = {"workers": "rssn study --workers", "address": "rssn study --address"}
_ANEW = "nowhere: what was changed is made anew, in a folder of its own"

_CURATION = {**_WORKERS, "export-folder": "rssn export, of the folder that is made"}
_SHARDS = {
    **_WORKERS, "matting": "foregrounds", "recipe": "the row's recipe", "backgrounds": "the row's backgrounds",
    "dry-run": "rssn study --dry-run", "extend": _ANEW, "overwrite": _ANEW, "retry-rejects": _ANEW,
}  # fmt: skip
_TRAINING = {
    "data": "foregrounds and rows", "seed": "seeds", "network": "network.name, of the study or of the row",
    "rosta": "network.rosta",
}  # fmt: skip
_NETWORK = {"backbone": "network.backbone", "weights": "network.weights"}
_SSS = {
    "data": "evaluation.data", "seed": "seeds", "backbone": "network.backbone", "encoder-weights": "network.weights",
    "method": "network.name", **dict.fromkeys(("checkpoint", "weights", *NETWORKS_ALONE), "nowhere: sss is no network"),
    **dict.fromkeys(("protocol", "trimaps", "alpha-scale"), "evaluation.options, for all rows"),
    "mattes": "nowhere: they are always written",
}  # fmt: skip
_GAP = {"composed": "rows", "real": "foregrounds"}
_EVALUATION = {
    "data": "evaluation.data", "checkpoint": "network", "weights": "network.weights",
    "mattes": "nowhere: they are always written", "method": "network.name, of a row",
    **dict.fromkeys(("backbone", "encoder-weights", "sss-side", "seed"), "the network of a row with name: sss"),
}  # fmt: skip


def _check_view(where: str, network: Network, seen: Options) -> None:
    _check_options(where, seen, "eval", {})
    idle = [name for name in seen if name not in NETWORKS_ALONE]
    if idle or network.name == SSS:
        words = "sss sees all of them at its sss-side" if network.name == SSS else f"{idle[0]} is of all networks"
        raise InputError(f"'{where}': says what a network sees, by max-side and hybrid; {words}")


def _check_name(where: str, name: str) -> None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise InputError(f"'{where}': use lower-case letters, digits and dashes")


def _check_options(where: str, options: Options, kind: str, owned: Mapping[str, str]) -> None:
    """Refuse options that are none, and those that the study sets itself: on a command line they would win."""
    owned = {**_ALWAYS, **owned}
    for name, value in options.items():
        if name in owned:
            raise InputError(f"'{where}.{name}': the study sets it itself; its place is {owned[name]}")
        check_option(where, name, value)
        if name not in KINDS[kind].options:
            known = ", ".join(sorted(KINDS[kind].options.keys() - set(owned)))
            raise InputError(f"'{where}.{name}': there is no such option; there are {known}")
        try:
            KINDS[kind].locate({name: value})
        except InputError as error:
            raise InputError(f"'{where}': {error}") from error


def _alpha_scale(options: Options) -> float | None:
    value = options.get("alpha-scale")
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"--alpha-scale {value!r}: give the value that means opaque, such as 1 or 255") from error
