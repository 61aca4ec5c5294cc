"""The steps of a study, each a job of one kind, and the names that say what each depends on.

A step's key covers its inputs and options, what it reads, what its recipe says, the version of this package, and the
keys of the steps whose results it takes. So another recipe makes again what is made from it, and nothing else; another
release makes all again. Neither names that people give nor the options of `Kind.uncounted` are in it. What has its mark
is never made again.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.metadata import PackageNotFoundError
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from pipelines.study.fingerprint import Facts, digests, fingerprint
from pipelines.study.jobs import KINDS
from pipelines.study.kinds import Options, listed
from pipelines.study.parts import NETWORKS_ALONE, SSS, BackgroundSet, Network, Row
from pipelines.study.schema import Study
from rssn.errors import InputError
from rssn.gap.classifiers import require_scikit_learn
from rssn.route.recipe import load_recipe
from rssn.storage.location import BucketPath, Location, parse_location
from rssn.versions import version


@dataclass(frozen=True)
class Result:
    """A file or folder that a step makes, as an input of another."""

    step: Step
    inner: str = ""

    def path(self, root: Location) -> str:
        """Where it lies."""
        out = self.step.out(root)
        return str(out / self.inner if self.inner else out)


@dataclass(frozen=True, eq=False)
class Step:
    """One job.

    Attributes:
        kind: Of `KINDS`.
        name: Of the row, set or training, unique among its kind.
        inputs: What the study sets, by option or argument: plain values, results of other steps, or several of them.
        options: Of the study file; paths are absolute.
        reads: Files and folders besides the results of other steps.
        recipe: What the recipe says, as JSON.
    """

    kind: str
    name: str
    inputs: Mapping[str, Any]
    options: Options = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    recipe: str = ""

    @property
    def needs(self) -> list[Step]:
        """The steps whose results it takes."""
        return [each.step for value in self.inputs.values() for each in listed(value) if isinstance(each, Result)]

    @cached_property
    def key(self) -> str:
        """12 hex digits."""
        kind = KINDS[self.kind]
        uncounted = kind.uncounted - ({"validate-every"} if "patience" in self.options else set())
        counted = {name: value for name, value in {**self.inputs, **self.options}.items() if name not in uncounted}
        verb = kind.program[1:] if len(kind.program) == 2 else ()
        words = [*verb, *(self._meaning(each) for each in kind.words(counted))]
        facts = [made_by().get("rssn"), self.kind, words, self.recipe, [input_fingerprint(path) for path in self.reads]]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]

    def _meaning(self, word: str | Result) -> str:
        """Of an argument: what is read counts by what lies there, not by where."""
        if isinstance(word, Result):
            return f"{word.step.key}/{word.inner}"
        before, equals, path = ("", "", word) if word in self.reads else word.partition("=")
        return f"{before}{equals}input {self.reads.index(path)}" if path in self.reads else word

    @property
    def label(self) -> str:
        """For people, and in the name of its folder."""
        return f"{self.kind}-{self.name}"

    def folder(self, root: Location) -> Location:
        """Where its results, its log and its mark lie below the study's folder, whatever name they were made under."""
        own = root / "steps" / f"{self.label}-{self.key}"
        made = _made_in_bucket if isinstance(root, BucketPath) else _made
        found = made(root).get((self.kind, self.key), {})
        return min(found or [own], key=lambda place: (not found.get(place), place != own))

    def out(self, root: Location) -> Location:
        """Its results."""
        return self.folder(root) / "out"

    def mark(self, root: Location) -> Location:
        """Written last of all."""
        return self.folder(root) / "step.json"

    def given(self, root: Location, workers: Options | None = None) -> dict[str, Any]:
        """All options that its command is given, with the paths of other steps' results.

        Args:
            root: The study's folder.
            workers: Options for commands that start workers of their own.
        """

        def place(value: Any) -> Any:
            return value.path(root) if isinstance(value, Result) else value

        located = {
            name: tuple(map(place, value)) if isinstance(value, tuple) else place(value)
            for name, value in self.inputs.items()
        }
        starts = workers if workers and "address" in KINDS[self.kind].options else {}
        return {**located, **self.options, "out": str(self.out(root)), **starts}

    def settings(self, root: Location) -> Any:
        """The typed options of its command.

        Raises:
            InputError: Naming the step and what is wrong with its options.
        """
        try:
            with KINDS[self.kind].reading(self.given(root)) as settings:
                return settings
        except InputError as error:
            raise InputError(f"{self.label}: {error}") from error

    def command(self, root: Location, workers: Options | None = None) -> str:
        """What a person types to make it by hand, once what it needs is made."""
        kind = KINDS[self.kind]
        return shlex.join([*kind.program, *map(str, kind.words(self.given(root, workers)))])


