"""The steps of a study, each one of our commands, and the names that say what each depends on.

A step's key covers its command, what it reads, and the keys of the steps whose results it takes. So another recipe
changes the names of what is made from it, and of nothing else; what has its mark is never made again.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import click

from pipelines.recipes import shipped as shipped_recipes
from pipelines.study.definition import BackgroundSet, Options, Row, Study
from pipelines.study.reading import weights_file
from rssn.errors import InputError

Kind: TypeAlias = Literal["curate", "crops", "compose", "pack", "train", "eval"]

KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order of the work."""

_MODULES: dict[Kind, str] = {"train": "train.cli", "eval": "train.cli", "crops": "pipelines.study.crops"}


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
        arguments: Without what says where it writes, and with how many processes.
        reads: Files and folders besides the results of other steps.
    """

    kind: Kind
    name: str
    arguments: tuple[str | Result, ...]
    reads: tuple[str, ...] = ()

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
        facts = [self.kind, words, [listing(path) for path in self.reads]]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]

    def _meaning(self, word: str | Result) -> str:
        """Of an argument: what is read counts by what lies there, not by where."""
        if isinstance(word, Result):
            return f"{word.step.key}/{word.inner}"
        return f"input {self.reads.index(word)}" if word in self.reads else word

    @property
    def label(self) -> str:
        """For people, and in the name of its folder."""
        return f"{self.kind}-{self.name}"

    def folder(self, root: Path) -> Path:
        """Where its results, its log and its mark lie below the study's folder."""
        return root / "steps" / f"{self.label}-{self.key}"

    def out(self, root: Path) -> Path:
        """Its results."""
        return self.folder(root) / "out"

    def mark(self, root: Path) -> Path:
        """Written last of all."""
        return self.folder(root) / "step.json"

    def command(self, root: Path) -> list[str]:
        """The arguments that its module takes."""
        words = [str(each.step.out(root) / each.inner) if isinstance(each, Result) else each for each in self.arguments]
        return [*words, "--out", str(self.out(root))]


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


def plan_study(study: Study) -> Plan:
    """The steps of a study.

    Raises:
        InputError: If an input is missing, or a command does not know an option.
        DependencyError: If the package that brings the weights is not installed.
    """
    listing.cache_clear()
    sets: dict[str, Step | str] = {}
    for name, one in sorted(study.backgrounds.items(), key=lambda item: item[1].crops is not None):
        sets[name] = _background_step(name, one, sets)
    used = {row.backgrounds for row in study.rows.values() if row.recipe is not None}
    made: dict[str, list[Step]] = {}
    known: dict[str, Step] = {}  # rows that differ in their network alone share their shards
    for name, row in study.rows.items():
        made[name] = [known.setdefault(step.key, step) for step in _shard_steps(name, row, study, sets)]
    cells = [cell for name, row in study.rows.items() for cell in _cells(name, row, study, made[name])]
    steps = [step for name, step in sets.items() if isinstance(step, Step) and _is_used(name, used, study)]
    steps += [step for shards in made.values() for step in shards]
    for cell in cells:
        steps += [*cell.judged.needs, cell.judged]
    for step in dict.fromkeys(steps):
        _ = step.key  # what lies there now decides, and what is missing is said before anything is made
        settings(step)
    return Plan(sorted(dict.fromkeys(steps), key=lambda step: KINDS.index(step.kind)), cells)


def arguments(options: Options) -> list[str]:
    """Options as a command line has them: true is a flag, a list repeats its option, `[[a, b]]` gives two values."""
    words: list[str] = []
    for name, value in options.items():
        for one in value if isinstance(value, tuple) else (value,):
            if one is not False:
                parts = one if isinstance(one, tuple) else () if one is True else (one,)
                words += [f"--{name}", *map(str, parts)]
    return words


