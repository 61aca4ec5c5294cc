"""Which sample comes when: a function of (seed, position) alone, so ranks, workers and resumed runs agree.

A position counts the samples of a run. An epoch is as many as there are rows. Without a mixture each row comes once in
it; with one, each set gives its share, and goes through its own rows again and again, each time in a new order.

Rows are stored in groups (of 8 MiB, about four composites, most of one foreground), and a group can only be read whole.
So the rows of a group come near each other, but in different steps: `grouped_order`. That serves sets that exist, too.
Groups of one row would not, and their footers have 3.5 kB a row: 350 MB for 100,000 rows (90 MB with four rows to a
group), all of them read at each start, and a shard's again before any row of it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Key: TypeAlias = tuple[int, int]
"""How often its set was gone through before, and index among all rows: with the seed they name one crop of one row."""


class Place(NamedTuple):
    """Where in the order a run is."""

    step: int  # steps done
    position: int  # samples drawn; not a multiple of `step` where the batch changed on the way
    order_size: int = 0  # samples of a step, for which the order was made; 0: as many as a step has now


START = Place(0, 0)


@dataclass(frozen=True)
class Mixture:
    """Sets of rows, and how they are mixed."""

    lengths: tuple[int, ...]  # rows of each set
    shares: tuple[float, ...]  # of the samples, any scale; empty: as the rows
    seed: int
    groups: tuple[tuple[int, ...], ...] = ()  # rows of each group of each set, in their order; empty: each row is one
    step_size: int = 1  # samples of a step

    @property
    def length(self) -> int:
        """Samples of an epoch."""
        return sum(self.lengths)

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Samples of an epoch from each set; remainders go to the sets that miss most."""
        if not self.shares:
            return self.lengths
        exact = np.asarray(self.shares) * self.length / sum(self.shares)
        counts = np.floor(exact).astype(int)
        missing = self.length - int(counts.sum())
        counts[np.argsort(counts - exact, kind="stable")[:missing]] += 1
        return tuple(int(count) for count in counts)

    def epoch(self, epoch: int) -> npt.NDArray[np.int64]:
        """The keys of an epoch in order, N x 2."""
        keys = np.concatenate([self._drawn(number, epoch) for number in range(len(self.lengths))])
        same = np.all(np.diff(np.column_stack([keys[:, 0], self._group_of[keys[:, 1]]]), axis=0) == 0, axis=1)
        sizes = np.diff(np.flatnonzero(np.concatenate([[True], ~same, [True]])))
        return keys[grouped_order(sizes, self.step_size, np.random.default_rng([self.seed, epoch]))]

    @cached_property
    def _group_of(self) -> npt.NDArray[np.int64]:
        """The number of each row's group, counted through all sets."""
        sizes = [size for each in self.groups for size in each] if self.groups else [1] * self.length
        return np.repeat(np.arange(len(sizes)), sizes)

    def _drawn(self, number: int, epoch: int) -> npt.NDArray[np.int64]:
        """What a set gives to an epoch, group by group, in its own order."""
        length, first = self.lengths[number], sum(self.lengths[:number])
        positions = epoch * self.counts[number] + np.arange(self.counts[number])
        rounds = positions // length
        keys = np.empty((len(positions), 2), np.int64)
        keys[:, 0] = rounds
        for each in np.unique(rounds):
            order = np.random.default_rng([self.seed, number, int(each), 1]).permutation(length)
            groups = self._group_of[first + order]
            ranks = np.empty(len(self._group_of), np.int64)
            ranks[groups[::-1]] = np.arange(length)[::-1]  # a group comes where the first of its rows came
            order = order[np.argsort(ranks[groups], kind="stable")]
            keys[rounds == each, 1] = first + order[positions[rounds == each] % length]
        return keys


def grouped_order(sizes: npt.NDArray[np.int64], step_size: int, dice: np.random.Generator) -> npt.NDArray[np.int64]:
    """An order of rows, which lie group by group, that opens groups at random and has the rows of each near each other.

    Imagine lanes side by side, of which each position of the order is in the next one. A lane takes one group after the
    other, so that a group's rows are as many positions apart as there are lanes, see `lanes`, until all are taken.

    Args:
        sizes: Rows of each group.
        step_size: Samples of a step.
        dice: Which group comes when.
    """
    firsts = np.cumsum(sizes) - sizes
    count = lanes(step_size, len(sizes))
    free = list(range(count))  # the next position of each lane; a heap
    positions = np.empty(int(sizes.sum()), np.int64)
    for group in dice.permutation(len(sizes)).tolist():
        at, size = free[0], int(sizes[group])
        positions[firsts[group] : firsts[group] + size] = at + count * np.arange(size)
        heapq.heapreplace(free, at + count * size)
    return np.argsort(positions, kind="stable")


def lanes(step_size: int, groups: int) -> int:
    """How many positions the rows of a group are apart, and so, how many groups are being used at a time.

    Eight steps, or a multiple of them that gives 64 groups at least: so all rows of a group go to the same part of a
    step, which is a process's, and 1, 2, 4 or 8 loader processes, which take turns, need each group once; other numbers
    of them fetch a group for each of its rows. For batches of 1, 2, 4 and 8 the number is the same. Of the groups in
    use three eighths are kept: 0.2 GB for 64 of 8 MiB. Where there are fewer groups than that, as few as there are.

    Args:
        step_size: Samples of a step.
        groups: How many there are.
    """
    usual = 8 * step_size * max(1, 8 // step_size)
    for unit in (8 * step_size, step_size, 1):
        if groups >= unit:
            return min(usual, groups // unit * unit)
    return 1


def step_keys(mixture: Mixture, starts: range, part: slice) -> Iterator[list[Key]]:
    """The keys of each step, or of one rank's part of it; steps run on across the end of an epoch.

    Args:
        mixture: What is drawn from.
        starts: The position of each step's first sample; they are as far apart as a step has samples, of all ranks.
        part: Of a step's samples, the rank's.
    """
    epoch, keys = -1, np.empty((0, 2), np.int64)
    for start in starts:
        found: list[Key] = []
        for position in range(start, start + starts.step)[part]:
            if position // mixture.length != epoch:
                epoch = position // mixture.length
                keys = mixture.epoch(epoch)
            visit, index = keys[position % mixture.length]
            found.append((int(visit), int(index)))
        yield found
