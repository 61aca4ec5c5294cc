"""Where the meter's pictures come from: a data set's rows, or a matting data set's pairs; one in memory at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import pyarrow as pa

from rssn.dataset.dataset import DataSet, open_dataset
from rssn.dataset.manifest import NoDatasetError, holds_dataset
from rssn.dataset.rows import own_parquet
from rssn.errors import InputError, Rejected
from rssn.gap.folds import FOLDS, by_hash
from rssn.gap.pictures import Named
from rssn.image.arrays import Pixels, to_uint8
from rssn.image.decoding import decode_pixels
from rssn.image.picture_files import format_of
from rssn.route.recipe import Recipe, recipe_from_dict
from rssn.route.step import OTHER
from rssn.sources.layouts import find_pairs
from rssn.sources.matting import Pair, PairSet, load_pair, measure_pair
from rssn.storage.location import Location

LEAST = FOLDS
"""Foregrounds that either side must have: one for each fold."""

Loaded: TypeAlias = tuple[Named, Pixels, Pixels]
"""Which picture, its colours and its alpha, 8 bits."""


@dataclass(frozen=True)
class Chosen:
    """The pictures that are measured.

    Attributes:
        count: How many pictures.
        most: Of one foreground.
        foregrounds: How many foregrounds, of `all_foregrounds`.
        all_foregrounds: How many there are.
        merged: Pictures that are left out because two foregrounds are in them.
        problems: What is found and is no picture with a matte, a sentence each.
        finished: Whether the run that makes them is.
        refused: What that run refused, a sentence each.
    """

    count: int
    most: int
    foregrounds: int
    all_foregrounds: int
    merged: int = 0
    problems: Sequence[str] = ()
    finished: bool = True
    refused: Sequence[str] = ()


class Source(Protocol):
    """A set of pictures with their mattes."""

    @property
    def place(self) -> Location:
        """Where it lies."""

    @property
    def chosen(self) -> Chosen:
        """What of it is measured."""

    @property
    def recipe(self) -> Recipe | None:
        """What its pictures were composed by; None of photographs."""

    @property
    def compressed(self) -> bool:
        """Whether any of its pictures is, or was made from, a JPEG."""

    def caption(self, name: str) -> str:
        """What one picture shows, by the names of the files that it was made from."""

    def pictures(self) -> Iterator[tuple[str, Callable[[], Loaded]]]:
        """Each picture's name, and what decodes it, which raises `Rejected` where that fails; in any order."""

    def load(self, name: str) -> Loaded:
        """One picture again, by its name."""