class Cell(NamedTuple):
    """Where the figures of a row, a variant of its network and a seed come from."""

    row: str
    variant: str  # see `Network.variants`
    seed: int
    evaluation: Step
    inner: str = ""
    set: str = ""  # of photographs, by name

    def results(self, root: Location) -> Location:
        """The folder with what was evaluated."""
        out = self.evaluation.out(root)
        return out / self.inner if self.inner else out


class Plan(NamedTuple):
    """All steps of a study, in an order in which they can be made, and where the cells of its table come from."""

    steps: list[Step]
    cells: list[Cell]
    meters: Mapping[str, Step] = MappingProxyType({})  # by row: what measures its composites against photographs


def plan_study(study: Study, memo: Location | None = None) -> Plan:
    """The steps of a study.

    Args:
        study: The study.
        memo: A file that remembers digests of inputs, see `Digests`; it is read only.

    Raises:
        InputError: If an input is missing, or a command does not know an option.
        DependencyError: If the package that brings the weights is not installed, or that of the meter.
    """
    if study.gap is not None:
        require_scikit_learn()
    input_fingerprint.cache_clear()
    _made_in_bucket.cache_clear()
    digests.open(memo)
    sets: dict[str, Step | str] = {}
    for name, one in sorted(study.backgrounds.items(), key=lambda item: item[1].crops is not None):
        sets[name] = _background_step(name, one, sets)
    used = {row.backgrounds for row in study.rows.values() if row.recipe is not None}
    made: dict[str, list[Step]] = {}
    known: dict[str, Step] = {}  # rows that differ in their network alone share their shards; those that do not, all
    for name, row in study.rows.items():
        made[name] = [known.setdefault(step.key, step) for step in _shard_steps(name, row, study, sets)]
    cells = [cell for name, row in study.rows.items() for cell in _cells(name, row, study, made[name], known)]
    meters = dict(_meters(study, made, known))
    steps = [step for name, step in sets.items() if isinstance(step, Step) and _is_used(name, used, study)]
    steps += [step for shards in made.values() for step in shards]
    for step in (*meters.values(), *(cell.evaluation for cell in cells)):
        steps += [*step.needs, step]
    for step in dict.fromkeys(steps):
        _ = step.key  # what lies there now decides, and what is missing is said before anything is made
        step.settings(Path())
    order = list(KINDS)
    return Plan(sorted(dict.fromkeys(steps), key=lambda step: order.index(step.kind)), cells, meters)


def _is_used(name: str, used: set[str | None], study: Study) -> bool:
    return name in used or any(study.backgrounds[other].crops == name for other in used if other is not None)


def _step(kind: str, name: str, inputs: Mapping[str, Any], options: Options, reads: Sequence[str]) -> Step:
    """A step of inputs that the study sets, and of options that its file gives."""
    located, paths = KINDS[kind].locate(options)
    found = [path for option, each in paths.items() if option not in KINDS[kind].uncounted for path in each]
    recipe = inputs.get("recipe", "ori") if kind in ("compose", "pack") else ""
    said = json.dumps(load_recipe(recipe).to_dict()) if recipe else ""
    return Step(kind, name, inputs, located, (*reads, *found), said)


def _background_step(name: str, one: BackgroundSet, sets: dict[str, Step | str]) -> Step | str:
    if one.take is not None:
        return one.take
    if one.curate is not None:
        return _step("curate", name, {"photos": one.curate}, one.options, [one.curate])
    curated = sets[one.crops or ""]
    return _step("crops", name, {"curated": Result(curated) if isinstance(curated, Step) else curated}, one.options, [])


def _shard_steps(name: str, row: Row, study: Study, sets: dict[str, Step | str]) -> Iterator[Step]:
    for number, matting in enumerate(study.foregrounds if study.network_of(name).trained else ()):
        label = name if len(study.foregrounds) == 1 else f"{name}-{number}"
        if row.recipe is None:
            yield _step("pack", label, {"matting": matting}, row.options, [matting])
            continue
        found = sets[row.backgrounds or ""]
        place, reads = (Result(found), []) if isinstance(found, Step) else (found, [found])
        inputs = {"matting": matting, "backgrounds": place, "recipe": row.recipe}
        yield _step("compose", label, inputs, row.options, [matting, *reads])