def settings(step: Step) -> Mapping[str, Any]:
    """What a step's command understands, by parameter, defaults and all.

    Raises:
        InputError: Naming the step and the option that its command does not know.
    """
    command = importlib.import_module(step.module).main  # not above: the `rssn` command holds this module
    words = step.command(Path())
    if isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    try:
        params: Mapping[str, Any] = command.make_context(step.label, words).params
    except click.UsageError as error:
        raise InputError(f"{step.label}: {error.format_message()}") from error
    return params


def _is_used(name: str, used: set[str | None], study: Study) -> bool:
    return name in used or any(study.backgrounds[other].crops == name for other in used if other is not None)


def _background_step(name: str, one: BackgroundSet, sets: dict[str, Step | str]) -> Step | str:
    if one.take is not None:
        return one.take
    words = arguments(one.options)
    if one.curate is not None:
        return Step("curate", name, ("build-bg20k", one.curate, *words), (one.curate, *_files(words)))
    curated = sets[one.crops or ""]
    return Step("crops", name, (Result(curated) if isinstance(curated, Step) else curated, *words))


def _shard_steps(name: str, row: Row, study: Study, sets: dict[str, Step | str]) -> Iterator[Step]:
    for number, matting in enumerate(study.foregrounds):
        label = name if len(study.foregrounds) == 1 else f"{name}-{number}"
        given = ("--matting", matting, *arguments(row.options))
        if row.recipe is None:
            yield Step("pack", label, ("pack", *given), (matting,))
            continue
        found = sets[row.backgrounds or ""]
        place: str | Result = Result(found) if isinstance(found, Step) else found
        reads = [matting, *([place] if isinstance(place, str) else [])]
        reads += [] if row.recipe in shipped_recipes() else [row.recipe]
        yield Step("compose", label, ("compose", *given, "--recipe", row.recipe, "--backgrounds", place), tuple(reads))


def _cells(name: str, row: Row, study: Study, shards: Sequence[Step]) -> Iterator[Training]:
    network, judge = study.network, study.evaluation
    trainings = {
        (rosta, seed): _train_step(name, row, study, shards, rosta, seed)
        for rosta in network.rosta
        for seed in study.seeds
    }
    judging = ("--data", judge.data, "--mattes", *arguments(judge.options))
    groups = {rosta: (rosta,) for rosta in network.rosta} | ({"ensemble": network.rosta} if network.ensemble else {})
    for label, members in groups.items():
        for seed in study.seeds:
            checkpoints = [Result(trainings[rosta, seed], "last.pt") for rosta in members]
            words = [word for checkpoint in checkpoints for word in ("--checkpoint", checkpoint)]
            step = Step("eval", f"{name}-{label.lower()}-{seed}", ("eval", *words, *judging), (judge.data,))
            yield Training(name, label, seed, step)


def _train_step(name: str, row: Row, study: Study, shards: Sequence[Step], rosta: str, seed: int) -> Step:
    network = study.network
    options = {"backbone": network.backbone, "weights": network.weights} | dict(network.options) | dict(row.training)
    weights = [str(weights_file(given))] if (given := options.pop("weights")) else []
    backbone = options.pop("backbone")
    data = [word for step in shards for word in ("--data", Result(step))]
    words = ["--backbone", backbone, "--rosta", rosta, "--seed", str(seed), *arguments(options)]
    words += [word for path in weights for word in ("--weights", path)]
    return Step("train", f"{name}-{rosta.lower()}-{seed}", ("run", *data, *words), tuple(weights))


def _files(words: Sequence[str]) -> list[str]:
    return [word for word in words if Path(word).is_file()]


@lru_cache
def listing(path: str) -> list[list[str | int]]:
    """Names, sizes and times of what lies there; a URL stands for itself.

    Raises:
        InputError: If nothing lies there.
    """
    if "://" in path:
        return [[path]]
    root = Path(path)
    if not root.exists():
        raise InputError(f"{path}: there is no such file or folder; name it in the study file, or with --input")
    found = sorted(each for each in root.rglob("*") if each.is_file()) if root.is_dir() else [root]
    facts = ((each.relative_to(root).as_posix(), each.stat()) for each in found)
    return [[name, status.st_size, status.st_mtime_ns] for name, status in facts]
