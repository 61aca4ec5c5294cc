"""A study file: which background sets, which recipes, which network, which photographs it is evaluated on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from itertools import combinations
from typing import Annotated, NoReturn, cast

from pydantic import AfterValidator, BeforeValidator, Field

from pipelines.study.jobs import KINDS
from pipelines.study.kinds import Options, check_option, listed
from pipelines.study.parts import (
    NETWORKS_ALONE,
    SSS,
    BackgroundSet,
    Design,
    Evaluation,
    LocalPlace,
    Network,
    Paper,
    Place,
    Row,
    Seed,
    Text,
    alpha_scale_of,
    distinct,
)
from rssn.errors import InputError
from rssn.storage.documents import brief
from rssn.storage.settings import settings
from train.metrics.paper import METRICS


def _wanted(given: object) -> object:
    """True stands for no options, false for nothing at all."""
    return ({} if given else None) if isinstance(given, bool) else given


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
        design: Written before the data were seen; what contradicts it is refused.
        gap: Options of `rssn gap`, whose two figures of each composed row then stand beside SAD; true: without any.
        synthetic: A folder into which the project renders pictures of its own, unless it is there.
    """

    name: Text
    foregrounds: Annotated[tuple[Place, ...], BeforeValidator(listed), AfterValidator(distinct)]
    rows: Annotated[Mapping[str, Row], Field(min_length=1)]
    seeds: Annotated[tuple[Seed, ...], BeforeValidator(listed), AfterValidator(distinct)]
    evaluation: Evaluation
    network: Network | None = None
    about: str = ""
    backgrounds: Mapping[str, BackgroundSet] = field(default_factory=dict)
    compare: tuple[tuple[Text, Text], ...] = ()
    paper: Paper = field(default_factory=dict)
    design: Design | None = None
    gap: Annotated[Options | None, BeforeValidator(_wanted)] = None
    synthetic: LocalPlace | None = None

    def __post_init__(self) -> None:
        for name, one in self.backgrounds.items():
            self._check_backgrounds(f"backgrounds.{name}", name, one)
        for name, row in self.rows.items():
            self._check_row(f"rows.{name}", name, row)
        self._check_own_network()
        self._check_evaluation()
        self._check_design()
        _check_options("gap", self.gap or {}, "gap", _GAP)
        for pair in self.compare:
            if not set(pair) <= set(self.rows) or len(set(pair)) < 2:
                raise InputError(f"'compare' holds {brief(list(pair))}; give pairs of rows: {', '.join(self.rows)}")
            if sum(set(pair) == set(other) for other in self.compare) > 1:
                raise InputError(f"'compare' holds {brief(list(pair))} twice; name each pair of rows once")
        for name, figures in self.paper.items():
            known = self.network_of(name).variants if name in self.rows else {}
            if not all(variant in known and set(of) <= set(METRICS) for variant, of in figures.items()) or not known:
                rows, columns, own = (", ".join(each) for each in (self.rows, METRICS, known or ("TT",)))
                words = f"give {{ROW: {{NETWORK: {{sad: 1.0}}}}}}; rows are {rows}, networks {own}, columns {columns}"
                raise InputError(f"'paper.{name}': {words}")

    def _check_design(self) -> None:
        """What was written before must be of this study, and of photographs that were not seen then."""
        if not self.design:
            return
        if self.design.seeds != len(self.seeds):
            self.refuse_design("seeds", len(self.seeds))
        tested = self.evaluation.tested
        if tested is None or tested.tuned:
            words = "needs a set of evaluation.sets on which nothing was chosen (tuned) and whose mattes are true"
            raise InputError(f"'design' {words} (not predicted), to be tested; give one, or leave the design out")

    def refuse_design(self, key: str, count: int) -> NoReturn:
        """Say that a number of the design is another in the study.

        Raises:
            InputError: Always.
        """
        words = f"'design.{key}' is {getattr(self.design, key)}, but the study has {count}"
        raise InputError(f"{words}; keep to the design, or write another one, with its date")

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
        return list(dict.fromkeys(alpha_scale_of(row.options) for row in trained))


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