def _meters(study: Study, made: Mapping[str, Sequence[Step]], known: dict[str, Step]) -> Iterator[tuple[str, Step]]:
    """Of each composed row, against its foregrounds' photographs, read and stored as the row's composites are."""
    for name, row in study.rows.items() if study.gap is not None else ():
        if row.recipe is None or not made[name]:
            continue
        alike = {option: value for option, value in row.options.items() if option in KINDS["pack"].options}
        packed = []
        for number, matting in enumerate(study.foregrounds):
            label = f"photographs-{name}" if len(study.foregrounds) == 1 else f"photographs-{name}-{number}"
            step = _step("pack", label, {"matting": matting}, alike, [matting])
            packed.append(known.setdefault(step.key, step))
        inputs = {"composed": tuple(map(Result, made[name])), "real": tuple(map(Result, packed))}
        step = _step("gap", name, inputs, study.gap or {}, [])
        yield name, known.setdefault(step.key, step)


def _cells(name: str, row: Row, study: Study, shards: Sequence[Step], known: dict[str, Step]) -> Iterator[Cell]:
    network = study.network_of(name)
    if network.name == SSS:
        yield from _untrained_cells(name, network, study, known)
        return
    trainings: dict[tuple[str, int], Step] = {}
    for variant, seed in product(network.trained, study.seeds):
        step = _train_step(name, row, network, shards, variant, seed)
        trainings[variant, seed] = known.setdefault(step.key, step)
    for (place, one), (variant, members), seed in product(
        study.evaluation.named.items(), network.variants.items(), study.seeds
    ):
        own = one.options if network.evaluation is None else _shared(one.options) | dict(network.evaluation)
        checkpoints = tuple(Result(trainings[each, seed], "last.pt") for each in members)
        inputs = {"checkpoint": checkpoints, "data": one.data, "mattes": True}
        label = "-".join(filter(None, (name, variant.lower(), place, str(seed))))
        step = _step("eval", label, inputs, own, [one.data])
        yield Cell(name, variant, seed, known.setdefault(step.key, step), set=place)


def _untrained_cells(name: str, network: Network, study: Study, known: dict[str, Step]) -> Iterator[Cell]:
    """Of SSS, one evaluation for each set and seed, which chooses layers in two ways."""
    for (place, one), seed in product(study.evaluation.named.items(), study.seeds):
        options = {"encoder-weights": network.weights} | _shared(one.options) | dict(network.options)
        inputs = {"method": SSS, "data": one.data, "backbone": network.backbone, "seed": seed, "mattes": True}
        made = _step(SSS, "-".join(filter(None, (name, place, str(seed)))), inputs, options, [one.data])
        step = known.setdefault(made.key, made)
        for variant, inner in zip(network.variants, ("", "oracle"), strict=True):
            yield Cell(name, variant, seed, step, inner, place)


def _shared(options: Options) -> dict[str, Any]:
    """Options of an evaluation that do not say what a network sees."""
    return {name: value for name, value in options.items() if name not in NETWORKS_ALONE}


def _train_step(name: str, row: Row, network: Network, shards: Sequence[Step], variant: str, seed: int) -> Step:
    options = {"backbone": network.backbone, "weights": network.weights} | dict(network.options) | dict(row.training)
    weights = options.pop("weights")
    if weights:
        options["weights"] = weights
    chosen = {"rosta": variant} if network.name == "gfm" else {"network": network.name}
    inputs = {"data": tuple(map(Result, shards)), "backbone": options.pop("backbone"), **chosen, "seed": seed}
    return _step("train", f"{name}-{variant.lower()}-{seed}", inputs, options, [])


@lru_cache
def input_fingerprint(path: str) -> Facts:
    """`fingerprint` of a place, taken once in a plan.

    Raises:
        InputError: If nothing lies there, or nothing that counts.
    """
    return fingerprint(parse_location(path))


def _made(root: Location) -> dict[tuple[str, str], dict[Location, bool]]:
    """Folders of steps by kind and key, and whether each is done."""
    found: dict[tuple[str, str], dict[Location, bool]] = {}
    for path in root.glob("steps/*/*.json"):
        kind, key = path.parent.name.partition("-")[0], path.parent.name.rpartition("-")[2]
        places = found.setdefault((kind, key), {})
        places[path.parent] = places.get(path.parent, False) or path.name == "step.json"
    return found


_made_in_bucket = lru_cache(_made)
"""The same, listed once in a plan."""


def made_by() -> dict[str, str]:
    """Versions that stand beside a step's result, of those packages that are installed; our own is in its key."""
    found = {}
    for name in ("rssn", "torch"):
        with suppress(PackageNotFoundError):  # curating and composing need no torch
            found[name] = version(name)
    return found
