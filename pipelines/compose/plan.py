"""The plan of a composition: which foregrounds and backgrounds take part, by content, in files that workers read.

A task carries a range of this plan, never pictures or lists; the plan in the output folder is also the record of what
went in. In memory it is a few numbers for each picture: what else is known of one is read from its file when it is
asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property, lru_cache
from itertools import islice
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from rssn.dataset.batches import batch_path, listed_batches, plan_stamp
from rssn.dataset.manifest import stored_manifest
from rssn.dataset.rows import iter_rows
from rssn.dataset.schema import PLANNED_BACKGROUNDS, PLANNED_FOREGROUNDS
from rssn.dataset.stored_rows import StoredRows
from rssn.errors import DamagedError, Rejected
from rssn.route.compose import upscaling
from rssn.route.draw import Draw, background_key, foreground_key, rank_others
from rssn.route.recipe import Recipe
from rssn.sources.backgrounds import Background
from rssn.sources.matting import MattingSample, Pair, load_foreground
from rssn.storage.files import Row, write_parquet
from rssn.storage.location import Location

T = TypeVar("T")

_NAMED = 3

Sizes = npt.NDArray[np.int32]
"""One row for each picture: width and height, px."""


@dataclass(frozen=True)
class PlannedForeground:
    """One row of the plan of a batch."""

    foreground_id: str
    pair: Pair
    width: int  # px, from the header
    height: int
    ks: tuple[int, ...] = ()  # which of its K composites are to be made; none: all of them
    existing: tuple[str, ...] = ()  # ids of the backgrounds of those that earlier batches made
    replaces: str | None = None  # id of what an earlier batch planned under its name, and was changed since

    @property
    def source(self) -> str:
        """The colour file, below the data set's root or as a table names it."""
        return self.pair.source

    @property
    def identity(self) -> str:
        """What the digest of its batch covers: everything but where its files are."""
        parts = (self.foreground_id, *map(str, self.ks), *self.existing, *([self.replaces] if self.replaces else []))
        return " ".join(parts)

    def samples(self, k: int) -> list[str]:
        """Ids of the composites to be made, `<foreground_id>/<k>`, of a recipe with so many for each foreground."""
        return [f"{self.foreground_id}/{number}" for number in self.ks or range(k)]

    def load(self) -> MattingSample:
        """Decode the pair.

        Raises:
            Rejected: As `load_foreground` does, or with the reason `changed` if the files are not those of the plan.
        """
        sample = load_foreground(self.pair)
        if sample.foreground_id != self.foreground_id:
            raise Rejected("read", "changed", f"{self.source}: the file was changed after the run was planned")
        return sample


def _foreground_row(planned: PlannedForeground) -> Row:
    own = {each.name: getattr(planned, each.name) or None for each in fields(planned) if each.name != "pair"}
    return own | planned.pair.to_row()


def _foreground(row: Row) -> PlannedForeground:
    ks, existing = (tuple(row[key] or ()) for key in ("ks", "existing"))
    size = row["width"], row["height"]
    return PlannedForeground(row["foreground_id"], Pair.from_row(row), *size, ks, existing, row["replaces"])


def _background_row(background: Background) -> Row:
    return background.to_row() | {"key": background_key(background.background_id)}


@dataclass(frozen=True)
class Pruned:
    """What `rssn prune` took out of a data set: it takes part in nothing any more."""

    foregrounds: frozenset[str] = frozenset()  # ids
    backgrounds: frozenset[str] = frozenset()
    composites: frozenset[str] = frozenset()  # those that had something of it, beside those of the foregrounds

    def __len__(self) -> int:
        return len(self.foregrounds) + len(self.backgrounds) + len(self.composites)

    @property
    def total(self) -> dict[str, int]:
        """What the manifest of a data set says that has nothing of it any more."""
        return {"pruned": len(self)} if len(self) else {}

    def holds(self, sample_id: str) -> bool:
        """Whether a composite was removed."""
        return sample_id in self.composites or sample_id.rpartition("/")[0] in self.foregrounds


