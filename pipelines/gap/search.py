"""Recipes that are tried on photographs, and the search among them; what an earlier run tried is known."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from functools import cached_property
from multiprocessing import get_context, resource_tracker

from pipelines.compose.layer_cache import LayerCache
from pipelines.compose.plan import Plan
from pipelines.gap.composed import Composed
from pipelines.gap.job import read_pictures
from pipelines.gap.sources import Photographs
from rssn.gap.classifiers import one_thread
from rssn.gap.letters import Yardstick
from rssn.gap.pictures import Pictures
from rssn.image.codecs import ImageCodec
from rssn.route.recipe import Recipe
from rssn.route.step import Step
from rssn.sources.matting import PairSet
from rssn.stopping import block_signals, exit_with_parent
from rssn.storage.atomic import write_bytes
from rssn.storage.files import content_id
from rssn.storage.location import BucketPath, Location
from rssn.storage.machine import available_cpus
from rssn.storage.remote import content
from rssn.versions import version

LEAST = 3
"""Photographs in a half."""

_GAIN = 0.01  # a change must lower the distance by this share, or it is not worth a setting
_ROUNDS = 3
_SHORT = 60  # characters of a value


@dataclass(frozen=True)
class FitJob:
    """What one `rssn gap --fit` is asked to do."""

    photographs: Location  # a matting data set
    backgrounds: Location
    recipe: Recipe
    out: Location  # the folder of `fit.jsonl` and of the files of `rssn gap`
    cache: LayerCache
    trials: int  # how many recipes are tried at most
    foregrounds: int  # how many photographs at most, of both halves
    seed: int = 0
    codec: ImageCodec = "jpeg"  # what composites will be stored with
    at: Fraction = Fraction(1)  # what sides are multiplied with before anything is measured
    layout: str | None = None  # of the matting data set; None detects it
    alpha_scale: float | None = None  # the value of its mattes that means opaque; None goes by the values


@dataclass(frozen=True)
class Change:
    """A recipe that was better than the one before, and its discrepancy."""

    words: str
    far: float


@dataclass(frozen=True)
class Trials:
    """What recipes are tried on."""

    job: FitJob
    plan: Plan

    def source(self, recipe: Recipe, plan: Plan) -> Composed:
        """A recipe's composites."""
        given = self.job
        return Composed(given.photographs, plan, recipe, given.seed, given.codec, given.cache)

    def photographs(self, plan: Plan) -> Photographs:
        """The originals."""
        pairs = PairSet([one.pair for one in plan.foregrounds], [], "")
        return Photographs(self.job.photographs, pairs, len(pairs.pairs))

    def composites(self, recipe: Recipe) -> Pictures:
        """A recipe's composites, measured."""
        return read_pictures(self.source(recipe, self.plan), self.job.at, least=LEAST).pictures

    @cached_property
    def key(self) -> str:
        """Everything but the recipe that decides a figure."""
        given, foregrounds, backgrounds = self.job, self.plan.foregrounds, self.plan.backgrounds
        ids = [one.foreground_id for one in foregrounds] + [one.background_id for one in backgrounds]
        made_by = [version("rssn"), *(step.versions() for step in given.recipe.steps)]
        settings = [given.recipe.label, given.recipe.k, given.seed, given.codec, str(given.at)]
        return content_id(json.dumps([ids, settings, made_by]).encode())


@dataclass(frozen=True)
class Trial:
    """A recipe to be tried."""

    trials: Trials
    recipe: Recipe
    yardstick: Yardstick

    def far(self) -> float:
        """How far its composites are."""
        with one_thread():
            return self.yardstick.far(self.trials.composites(self.recipe))


