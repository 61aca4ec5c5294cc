"""The steps of a study, each one of our commands, and the names that say what each depends on.

A step's key covers its command, what it reads, what its recipe says, the version of this package, and the keys of the
steps whose results it takes. So another recipe makes again what is made from it, and nothing else; another release
makes all again. Neither names that people give nor the options of `words.UNCOUNTED` are in it. What has its mark is
never made again.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import click

from pipelines.study.arguments import words_of
from pipelines.study.fingerprint import Facts, contents, digests
from pipelines.study.schema import BackgroundSet, Options, Row, Study
from pipelines.study.versions import made_by
from rssn.errors import InputError
from rssn.route.recipe import load_recipe
from rssn.storage.weights import weights_file

Kind: TypeAlias = Literal["curate", "crops", "compose", "pack", "train", "eval"]

KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order of the work."""

_MODULES: dict[Kind, str] = {"train": "train.cli", "eval": "train.cli", "crops": "pipelines.study.crops"}
_VERBS: dict[Kind, tuple[str, ...]] = {"curate": ("build-bg20k",), "crops": (), "train": ("run",)}  # else the kind


class Result(NamedTuple):
    """A file or folder that a step makes, as an argument of another."""

    step: Step
    inner: str = ""


@dataclass(frozen=True, eq=False)
class Step:
    """One command.

    Attributes:
        kind: Which of our commands.
        name: Of the row, set or training, unique among its kind.
        arguments: Those that count, without what says where it writes, and with how many processes.
        reads: Files and folders besides the results of other steps.
        uncounted: Arguments that its key does not cover.
        recipe: What the recipe says, as JSON.
    """

    kind: Kind
    name: str
    arguments: tuple[str | Result, ...]
    reads: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = ()
    recipe: str = ""

    @property
    def module(self) -> str:
        """The module of the command."""
        return _MODULES.get(self.kind, "pipelines.cli")

    @property
    def needs(self) -> list[Step]:
        """The steps whose results it takes."""
        return [each.step for each in self.arguments if isinstance(each, Result)]

    @cached_property
    def key(self) -> str:
        """12 hex digits."""
        words = [self._meaning(each) for each in self.arguments]
        facts = [made_by().get("rssn"), self.kind, words, self.recipe, [listing(path) for path in self.reads]]
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

    def folder(self, root: Path) -> Path:
        """Where its results, its log and its mark lie below the study's folder, whatever name they were made under."""
        own = root / "steps" / f"{self.label}-{self.key}"
        found = sorted((root / "steps").glob(f"{self.kind}-*-{self.key}"))
        return min(found or [own], key=lambda place: (not (place / "step.json").is_file(), place != own))

    def out(self, root: Path) -> Path:
        """Its results."""
        return self.folder(root) / "out"

    def mark(self, root: Path) -> Path:
        """Written last of all."""
        return self.folder(root) / "step.json"

    def command(self, root: Path) -> list[str]:
        """The arguments that its module takes."""
        words = [str(each.step.out(root) / each.inner) if isinstance(each, Result) else each for each in self.arguments]
        return [*words, *self.uncounted, "--out", str(self.out(root))]


class Training(NamedTuple):
    """The networks of one cell: several where it is an ensemble."""

    row: str
    rosta: str  # `ensemble` for the median of all
    seed: int
    judged: Step


class Plan(NamedTuple):
    """All steps of a study, in an order in which they can be made, and what each cell of its table comes from."""

    steps: list[Step]
    cells: list[Training]


def plan_study(study: Study, memo: Path | None = None) -> Plan:
    """The steps of a study.

    Args:
        study: The study.
        memo: A file that remembers digests of inputs, see `Digests`; it is read only.

    Raises:
        InputError: If an input is missing, or a command does not know an option.
        DependencyError: If the package that brings the weights is not installed.
    """
    listing.cache_clear()
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
    steps = [step for name, step in sets.items() if isinstance(step, Step) and _is_used(name, used, study)]
    steps += [step for shards in made.values() for step in shards]
    for cell in cells:
        steps += [*cell.judged.needs, cell.judged]
    for step in dict.fromkeys(steps):
        _ = step.key  # what lies there now decides, and what is missing is said before anything is made
        settings(step)
    return Plan(sorted(dict.fromkeys(steps), key=lambda step: KINDS.index(step.kind)), cells)