@dataclass(frozen=True)
class Plan:
    """Everything that a task needs to know about the inputs."""

    foregrounds: Sequence[PlannedForeground]  # batch by batch; those of a retry are there again
    backgrounds: Sequence[Background]
    foreground_sizes: Sizes
    sample_counts: npt.NDArray[np.int32]  # composites of each foreground's row; 0: all K
    starts: Sequence[int]  # of each batch among the foregrounds, and their number
    background_keys: npt.NDArray[np.uint64]  # one per background, see `rssn.route.draw.background_key`
    background_sizes: Sizes
    pruned: Pruned = field(default_factory=Pruned)

    @property
    def batches(self) -> int:
        """How many there are."""
        return len(self.starts) - 1

    def eligible(self, foreground: PlannedForeground, recipe: Recipe) -> npt.NDArray[np.int64]:
        """Numbers of the backgrounds that cover the largest frame of a foreground without being enlarged too much."""
        factors = upscaling(self.background_sizes, recipe.frame(foreground.width, foreground.height))
        return np.flatnonzero(factors <= recipe.max_upscale)

    def others(self, foreground: PlannedForeground, drawn: Draw, batch: int = 0) -> Iterator[PlannedForeground]:
        """The other foregrounds, in the order in which a sample would take one of them as its second.

        Args:
            foreground: The sample's own.
            drawn: What the dice said.
            batch: The sample's; what later ones add changes none of its rows.
        """
        whole = np.flatnonzero(self.sample_counts[: self.starts[batch + 1]] == 0)  # a retry adds none
        for number in rank_others(drawn, self._foreground_keys[whole]):
            other = self.foregrounds[int(whole[number])]
            if other.foreground_id not in self.pruned.foregrounds and other.foreground_id != foreground.foreground_id:
                yield other

    def find_foreground(self, foreground_id: str) -> PlannedForeground | None:
        """A foreground by its id, as it was planned first; None where there is none."""
        places = np.flatnonzero(self._foreground_keys == np.uint64(foreground_key(foreground_id)))
        return next((one for n in places if (one := self.foregrounds[int(n)]).foreground_id == foreground_id), None)

    def find_background(self, background_id: str) -> int | None:
        """The number of a background; None where there is none."""
        key = np.uint64(background_key(background_id))
        place = int(np.searchsorted(self.background_keys, key, sorter=self._by_key))
        number = int(self._by_key[place]) if place < len(self._by_key) else -1
        return number if number >= 0 and self.background_keys[number] == key else None

    def background_size(self, background_id: str) -> tuple[int, int] | None:
        """Width and height of a background, px; None where there is none."""
        number = self.find_background(background_id)
        if number is None:
            return None
        width, height = self.background_sizes[number].tolist()
        return width, height

    @cached_property
    def _foreground_keys(self) -> npt.NDArray[np.uint64]:
        ids = self.foregrounds.column("foreground_id") if isinstance(self.foregrounds, StoredRows) else None
        names = ids if ids is not None else (one.foreground_id for one in self.foregrounds)
        return np.fromiter(map(foreground_key, names), np.uint64, len(self.foregrounds))

    @cached_property
    def _by_key(self) -> npt.NDArray[np.int64]:
        return np.argsort(self.background_keys, kind="stable")


def make_plan(foregrounds: Sequence[PlannedForeground], backgrounds: Sequence[Background]) -> Plan:
    """A plan of one batch that lies in no file."""
    return Plan(
        foregrounds=foregrounds,
        backgrounds=backgrounds,
        foreground_sizes=_sizes((one.width, one.height) for one in foregrounds),
        sample_counts=np.array([len(one.ks) for one in foregrounds], np.int32),
        starts=(0, len(foregrounds)),
        background_keys=np.array([background_key(one.background_id) for one in backgrounds], np.uint64),
        background_sizes=_sizes((one.width, one.height) for one in backgrounds),
    )


def write_batch(root: Location, batch: int, rows: Iterable[PlannedForeground]) -> None:
    """Write the plan of a batch."""
    write_parquet(batch_path(root, batch), PLANNED_FOREGROUNDS, map(_foreground_row, rows))


def write_backgrounds(root: Location, backgrounds: Iterable[Background]) -> None:
    """Write the planned backgrounds, consumed once."""
    rows = (_background_row(one) for one in backgrounds)
    write_parquet(backgrounds_path(root), PLANNED_BACKGROUNDS, rows)


