"""Marks that photographs of one source share: watermarks, logos, captions, date stamps at the same place.

What a single photograph shows may be a sign in the scene. What several different photographs show at the same place
with the same edges was put there; so faint and small marks are found, too. Photographs of a source are compared all
with all in batches of 64; what three of a batch share is then looked for in the whole source.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from bg20k.edges import COLUMNS, DIRECTIONS, ROWS, Edges
from bg20k.hamming import count_ones
from bg20k.records import PLACES, Mark
from rssn.kernels.compiling import compiled

FEWEST: Final = 3
"""Different pictures that must share a mark."""

_BATCH = 64
_BLOCK = 4  # cells; side of a block
_BLOCK_ROWS, _BLOCK_COLUMNS = -(-ROWS // _BLOCK), -(-COLUMNS // _BLOCK)
_WINDOW = 3  # blocks; side of a window: 48 px of a shorter side of 540
_DOWN, _ACROSS = _BLOCK_ROWS - _WINDOW + 1, _BLOCK_COLUMNS - _WINDOW + 1
_AXES = DIRECTIONS // 2
_ROOM = float((_WINDOW * _BLOCK) ** 2 * 2)  # edges of one axis that a window can have
_PAIR = 4.0  # standard deviations; two strangers in a thousand have a window with more
_SIZE = 8  # edges of a mark in a window, those along its main axis left out
_HOLDS = 4.0  # standard deviations, as above; from 3 on one in 200 without the mark has it
_SHARE = 3  # of those which have a mark in common, one in so many has each of its edges at least
_KINDS = 16  # findings of a window that are kept, those of most photographs: bursts have some of their own each
_MOST = 1000  # marks of a source, likewise
_ALIKE = 0.5  # share of the smaller one's edges that two findings in one window have in common, if they are one mark

_Rows: TypeAlias = npt.NDArray[np.int64]
_Flags: TypeAlias = npt.NDArray[np.bool_]


class EdgeTable(Protocol):
    """The edges of the photographs of a crawl, by row: a list, or a file."""

    def __getitem__(self, row: int, /) -> Edges: ...


class Window(NamedTuple):
    """What photographs of a batch have in common in one window."""

    number: int
    edges: Edges
    holders: int  # how many


def shared_marks(
    sites: npt.NDArray[Any], upright: _Flags, pictures: _Rows, order: _Rows, edges: EdgeTable
) -> dict[int, Mark]:
    """The marks of a crawl.

    Args:
        sites: n numbers; photographs of one source have the same.
        upright: n truth values: higher than wide; those are compared with each other alone.
        pictures: n numbers; copies of one picture have the same, and count once.
        order: The n rows in an order in which batches are formed: by names, so that neighbours are alike.
        edges: Of `bg20k.edges.find_edges`, by row.

    Returns:
        By row, for those photographs that have one: of several that which most pictures have.
    """
    found: dict[int, Mark] = {}
    order = order[np.lexsort((upright[order], sites[order]))]
    ends = np.flatnonzero((np.diff(sites[order]) != 0) | np.diff(upright[order])) + 1
    for rows in np.split(order, ends):
        if len(rows) >= FEWEST:
            found |= _marks_of(rows, pictures[rows], bool(upright[rows[0]]), edges)
    return found


def _marks_of(rows: _Rows, pictures: _Rows, upright: bool, edges: EdgeTable) -> dict[int, Mark]:
    """The marks of one source."""
    ones = rows[np.sort(np.unique(pictures, return_index=True)[1])]
    if len(ones) < FEWEST:
        return {}
    windows: dict[int, list[Window]] = {}
    for batch in np.array_split(ones, -(-len(ones) // _BATCH)):
        for window in _common_windows(_Batch.of([edges[row] for row in batch.tolist()])):
            known = windows.setdefault(window.number, [])
            if not any(_is_same(window.edges, other.edges) for other in known):
                windows[window.number] = heapq.nlargest(_KINDS, [*known, window], key=attrgetter("holders"))
    every = (window for number in sorted(windows) for window in windows[number])
    marks = heapq.nlargest(_MOST, every, key=attrgetter("holders"))
    return _held(marks, rows, pictures, upright, edges) if marks else {}


def _held(marks: Sequence[Window], rows: _Rows, pictures: _Rows, upright: bool, edges: EdgeTable) -> dict[int, Mark]:
    """Which photographs of a source have which of its marks."""
    pairs = [np.empty((0, 2), np.int64)]
    for start in range(0, len(rows), _BATCH):
        batch = _Batch.of([edges[row] for row in rows[start : start + _BATCH].tolist()])
        pairs.append(np.argwhere(batch.holds(marks)) + np.array([start, 0]))
    owners, held = np.concatenate(pairs).T
    counts = np.bincount(np.unique(np.stack([held, pictures[owners]]), axis=1)[0], minlength=len(marks))
    order = np.lexsort((held, -counts[held], owners))
    order = order[counts[held[order]] >= FEWEST]
    _, first, number = np.unique(owners[order], return_index=True, return_inverse=True)
    most = order[counts[held[order]] == counts[held[order[first]]][number]]
    _, first, many = np.unique(owners[most], return_index=True, return_counts=True)
    middle = most[first + many // 2]  # a line of text covers several windows
    best = zip(rows[owners[middle]].tolist(), held[middle].tolist(), strict=True)
    return {row: Mark(int(counts[mark]), place_of(marks[mark].number, upright)) for row, mark in best}


def place_of(window: int, upright: bool) -> str:
    """Where a window is."""
    down = (window // _ACROSS + _WINDOW / 2) / _BLOCK_ROWS
    across = (window % _ACROSS + _WINDOW / 2) / _BLOCK_COLUMNS
    if upright:
        down, across = across, down
    return PLACES[3 * int(3 * down) + int(3 * across)]


def _is_same(one: Edges, other: Edges) -> bool:
    return len(np.intersect1d(one, other, assume_unique=True)) >= _ALIKE * min(len(one), len(other))


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """The edges of some photographs, one after the other, and how many each has in each window, by axis."""

    edges: Sequence[Edges]
    flat: Edges
    starts: _Rows
    counts: npt.NDArray[np.float32]  # n x windows x axes

    @classmethod
    def of(cls, edges: Sequence[Edges]) -> _Batch:
        flat = np.concatenate(edges)
        starts = np.cumsum([0, *map(len, edges)])
        return cls(edges, flat, starts, _count_windows(flat, starts))

    def holds(self, marks: Sequence[Window]) -> _Flags:
        """Which of the photographs have which marks."""
        flat, starts = np.concatenate([mark.edges for mark in marks]), np.cumsum([0, *(len(m.edges) for m in marks)])
        numbers = np.array([mark.number for mark in marks])
        return np.asarray(_score_marks(self.flat, self.starts, self.counts, flat, starts, numbers) >= _HOLDS)


def _common_windows(batch: _Batch) -> Iterator[Window]:
    """What three photographs of a batch or more have in common, window by window."""
    count = len(batch.edges)
    near = np.zeros((_DOWN * _ACROSS, count, count), np.bool_)
    _compare_all(batch.flat, batch.starts, batch.counts, near)
    for number in np.flatnonzero(near.any(axis=(1, 2))).tolist():
        alike = near[number] | near[number].T
        while (degrees := alike.sum(axis=1)).max() >= FEWEST - 1:
            chosen = alike[degrees.argmax()].copy()
            chosen[degrees.argmax()] = True
            alike[chosen] = alike[:, chosen] = False
            common = _in_common([batch.edges[one] for one in np.flatnonzero(chosen).tolist()], number)
            axes = np.bincount(common % _AXES, minlength=_AXES)
            if axes.sum() - axes.max() >= _SIZE:
                yield Window(number, common, int(chosen.sum()))


def _in_common(edges: Sequence[Edges], window: int) -> Edges:
    """The edges in a window that enough of the photographs have."""
    top, left = (_BLOCK * first for first in divmod(window, _ACROSS))
    every = np.concatenate(edges)
    row, column = np.divmod(every // DIRECTIONS, COLUMNS)
    size = _WINDOW * _BLOCK
    inside = (row >= top) & (row < top + size) & (column >= left) & (column < left + size)
    numbers, counts = np.unique(every[inside], return_counts=True)
    return numbers[counts >= max(FEWEST, len(edges) / _SHARE)]


def _count_windows(edges: Edges, starts: _Rows) -> npt.NDArray[np.float32]:
    """How many edges each of some photographs has in each window, by axis."""
    count = len(starts) - 1
    owners = np.repeat(np.arange(count), np.diff(starts))
    places = (owners * _BLOCK_ROWS * _BLOCK_COLUMNS + _blocks(edges)) * _AXES + edges % _AXES
    shape = (count, _BLOCK_ROWS, _BLOCK_COLUMNS, _AXES)
    blocks = np.bincount(places, minlength=int(np.prod(shape))).reshape(shape)
    steps = range(_WINDOW)
    sums = sum(blocks[:, down : down + _DOWN, right : right + _ACROSS] for down in steps for right in steps)
    return np.asarray(sums, np.float32).reshape(count, -1, _AXES)


def _blocks(edges: Edges) -> _Rows:
    row, column = np.divmod(edges // DIRECTIONS, COLUMNS)
    return np.asarray(row // _BLOCK * _BLOCK_COLUMNS + column // _BLOCK)


@compiled
def _compare_all(edges: Any, starts: Any, counts: Any, near: Any) -> None:
    """Note for each window which photographs have more edges in common than chance gives them."""
    bits = np.zeros((len(starts) - 1, ROWS * COLUMNS * DIRECTIONS // 64), np.uint64)
    for one in range(len(bits)):
        for edge in edges[starts[one] : starts[one + 1]]:
            bits[one, edge // 64] |= np.uint64(1) << np.uint64(edge % 64)
    common = np.zeros((_BLOCK_ROWS, _BLOCK_COLUMNS, _AXES), np.float32)
    totals = np.zeros((_DOWN, _ACROSS), np.int32)
    shared = np.zeros(ROWS * COLUMNS * DIRECTIONS, np.int32)
    for one in range(len(bits)):
        for other in range(one):
            found = shared[: _share(bits[one], bits[other], shared)]
            for edge in found:
                row, column = _block_of(edge)
                common[row, column, edge % _AXES] += 1
                totals[_first(row) : row + 1, _first(column) : column + 1] += 1
            for edge in found:
                _note_windows(edge, common, totals, counts[one], counts[other], near[:, one, other])
            for edge in found:
                row, column = _block_of(edge)
                common[row, column, edge % _AXES] = 0


@compiled
def _note_windows(edge: int, common: Any, totals: Any, one: Any, other: Any, near: Any) -> None:
    """Judge the windows around an edge in which enough edges are, each once."""
    row, column = _block_of(edge)
    for down in range(_first(row), min(row + 1, _DOWN)):
        for across in range(_first(column), min(column + 1, _ACROSS)):
            if totals[down, across] >= _PAIR:
                number = down * _ACROSS + across
                axes = common[down : down + _WINDOW, across : across + _WINDOW].sum(axis=0).sum(axis=0)
                near[number] = _score(axes, one[number], other[number]) >= _PAIR
            totals[down, across] = 0


@compiled
def _first(block: int) -> int:
    """The first window, along one side, in which a block lies."""
    return max(block - _WINDOW + 1, 0)


@compiled
def _share(one: Any, other: Any, shared: Any) -> int:
    """Note the edges that two photographs share; returns how many."""
    count = 0
    for word in range(len(one)):
        bits = one[word] & other[word]
        while bits:
            rest = bits & (bits - np.uint64(1))
            shared[count] = 64 * word + count_ones((bits ^ rest) - np.uint64(1))
            count += 1
            bits = rest
    return count


@compiled
def _block_of(edge: int) -> tuple[int, int]:
    cell = edge // DIRECTIONS
    return cell // COLUMNS // _BLOCK, cell % COLUMNS // _BLOCK


@compiled
def _score_marks(edges: Any, starts: Any, counts: Any, marks: Any, bounds: Any, windows: Any) -> Any:
    """How clearly each photograph has each mark."""
    has = np.zeros(ROWS * COLUMNS * DIRECTIONS, np.bool_)
    scores = np.zeros((len(starts) - 1, len(windows)), np.float32)
    own, found = np.zeros(_AXES, np.float32), np.zeros(_AXES, np.float32)
    for one in range(len(starts) - 1):
        for place in range(starts[one], starts[one + 1]):
            has[edges[place]] = True
        for mark in range(len(windows)):
            own[:] = 0
            found[:] = 0
            for edge in marks[bounds[mark] : bounds[mark + 1]]:
                own[edge % _AXES] += 1
                if has[edge]:
                    found[edge % _AXES] += 1
            scores[one, mark] = _score(found, own, counts[one, windows[mark]])
        for place in range(starts[one], starts[one + 1]):
            has[edges[place]] = False
    return scores


@compiled
def _score(common: Any, one: Any, other: Any) -> Any:
    """By how many standard deviations two sets share more than chance; what lies along one axis alone is left out.

    A horizon, a roof or a border is a straight line, which may be at the same place by chance.
    """
    more, most, expected = 0.0, -np.inf, 1.0
    for axis in range(_AXES):
        chance = one[axis] * other[axis] / _ROOM
        gain = common[axis] - chance
        expected += chance
        more += gain
        most = max(most, gain)
    return (more - most) / np.sqrt(expected)