def settings(step: Step) -> Mapping[str, Any]:
    """What a step's command understands, by parameter, defaults and all.

    Raises:
        InputError: Naming the step and the option that its command does not know.
    """
    words = step.command(Path())
    command = _command(step.module, words)
    try:
        params: Mapping[str, Any] = command.make_context(step.label, words).params
    except click.UsageError as error:
        raise InputError(f"{step.label}: {error.format_message()}") from error
    return params


def _is_used(name: str, used: set[str | None], study: Study) -> bool:
    return name in used or any(study.backgrounds[other].crops == name for other in used if other is not None)


def _command(module: str, words: list[str]) -> click.Command:
    """The command that words name; where the module has several, the first word is its name, and is taken away."""
    main: click.Command = importlib.import_module(module).main  # not above: the `rssn` command holds this module
    return main.commands[words.pop(0)] if isinstance(main, click.Group) else main


def _step(
    kind: Kind, name: str, words: Iterable[str | Result], options: Options, reads: Sequence[str], recipe: str = ""
) -> Step:
    """A step of words that the study sets, and of options that its file gives."""
    verb = _VERBS.get(kind, (kind,))
    given = words_of(options, kind, _command(Step(kind, name, ()).module, list(verb)))
    said = json.dumps(load_recipe(recipe).to_dict()) if recipe else ""
    uncounted = (*given.uncounted, *(("--recipe", recipe) if kind == "compose" else ()))
    return Step(kind, name, (*verb, *words, *given.counted), (*reads, *given.reads), uncounted, said)


def _background_step(name: str, one: BackgroundSet, sets: dict[str, Step | str]) -> Step | str:
    if one.take is not None:
        return one.take
    if one.curate is not None:
        return _step("curate", name, [one.curate], one.options, [one.curate])
    curated = sets[one.crops or ""]
    return _step("crops", name, [Result(curated) if isinstance(curated, Step) else curated], one.options, [])


def _shard_steps(name: str, row: Row, study: Study, sets: dict[str, Step | str]) -> Iterator[Step]:
    for number, matting in enumerate(study.foregrounds):
        label = name if len(study.foregrounds) == 1 else f"{name}-{number}"
        if row.recipe is None:
            yield _step("pack", label, ["--matting", matting], row.options, [matting], "ori")
            continue
        found = sets[row.backgrounds or ""]
        place, reads = (Result(found), []) if isinstance(found, Step) else (found, [found])
        words = ["--matting", matting, "--backgrounds", place]
        yield _step("compose", label, words, row.options, [matting, *reads], row.recipe)


def _cells(name: str, row: Row, study: Study, shards: Sequence[Step], known: dict[str, Step]) -> Iterator[Training]:
    network, judge = study.network, study.evaluation
    trainings: dict[tuple[str, int], Step] = {}
    for rosta, seed in product(network.rosta, study.seeds):
        step = _train_step(name, row, study, shards, rosta, seed)
        trainings[rosta, seed] = known.setdefault(step.key, step)
    groups = {rosta: (rosta,) for rosta in network.rosta} | ({"ensemble": network.rosta} if network.ensemble else {})
    for label, members in groups.items():
        for seed in study.seeds:
            checkpoints = [Result(trainings[rosta, seed], "last.pt") for rosta in members]
            words = [word for checkpoint in checkpoints for word in ("--checkpoint", checkpoint)]
            words += ["--data", judge.data, "--mattes"]
            step = _step("eval", f"{name}-{label.lower()}-{seed}", words, judge.options, [judge.data])
            yield Training(name, label, seed, known.setdefault(step.key, step))


def _train_step(name: str, row: Row, study: Study, shards: Sequence[Step], rosta: str, seed: int) -> Step:
    network = study.network
    options = {"backbone": network.backbone, "weights": network.weights} | dict(network.options) | dict(row.training)
    given = options.pop("weights")
    words: list[str | Result] = [word for step in shards for word in ("--data", Result(step))]
    words += ["--backbone", options.pop("backbone"), "--rosta", rosta, "--seed", str(seed)]
    if given:
        options["weights"] = str(weights_file(given))
    return _step("train", f"{name}-{rosta.lower()}-{seed}", words, options, [])


@lru_cache
def listing(path: str) -> Facts:
    """`contents` of a place, looked for once in a plan.

    Raises:
        InputError: If nothing lies there, or nothing that counts.
    """
    return contents(Path(path))
