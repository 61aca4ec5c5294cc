"""`rssn study --power`: how large a difference a study of so many seeds and photographs would find.

A finished study, the pilot, says how much figures, which are logarithms of SAD, vary. By the model of
`pipelines.study.crossed`, pooled over the pilot's rows of one kind of network: the variance of trainings is that of
their means less what photograph and training have together, and so for the photographs' differences between two rows;
what comes out below 0 is 0.

Studies are then drawn with as many photographs and trainings as one likes, and tested. Photographs are random: each is
one of the pilot's, with the difference that it has there between two rows and its own spread over trainings, so that
tails are as heavy as they are; trainings are normal. On all photographs SAD changes by one factor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
import scipy

from pipelines.study.crossed import LEVEL, Difference, Floats, difference
from pipelines.study.pilot import Pilot

POWER = 0.8
"""What a study is to be worth: it finds the difference in four of five cases."""

STUDIES = 2000
"""Simulated of each kind: a power of 0.8 is known to 0.018."""

_SIDE = 0.1  # beyond either end of the components' intervals
_MANY = 6  # seeds


@dataclass(frozen=True)
class Component:
    """A variance, as an estimate from a pilot.

    Attributes:
        value: Of logarithms of SAD.
        low, high: The interval of 80 %, as if effects were normal.
        freedom: Degrees of freedom.
    """

    value: float
    low: float
    high: float
    freedom: int

    @classmethod
    def of(cls, mean_square: float, freedom: int, noise: float) -> Component:
        """What a mean square says, less the share of it that is noise."""
        ends = mean_square * freedom / scipy.stats.chi2.isf([_SIDE, 1 - _SIDE], freedom)
        value, low, high = (max(0.0, float(each) - noise) for each in (mean_square, *ends))
        return cls(value, low, high, freedom)


@dataclass(frozen=True)
class Spread:
    """How much the figures of a pilot vary.

    Attributes:
        trainings: Of one row: means over all photographs.
        rows: Of the difference of two rows, over photographs: means over all trainings.
        both: What photograph and training have together, in one row.
        photographs: Over photographs, which no difference has.
        shapes: K x P, the differences of K pairs of rows on P photographs, each of mean 0; over all, of variance 1.
        weights: P, each photograph's share of `both`, of mean 1.
    """

    trainings: Component
    rows: Component
    both: Component
    photographs: float
    shapes: Floats
    weights: Floats

    @classmethod
    def of(cls, kinds: Sequence[Floats]) -> Spread:
        """Estimate it.

        Args:
            kinds: R x P x S each, figures of R rows with one kind of network, on P photographs by S trainings.
        """
        rest = np.concatenate([_rest(kind) for kind in kinds])
        count, photographs, seeds = rest.shape
        together = (photographs - 1) * (seeds - 1)
        noise = float((rest**2).sum() / (count * together))
        means = np.concatenate([kind.mean(1) for kind in kinds])
        apart = np.array([kind[b].mean(1) - kind[a].mean(1) for kind in kinds for a, b in _pairs(kind)])
        apart -= apart.mean(1, keepdims=True)
        square = float((apart**2).sum() / (len(apart) * (photographs - 1)))
        independent = sum(len(kind) - 1 for kind in kinds)
        weights = (rest**2).sum((0, 2))
        return cls(
            Component.of(float(means.var(1, ddof=1).mean()), count * (seeds - 1), noise / photographs),
            Component.of(square, independent * (photographs - 1), 2 * noise / seeds),
            Component.of(noise, count * together, 0.0),
            float(np.mean([kind.mean(2).var(1, ddof=1).mean() for kind in kinds])),
            apart / (np.sqrt(np.mean(apart**2)) or 1.0),
            weights / (weights.mean() or 1.0),
        )

    @property
    def cautious(self) -> Spread:
        """The same where each component is at the upper end of its interval."""
        each = {name: getattr(self, name) for name in ("trainings", "rows", "both")}
        return replace(self, **{name: replace(one, value=one.high) for name, one in each.items()})

    def draw(self, dice: np.random.Generator, photographs: int, seeds: int, studies: int) -> Difference:
        """The differences of two rows of one mean, in studies of that size."""
        shown = dice.integers(self.shapes.shape[1], size=(studies, photographs))
        pair = dice.integers(len(self.shapes), size=(studies, 1))
        sign = dice.choice((-1.0, 1.0), (studies, 1))  # neither row is the first by nature
        apart = np.sqrt(self.rows.value) * sign * self.shapes[pair, shown]
        spread = np.sqrt(self.both.value * self.weights)[shown][..., None]
        first, second = (
            np.sqrt(self.trainings.value) * dice.standard_normal((studies, 1, seeds))
            + spread * dice.standard_normal((studies, photographs, seeds))
            for _ in range(2)
        )
        return difference(first, second + apart[..., None])


def _rest(kind: Floats) -> Floats:
    """What a figure has beyond its photograph and its training; R x P x S."""
    each = kind - kind.mean(1, keepdims=True) - kind.mean(2, keepdims=True)
    return np.asarray(each + kind.mean((1, 2), keepdims=True))


def _pairs(kind: Floats) -> Iterator[tuple[int, int]]:
    return combinations(range(len(kind)), 2)


@dataclass(frozen=True)
class Power:
    """What a study of some size finds.

    Attributes:
        photographs, seeds: Its size.
        mistaken: Share of studies that find a difference where there is none.
        found: For each difference, the share of studies that find it.
        least: The smallest difference that a study finds with `POWER`.

    Differences are by what share SAD is smaller.
    """

    photographs: int
    seeds: int
    mistaken: float
    found: Floats
    least: float


def power(spread: Spread, size: tuple[int, int], differences: Floats, comparisons: int) -> Power:
    """Simulate studies of one size; the same ones whenever it is asked.

    Args:
        spread: Of the pilot.
        size: Photographs and seeds.
        differences: D, by what share the second row's SAD is smaller, above 0 and below 1.
        comparisons: The level is divided by them, Holm's first step.
    """
    photographs, seeds = size
    drawn = spread.draw(np.random.default_rng([photographs, seeds]), photographs, seeds, STUDIES)
    low, high = drawn.interval(LEVEL / comparisons)
    found = np.array([np.mean(low - each > 0) for each in np.log1p(-differences)])
    least = np.sort(-low)[int(np.ceil(POWER * STUDIES)) - 1]  # from there on the interval is above 0
    return Power(photographs, seeds, float(np.mean((low > 0) | (high < 0))), found, float(-np.expm1(-least)))


SEEDS = (3, 4, 5, 6, 8, 10, 15, 20)
_PHOTOGRAPHS = (1, 2, 4)  # times the pilot's
_SHARES = np.array([0.1, 0.15, 0.2, 0.3, 0.4])


@dataclass(frozen=True)
class Size:
    """What a study of one seed consists of.

    Attributes:
        trainings: Of a seed.
        comparisons: That Holm's correction counts.
        side_by_side: Trainings at a time.
    """

    trainings: int
    comparisons: int
    side_by_side: int

    def hours(self, seeds: int, minutes: float) -> float:
        """Wall time of all trainings and their evaluations."""
        return -(-self.trainings * seeds // self.side_by_side) * minutes / 60


def power_lines(pilot: Pilot, size: Size) -> Iterator[str]:
    """What is printed: the pilot, its spread, and what studies find, by photographs and seeds."""
    spread, level = Spread.of(pilot.kinds), LEVEL / size.comparisons
    photographs, seeds = pilot.shape
    yield f"pilot: {pilot.place}: {photographs} photographs, {seeds} seeds, {len(pilot.lines)} rows"
    yield f"its first row, {pilot.lines[0].row}: mean SAD {pilot.mean:.2f}"
    yield f"a training, evaluated: {pilot.minutes:.1f} min"
    yield ""
    yield "standard deviations of log SAD, 0.1 is about 10 % of SAD, pooled over its rows"
    yield "(80 % interval, as if effects were normal):"
    yield from _components(spread)
    yield ""
    yield f"power, by {STUDIES} simulated studies each; in brackets with all three at the upper end of their interval"
    yield f"p < {level:.2g}: {size.comparisons} comparisons, the first step of Holm's correction"
    yield f"{size.trainings} trainings a seed, {size.side_by_side} at a time; SAD that is smaller by"
    shares = "".join(f"{f'{share:.0%}':>14}" for share in _SHARES)
    yield f"photographs  seeds  hours{'none':>8}{shares}{f'{POWER:.0%} find':>16}"
    mistaken = 0.0
    for each, count in product((photographs * times for times in _PHOTOGRAPHS), SEEDS):
        two = [power(one, (each, count), _SHARES, size.comparisons) for one in (spread, spread.cautious)]
        found = "".join(f"{f'{a:.2f} ({b:.2f})':>14}" for a, b in zip(two[0].found, two[1].found, strict=True))
        least = f"{two[0].least:.0%} ({two[1].least:.0%})"
        hours = size.hours(count, pilot.minutes)
        yield f"{each:>11}{count:>7}{hours:>7.1f}{two[0].mistaken:>8.3f}{found}{least:>16}"
        mistaken = max(mistaken, two[0].mistaken)
    yield ""
    yield from _doubts(pilot, spread, mistaken > level + 3 * np.sqrt(level / STUDIES))


def _components(spread: Spread) -> Iterator[str]:
    each = {
        "trainings of one row": spread.trainings,
        "photographs, of a difference of two rows": spread.rows,
        "photograph and training together": spread.both,
    }
    for name, one in each.items():
        value, low, high = np.sqrt([one.value, one.low, one.high])
        yield f"  {name:<42}{value:>7.2f}  ({low:.2f} to {high:.2f}), {one.freedom} degrees of freedom"
    yield f"  {'photographs, which no difference has':<42}{np.sqrt(spread.photographs):>7.2f}"


def _doubts(pilot: Pilot, spread: Spread, one_carries: bool) -> Iterator[str]:
    """What the figures do not know."""
    photographs, seeds = pilot.shape
    if seeds < _MANY:
        few = f"NOTE: {seeds} seeds a row are few"
        times = np.sqrt(spread.trainings.high / spread.trainings.value) if spread.trainings.value else None
        words = "they do not tell the spread of trainings from 0" if times is None else "trainings may spread "
        yield f"{few}: {words}{'' if times is None else f'{times:.1f} times as much'}; plan by the figures in brackets"
    yield f"NOTE: photographs are drawn from the pilot's {photographs}: tails that these do not have are not known"
    yield "NOTE: SAD changes by one factor on all photographs, beside what the pilot's rows differ about their mean"
    if one_carries:
        words = "the pilot's rows differ on few photographs, whose share in a small set decides: no t-test knows that"
        yield f"NOTE: 'none' is how often a difference is found where there is none, here too often: {words}"
