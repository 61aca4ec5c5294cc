"""The second kind of task of `rssn build-bg20k`: lay pairs of photographs over each other, of which one may be a copy.

The driver writes which pairs are worth a look into `plan/pairs.parquet`; a task compares a range of them by the
sketches in the candidate shards, and of an existing set by those in its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bg20k.alignment import Comparison, compare
from bg20k.copies import Copies, Match, copies_of
from bg20k.decide import KnownSet, compared, leaders
from bg20k.hamming import Hashes, Integers
from bg20k.lookalikes import lookalikes, unpacked
from bg20k.records import Crawl
from bg20k.rules import CurationRules
from bg20k.schema import COMPARED, PAIRS
from bg20k.sketch import CODES, Sketch
from bg20k.views import VIEWS
from pipelines.curate.rows import candidates_folder
from pipelines.executor.runner import Done, shard_ranges
from rssn.dataset.rows import iter_rows, own_parquet, read_range
from rssn.dataset.shards import DatasetFolder, shard_name, write_shard
from rssn.storage.files import Row, content_id, write_parquet
from rssn.storage.location import Location

PAIRS_PER_SHARD = 2000
"""Some ten seconds of work."""

_Place: TypeAlias = tuple[Location, int]  # a shard's file, and a row
_Found: TypeAlias = tuple[Sketch, Hashes]  # with the hashes of the views


@dataclass(frozen=True, slots=True)
class CompareTask:
    """The pairs `start` to `stop - 1` of the plan."""

    folder: DatasetFolder  # of the set
    compared: DatasetFolder
    known: Location | None
    name: str
    start: int
    stop: int
    quarantined: frozenset[str] = frozenset()

    @property
    def current_item(self) -> Path:
        """Nothing is decoded here but what this package wrote, so that no item is ever named."""
        return self.compared.current_item(self.name)

    @property
    def size(self) -> int:
        """Pairs in the range."""
        return self.stop - self.start

    @property
    def memory(self) -> int:
        """Room for the sketches of all pairs, 30 KB each."""
        return 700 << 20


def pairs_plan(root: Location) -> Location:
    """The pairs that are compared."""
    return root / "plan" / "pairs.parquet"


def compare_shard(task: CompareTask) -> Done:
    """Lay the photographs of each pair over each other."""
    pairs = read_range(pairs_plan(task.folder.root), task.start, task.stop)
    return Done(write_shard(task.compared, task.name, COMPARED, _rows(task, pairs), []))


def plan_pairs(
    folder: DatasetFolder, known_root: Location | None, crawl: Crawl, known: KnownSet, rules: CurationRules
) -> tuple[DatasetFolder, list[CompareTask]]:
    """Find the pairs that are worth a look, and write them down.

    Returns:
        What the comparisons find: of other pairs nothing counts. And the tasks that compare them.
    """
    candidates = candidates_folder(folder)
    places = _shards(candidates)
    chosen = np.concatenate([compared(crawl, leaders(crawl, rules, known)), ~known.low_texture])
    everything = np.zeros((len(chosen), VIEWS + CODES), np.uint64)
    everything[len(crawl) :] = known.prints
    start = 0
    for name, rows in places:
        everything[start : start + rows] = own_prints(candidates.data(name))
        start += rows
    everything[~chosen] = 0
    pairs = lookalikes(everything, np.arange(len(chosen)) >= len(crawl))
    if known_root is not None:
        places += _shards(DatasetFolder(known_root))
    ids = np.concatenate([crawl.ids, known.ids])
    written = write_parquet(pairs_plan(folder.root), PAIRS, _planned(pairs, ids, places, len(crawl)))
    ranges = shard_ranges([1] * written.rows, PAIRS_PER_SHARD) if written.rows else []
    names = [shard_name("compared", index, len(ranges)) for index in range(len(ranges))]
    found = DatasetFolder(folder.root / "compared", content_id(folder.plan_digest.encode(), written.sha256.encode()))
    spans = zip(names, ranges, strict=True)
    return found, [CompareTask(folder, found, known_root, name, start, stop) for name, (start, stop) in spans]


def load_copies(tasks: Sequence[CompareTask], crawl: Crawl, known: KnownSet, rules: CurationRules) -> Copies:
    """The verified pairs of finished tasks."""
    keepers = leaders(crawl, rules, known)
    followers = np.flatnonzero((keepers != np.arange(len(crawl))) & (keepers >= 0)).tolist()
    rows = (row for task in tasks for row in iter_rows(task.compared.data(task.name)))
    matches = (_match(row) for row in rows)
    return copies_of(
        (match for match in matches if match.found.is_copy(rules.agreement)),
        {crawl.id_of(row): crawl.id_of(int(keepers[row])) for row in followers},
    )


def own_prints(path: Location) -> Hashes:
    """The prints of a shard, see `bg20k.lookalikes.unpacked`."""
    return unpacked(b"".join(row["prints"] for row in iter_rows(path, ["prints"])))


def _shards(folder: DatasetFolder) -> list[tuple[str, int]]:
    return [(mark.name, mark.rows) for mark in folder.marks()]


def _planned(
    pairs: Integers, ids: npt.NDArray[np.bytes_], places: Sequence[tuple[str, int]], count: int
) -> Iterator[Row]:
    """Rows of `PAIRS`; of rows from `count` on the existing set is meant."""
    starts = np.cumsum([0, *(rows for _, rows in places)])
    pairs = pairs[np.lexsort((*pairs.T[::-1], *(np.searchsorted(starts, pairs, "right").T[::-1])))]  # shard by shard
    for start in range(0, len(pairs), PAIRS_PER_SHARD):
        some = pairs[start : start + PAIRS_PER_SHARD]
        shards = np.searchsorted(starts, some, "right") - 1
        numbers = some - starts[shards]
        for (one, other), (one_shard, other_shard), (one_row, other_row) in zip(
            some.tolist(), shards.tolist(), numbers.tolist(), strict=True
        ):
            yield {
                "one": ids[one].decode(),
                "one_shard": places[one_shard][0],
                "one_row": one_row,
                "other": ids[other].decode(),
                "other_shard": places[other_shard][0],
                "other_row": other_row,
                "other_known": other >= count,
            }


def _rows(task: CompareTask, pairs: Sequence[Row]) -> Iterator[Row]:
    own = candidates_folder(task.folder)
    known = own if task.known is None else DatasetFolder(task.known)
    placed = [
        (
            (own.data(pair["one_shard"]), pair["one_row"]),
            ((known if pair["other_known"] else own).data(pair["other_shard"]), pair["other_row"]),
        )
        for pair in pairs
    ]
    data = _stored({place for both in placed for place in both})
    for pair, (one, other) in zip(pairs, placed, strict=True):
        (first, first_views), (second, second_views) = _found(data[one]), _found(data[other])
        found = compare(first, second, (first_views, second_views))
        yield {"one": pair["one"], "other": pair["other"]} | asdict(found)


def _stored(places: Set[_Place]) -> dict[_Place, Row]:
    """Prints and sketches as they are stored; each file is opened once, and row groups without any are not read."""
    wanted: dict[Location, set[int]] = defaultdict(set)
    for path, number in places:
        wanted[path].add(number)
    found: dict[_Place, Row] = {}
    for path, numbers in wanted.items():
        with own_parquet(path) as file:
            start = 0
            for group in range(file.num_row_groups):
                stop = start + file.metadata.row_group(group).num_rows
                here = sorted(number - start for number in numbers if start <= number < stop)
                if here:
                    table = file.read_row_group(group, columns=["prints", "sketch"]).take(here)
                    found |= {(path, start + n): row for n, row in zip(here, table.to_pylist(), strict=True)}
                start = stop
    return found


def _found(row: Row) -> _Found:
    return Sketch.from_bytes(row["sketch"]), unpacked(row["prints"])[0, :VIEWS]


def _match(row: Row) -> Match:
    measured = {name: row[name] for name in ("agreement", "details", "structure", "inliers", "mirrored")}
    found = Comparison(**measured, covered=tuple(row["covered"]), beyond=tuple(row["beyond"]))
    return Match(row["one"], row["other"], found)