def backgrounds_path(root: Location) -> Location:
    """The planned backgrounds; a packed data set has none."""
    return root / "plan" / "backgrounds.parquet"


def pruned_path(root: Location) -> Location:
    """What was pruned; absent where nothing was."""
    return root / "plan" / "pruned.parquet"


def has_plan(root: Location) -> bool:
    """Whether a whole plan was written into an output folder."""
    return batch_path(root, 0).is_file()


def load_plan(root: Location, batches: int | None = None, stamp: str = "") -> Plan:
    """The plan in an output folder, read once per process.

    Args:
        root: The folder.
        batches: How many batches it has; None: those that the manifest lists.
        stamp: See `rssn.dataset.batches.plan_stamp`; empty: it is taken.

    Raises:
        DamagedError: If it is damaged.
    """
    if batches is None:
        stored = stored_manifest(root)
        batches = len(listed_batches(stored.plan)) if stored else 1
    try:
        return _read(root, batches, stamp or plan_stamp(root))
    except (DamagedError, FileNotFoundError, KeyError, TypeError) as error:
        raise damaged_plan(root) from error


def damaged_plan(root: Location) -> DamagedError:
    """What to raise where a plan is not what was written."""
    remedy = "remove that folder and run the same command again to resume"
    return DamagedError(f"{root / 'plan'}: the plan is damaged; {remedy}")


def stored_foregrounds(root: Location, batch: int) -> Iterator[PlannedForeground]:
    """The foregrounds of a batch, as they were planned.

    Raises:
        DamagedError: If its plan is damaged.
    """
    return _parsed(root, batch_path(root, batch), _foreground)


def stored_backgrounds(root: Location) -> Iterator[Background]:
    """The planned backgrounds, in order of their ids; likewise."""
    return _parsed(root, backgrounds_path(root), Background.from_row)


def _parsed(root: Location, path: Location, parse: Callable[[Row], T]) -> Iterator[T]:
    try:
        yield from map(parse, iter_rows(path))
    except (DamagedError, KeyError, TypeError) as error:
        raise damaged_plan(root) from error


def read_pruned(root: Location) -> Pruned:
    """What `rssn prune` took out of a data set.

    Raises:
        DamagedError: If the list is damaged.
    """
    found: dict[str, set[str]] = {"foreground": set(), "background": set(), "composite": set()}
    for row in iter_rows(pruned_path(root), ["kind", "item_id"]):
        found[row["kind"]].add(row["item_id"])
    return Pruned(*map(frozenset, found.values()))


def is_half_pruned(root: Location) -> bool:
    """Whether a data set may hold something yet that was pruned; a finished one says that it does not."""
    stored = stored_manifest(root) if pruned_path(root).is_file() else None
    return stored is not None and stored.totals.get("pruned") != len(read_pruned(root))


@lru_cache(maxsize=1)
def _read(root: Location, batches: int, _stamp: str) -> Plan:
    foregrounds = StoredRows([batch_path(root, number) for number in range(batches)], _foreground)
    path = backgrounds_path(root)
    backgrounds = StoredRows([path] if path.is_file() else [], Background.from_row)
    of_foregrounds = foregrounds.columns({"width": np.int32, "height": np.int32, "ks": np.int32})
    of_backgrounds = backgrounds.columns({"key": np.uint64, "width": np.int32, "height": np.int32})
    return Plan(
        foregrounds=foregrounds,
        backgrounds=backgrounds,
        foreground_sizes=_stacked(of_foregrounds),
        sample_counts=of_foregrounds["ks"],
        starts=foregrounds.file_starts,
        background_keys=of_backgrounds["key"],
        background_sizes=_stacked(of_backgrounds),
        pruned=read_pruned(root),
    )


def _stacked(columns: Mapping[str, npt.NDArray[np.int32]]) -> Sizes:
    return np.column_stack((columns["width"], columns["height"]))


def _sizes(sizes: Iterable[tuple[int, int]]) -> Sizes:
    return np.array(list(sizes), np.int32).reshape(-1, 2)


def name_some(members: Iterable[PlannedForeground | Background | str]) -> str:
    """The first three sources, in words."""
    first = [each if isinstance(each, str) else each.source for each in islice(members, _NAMED + 1)]
    return ", ".join([*first[:_NAMED], *(["..."] if len(first) > _NAMED else [])])