class Search:
    """Tries recipes, each once, several at a time; what an earlier run tried is known."""

    def __init__(self, trials: Trials, log: Location, pool: Executor, tell: Callable[[], None]) -> None:
        self._trials, self._log, self._pool, self._tell = trials, log, pool, tell
        self._known = dict(_logged(log, trials.key))
        self.reused = len(self._known)
        """How many recipes an earlier run tried."""
        self._tried: dict[str, float] = {}
        read = read_pictures(trials.photographs(trials.plan), trials.job.at, least=LEAST)
        self.skipped = read.skipped
        """Photographs that cannot be measured."""
        given = trials.job.recipe
        first = trials.composites(given)
        self._yardstick = Yardstick.of(read.pictures, first)
        if given.label not in self._known:
            self._note(given, self._yardstick.far(first))

    @property
    def tried(self) -> int:
        """How many recipes were tried."""
        return len(self._tried)

    def far(self, recipes: Iterable[Recipe]) -> list[tuple[float, Recipe]]:
        """How far each is, the nearest first, of as many as may still be tried."""
        by_label = {one.label: one for one in recipes}
        fresh = [one for label, one in by_label.items() if label not in self._tried]
        self._try(fresh[: self._trials.job.trials - self.tried])
        found = [(self._tried[label], one) for label, one in by_label.items() if label in self._tried]
        return sorted(found, key=lambda each: each[0])

    def _try(self, recipes: Sequence[Recipe]) -> None:
        missing = [one for one in recipes if one.label not in self._known]
        with block_signals():  # a process is started when its first work is handed over
            started = {self._pool.submit(Trial(self._trials, one, self._yardstick).far): one for one in missing}
        for _ in range(len(recipes) - len(missing)):
            self._tell()
        for future in as_completed(started):
            self._note(started[future], future.result())
            self._tell()
        self._tried |= {one.label: self._known[one.label] for one in recipes}

    def _note(self, recipe: Recipe, far: float) -> None:
        self._known[recipe.label] = far
        line = {"key": self._trials.key, "label": recipe.label, "far": far, "recipe": recipe.to_dict()}
        _append(self._log, json.dumps(line) + "\n")


def descend(search: Search, recipe: Recipe, start: Recipe) -> tuple[Recipe, list[Change]]:
    """The best recipe, step after step: of each the variation that brings composites nearest, until none does."""
    [(far, best)] = search.far([recipe])
    path = [Change("as given", far)]

    def better(words: str, others: Iterable[Recipe]) -> None:
        nonlocal far, best
        for value, other in search.far(others)[:1]:
            if value < far * (1 - _GAIN):
                path.append(Change(f"{words}{_changed(best, other)}", value))
                far, best = value, other

    better("read off the photographs: ", [start])
    for _ in range(_ROUNDS):
        before = best
        for number in range(len(best.steps)):
            better("", [_with(best, number, other) for other in best.steps[number].variations()])
        if best is before:
            break
    return replace(best, steps=best.drawn), path


def _with(recipe: Recipe, number: int, step: Step) -> Recipe:
    return replace(recipe, steps=(*recipe.steps[:number], step, *recipe.steps[number + 1 :]))


def _changed(before: Recipe, after: Recipe) -> str:
    """The settings that differ, in words."""
    found = []
    for one, other in zip(before.steps, after.steps, strict=True):
        new = {name: value for name, value in asdict(other).items() if value != getattr(one, name)}
        words = ", ".join(f"{name} {_short(value)}" for name, value in new.items())
        found += [f"{other.name} with {words}"] if new else []
    return "; ".join(found) or "nothing to read"


def _short(value: object) -> str:
    text = str(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}..."


def _append(log: Location, line: str) -> None:
    """Add a line; an object is written anew, by the one run that holds the lease there."""
    if isinstance(log, BucketPath):
        write_bytes(log, (content(log) if log.is_file() else b"") + line.encode())
        return
    with log.open("a", encoding="utf-8") as stream:
        stream.write(line)


def _logged(log: Location, key: str) -> Iterator[tuple[str, float]]:
    """Recipes that an earlier run tried, by label; a line that was cut off when it was stopped is none."""
    if log.is_file():
        for line in content(log).decode().splitlines():
            with suppress(ValueError, KeyError, TypeError):
                row = json.loads(line)
                if row["key"] == key:
                    yield row["label"], float(row["far"])


@contextmanager
def workers() -> Iterator[Executor]:
    """Processes that try recipes; they end with the block, and with this process, whatever ends it."""
    resource_tracker.ensure_running()  # its start, which comes with the first process, would unblock signals
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(available_cpus(), get_context("spawn"), exit_with_parent)
    try:
        yield pool
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.kill()  # what they try is tried again
        raise
    finally:
        pool.shutdown(cancel_futures=True)
