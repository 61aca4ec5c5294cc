"""Which sample comes when: a function of (seed, position) alone, so ranks, workers and resumed runs agree.

A position counts the samples of a run. An epoch is as many as there are rows. Without a mixture each row comes once in
it; with one, each set gives its share, and goes through its own rows again and again, each time in a new order.
"""

from __future__ import annotations

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


START = Place(0, 0)


@dataclass(frozen=True)
class Mixture:
    """Sets of rows, and how they are mixed."""

    lengths: tuple[int, ...]  # rows of each set
    shares: tuple[float, ...]  # of the samples, any scale; empty: as the rows
    seed: int

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
        return keys[np.random.default_rng([self.seed, epoch]).permutation(len(keys))]

    def _drawn(self, number: int, epoch: int) -> npt.NDArray[np.int64]:
        """What a set gives to an epoch, in its own order."""
        length, first = self.lengths[number], sum(self.lengths[:number])
        positions = epoch * self.counts[number] + np.arange(self.counts[number])
        rounds = positions // length
        keys = np.empty((len(positions), 2), np.int64)
        keys[:, 0] = rounds
        for each in np.unique(rounds):
            order = np.random.default_rng([self.seed, number, int(each), 1]).permutation(length)
            keys[rounds == each, 1] = first + order[positions[rounds == each] % length]
        return keys


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