@dataclass(frozen=True)
class Rows:
    """Rows of `rssn compose` or `rssn pack`, of at most so many foregrounds."""

    data: DataSet
    foregrounds: int

    @property
    def place(self) -> Location:
        """Where it lies."""
        return self.data.root

    @cached_property
    def chosen(self) -> Chosen:
        """What of it is measured."""
        held = Counter(self._light[0])
        counts = [held[group] for group in self._kept]
        groups, merged = self._light
        return Chosen(
            sum(counts),
            max(counts, default=0),
            len(counts),
            len(set(groups)),
            merged,
            finished=self.data.manifest.finished,
            refused=[f"{row['source']}: {row['message']}" for row in self.data.rejects() if _is_missing(row)],
        )

    @cached_property
    def recipe(self) -> Recipe | None:
        """What its pictures were composed by."""
        plan = self.data.manifest.plan
        composed = _is_composed(self.data) and "recipe" in plan
        return recipe_from_dict(plan["recipe"], str(self.data.manifest_path)) if composed else None

    @cached_property
    def compressed(self) -> bool:
        """Whether any of its pictures is, or was made from, a JPEG."""
        if self.data.manifest.plan.get("output", {}).get("codec") == "jpeg":
            return True
        return any(_is_jpeg(row["foreground_source"] or "") for row in self.data.rows(["foreground_source"]))

    def caption(self, name: str) -> str:
        """The files of foreground and background."""
        row = self.data.row(name)
        files = [Path(row[side]).name for side in ("foreground_source", "background_source") if row.get(side)]
        return " on ".join(files) or name

    def pictures(self) -> Iterator[tuple[str, Callable[[], Loaded]]]:
        """Each row's picture; no other columns are read."""
        for row in self.data.rows(["sample_id", "foreground_id", "background_id", "image", "alpha", *self._second]):
            if row["foreground_id"] in self._kept and not _is_merged(row):
                yield row["sample_id"], partial(_decode, row)

    def load(self, name: str) -> Loaded:
        """One row's picture."""
        return _decode(self.data.row(name))

    @cached_property
    def _second(self) -> list[str]:
        """The columns of a second foreground, where the recipe can have one."""
        with own_parquet(next(self.data.data(mark.name) for mark in self.data.all_marks() if mark.rows)) as file:
            schema = file.schema_arrow
        steps = schema.field("steps").type if "steps" in schema.names else ()
        return [f"steps.{step.name}.{OTHER[0]}" for step in steps if OTHER[0] in _names(step.type)]

    @cached_property
    def _light(self) -> tuple[list[str], int]:
        if not len(self.data):
            raise InputError(f"{self.place}: holds no rows yet; run the command that makes it again")
        rows = list(self.data.rows(["foreground_id", *self._second]))
        groups = [row["foreground_id"] for row in rows if not _is_merged(row)]
        return groups, len(rows) - len(groups)

    @cached_property
    def _kept(self) -> frozenset[str]:
        return frozenset(by_hash(self._light[0], "foregrounds")[: self.foregrounds])


@dataclass(frozen=True)
class Joined:
    """Several of them, such as the composites of several foreground sets by one recipe, as one set."""

    parts: tuple[Rows, ...]

    @property
    def place(self) -> Location:
        """Where the first lies."""
        return self.parts[0].place

    @cached_property
    def chosen(self) -> Chosen:
        """What of all is measured."""
        each = [part.chosen for part in self.parts]
        return Chosen(
            sum(one.count for one in each),
            max(one.most for one in each),
            sum(one.foregrounds for one in each),
            sum(one.all_foregrounds for one in each),
            sum(one.merged for one in each),
            finished=all(one.finished for one in each),
            refused=[words for one in each for words in one.refused],
        )

    @property
    def recipe(self) -> Recipe | None:
        """That of the first."""
        return self.parts[0].recipe

    @property
    def compressed(self) -> bool:
        """Whether any of their pictures is, or was made from, a JPEG."""
        return any(part.compressed for part in self.parts)

    def caption(self, name: str) -> str:
        """The files of foreground and background."""
        return self._parts[name].caption(name)

    def pictures(self) -> Iterator[tuple[str, Callable[[], Loaded]]]:
        """Each row's picture, one set after the other."""
        for part in self.parts:
            yield from part.pictures()

    def load(self, name: str) -> Loaded:
        """One row's picture."""
        return self._parts[name].load(name)

    @cached_property
    def _parts(self) -> dict[str, Rows]:
        """By the names of their rows."""
        return {row["sample_id"]: part for part in reversed(self.parts) for row in part.data.rows(["sample_id"])}


def _is_missing(refused: Mapping[str, Any]) -> bool:
    """Whether composites are missing: in the place of a background that cannot be used another is drawn."""
    return refused["stage"] != "background" or refused["reason"] in ("too_small", "none_left")


def _is_composed(data: DataSet) -> bool:
    """Whether composites are in it, not what `rssn pack` wrote: photographs have no seed."""
    return "seed" in data.manifest.plan


def _is_jpeg(file: str) -> bool:
    return Path(file).suffix.lower() in (".jpg", ".jpeg")


def _is_pair_of_jpeg(pair: Pair) -> bool:
    """By the name of its colours; of those in a table without one, by their bytes."""
    return _is_jpeg(pair.source) or (pair.picture.kind == "row" and format_of(pair.picture.read()) == "JPEG")


def _names(kind: pa.DataType) -> list[str]:
    return [field.name for field in kind] if pa.types.is_struct(kind) else []


def _is_merged(row: Mapping[str, Any]) -> bool:
    """Whether a second foreground is in it: whatever fold the row is in, one of the two leaks."""
    return any(values and values.get(OTHER[0]) for values in (row.get("steps") or {}).values())


def _decode(row: Mapping[str, Any]) -> Loaded:
    image, alpha = (decode_pixels(row[name]["bytes"]) for name in ("image", "alpha"))
    return Named(row["sample_id"], row["foreground_id"], row["background_id"] or ""), image, alpha[..., 0]


@dataclass(frozen=True)
class Photographs:
    """Pairs of a matting data set, at most so many."""

    place: Location
    found: PairSet
    foregrounds: int
    recipe: Recipe | None = None

    @cached_property
    def chosen(self) -> Chosen:
        """What of it is measured."""
        kept, unread = self._sampled
        problems = [f"{one.source}: {one.message}" for one in self.found.problems] + unread
        return Chosen(len(kept), 1, len(kept), len(self.found.pairs), problems=problems)

    def pictures(self) -> Iterator[tuple[str, Callable[[], Loaded]]]:
        """Each photograph."""
        for pair in self._kept:
            yield pair.name, partial(_load, pair)

    @property
    def compressed(self) -> bool:
        """Whether any of its files is a JPEG."""
        return any(map(_is_pair_of_jpeg, self._kept))

    def caption(self, name: str) -> str:
        """The photograph's name."""
        return name

    def load(self, name: str) -> Loaded:
        """One photograph, the first of that name."""
        return _load(next(pair for pair in self._kept if pair.name == name))

    @property
    def _kept(self) -> Sequence[Pair]:
        return self._sampled[0]

    @cached_property
    def _sampled(self) -> tuple[Sequence[Pair], list[str]]:
        """Those of the first foregrounds by their content, as `Rows` chooses them; and what cannot be read."""
        if len(self.found.pairs) <= self.foregrounds:
            return self.found.pairs, []
        named: dict[str, Pair] = {}
        unread = []
        for pair in self.found.pairs:
            try:
                named.setdefault(measure_pair(pair)[0], pair)
            except Rejected as error:
                unread.append(f"{pair.name}: {error.message}")
        return [named[group] for group in by_hash(named, "foregrounds")[: self.foregrounds]], unread


def _load(pair: Pair) -> Loaded:
    sample = load_pair(pair)
    return Named(pair.name, sample.foreground_id), to_uint8(sample.picture), to_uint8(sample.alpha)


def open_set(root: Location, foregrounds: int) -> Rows:
    """A data set of `rssn compose`, or of `rssn pack`.

    Raises:
        InputError: If it is none, or fewer than `LEAST` foregrounds can be measured.
    """
    try:
        data = open_dataset(root)
    except NoDatasetError as error:
        raise NoDatasetError(f"{error}; SETS are what rssn compose wrote") from error
    if data.manifest.kind != "composites":
        raise InputError(f"{root}: holds {data.manifest.kind}, which have no mattes; give what rssn compose wrote")
    found = Rows(data, foregrounds)
    chosen = found.chosen
    if chosen.merged and chosen.foregrounds < LEAST:
        words = f"{chosen.merged} of its {chosen.merged + chosen.count} composites show two foregrounds"
        raise InputError(f"{root}: {words}, which no fold could hold both; leave the set out")
    return found


def open_photographs(root: Location, foregrounds: int, layout: str | None, alpha_scale: float | None) -> Source:
    """Photographs with their mattes: a data set of `rssn pack`, or a matting data set.

    Raises:
        InputError: If it is neither.
    """
    if not holds_dataset(root):
        return Photographs(root, find_pairs(root, layout, None, alpha_scale), foregrounds)
    found = open_set(root, foregrounds)
    if _is_composed(found.data):
        words = "holds composites, no photographs; give --real a matting data set, or what rssn pack wrote"
        raise InputError(f"{root}: {words}")
    return found
