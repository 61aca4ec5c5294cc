"""How often a study calls rows different that are not: its test beside two others, per cent of simulated studies.

`python -m tests.benchmarks.bench_study_test` simulates studies of two rows with the same geometric mean of SAD and
prints, for each kind of study, the rate of p < 0.05 by trainings and photographs. The logarithm of a photograph's SAD
is, beside what both rows have in common and no test sees, the sum of an effect of photograph and row, one of the
training and one of both, whose deviations are those of a mixture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import click
import numpy as np
import scipy

from pipelines.study.crossed import LEVEL, Floats, difference

Test = Callable[[Floats, Floats], Floats]
"""p of N studies, each of two rows of logarithms of SAD, N x P x S."""


class Mixture(NamedTuple):
    """Standard deviations of the effects; 0.1 is about 10 % of SAD."""

    photographs: float
    trainings: float
    both: float


MIXTURES = {
    "photographs": Mixture(0.3, 0.02, 0.05),
    "trainings": Mixture(0.03, 0.2, 0.05),
    "both": Mixture(0.3, 0.12, 0.1),
    "interaction": Mixture(0.02, 0.02, 0.5),
    "all": Mixture(0.25, 0.15, 0.3),
}


def _normal(dice: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return dice.standard_normal(shape)


def _heavy(dice: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return dice.standard_t(3, shape) / np.sqrt(3)  # of variance 1


def _skewed(dice: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return dice.exponential(size=shape) - 1


@dataclass(frozen=True)
class Law:
    """How studies are drawn.

    Attributes:
        noise: Of each effect, mean 0 and variance 1.
        second: Deviations of the second row's effects, in those of the first row's.
        alike: Correlation of two rows' trainings of one seed.
    """

    noise: Callable[[np.random.Generator, tuple[int, ...]], Floats] = _normal
    second: float = 1.0
    alike: float = 0.0

    def draw(self, dice: np.random.Generator, mixture: Mixture, shape: tuple[int, int, int]) -> tuple[Floats, Floats]:
        """Two rows of N studies of P photographs and S trainings, of equal means."""
        studies, photographs, seeds = shape
        common = self.noise(dice, (studies, 1, seeds))
        rows = []
        for factor in (1.0, self.second):
            own = self.noise(dice, (studies, 1, seeds))
            trainings = np.sqrt(self.alike) * common + np.sqrt(1 - self.alike) * own
            effects = (
                mixture.photographs * self.noise(dice, (studies, photographs, 1))
                + mixture.trainings * trainings
                + mixture.both * self.noise(dice, shape)
            )
            rows.append(factor * effects)
        return rows[0], rows[1]


LAWS = {
    "normal": Law(),
    "heavy tails (t of 3)": Law(_heavy),
    "skewed (exponential)": Law(_skewed),
    "normal, the second row's spread 1.5 times": Law(second=1.5),
    "heavy tails, seeds alike by 0.5": Law(_heavy, alike=0.5),
    "skewed, the second row's spread 1.5 times": Law(_skewed, second=1.5),
    "beyond what is promised: normal, twice": Law(second=2.0),
    "beyond what is promised: skewed, twice": Law(_skewed, second=2.0),
}


def crossed(first: Floats, second: Floats) -> Floats:
    """The study's own."""
    return difference(first, second).p


def larger(first: Floats, second: Floats) -> Floats:
    """What studies had before: the larger of Wilcoxon's p over photographs and Welch's over trainings."""
    changes = second.mean(2) - first.mean(2)
    ranks = scipy.stats.wilcoxon(changes, axis=1).pvalue
    means = scipy.stats.ttest_ind(first.mean(1), second.mean(1), axis=1, equal_var=False).pvalue
    return np.maximum(ranks, means)


def percentile(first: Floats, second: Floats, resamples: int = 400) -> Floats:
    """The percentile bootstrap over photographs and trainings, resampled in each row."""
    dice = np.random.default_rng(0)
    _, photographs, seeds = first.shape
    counts, *weights = (
        dice.multinomial(count, np.full(count, 1 / count), resamples) / count for count in (photographs, seeds, seeds)
    )
    pairs = zip((first, second), weights, strict=True)
    means = [np.einsum("bp,nps,bs->nb", counts, row, each, optimize=True) for row, each in pairs]
    below = (means[1] < means[0]).mean(1)
    return np.asarray(2 * np.minimum(below, 1 - below))


TESTS: Mapping[str, tuple[Test, int]] = {
    "the study's test": (crossed, 1),
    "larger of Wilcoxon's and Welch's p": (larger, 20),
    "percentile bootstrap": (percentile, 20),
}
"""The test, and of how many studies it is given one: the others are slow."""


def rates(law: Law, mixture: Mixture, photographs: int, seeds: int, studies: int) -> list[float]:
    """Shares of studies in which each test finds a difference, where there is none."""
    dice = np.random.default_rng([photographs, seeds])
    found: list[list[float]] = [[] for _ in TESTS]
    for start in range(0, studies, 2000):
        rows = law.draw(dice, mixture, (min(2000, studies - start), photographs, seeds))
        for calls, (test, every) in zip(found, TESTS.values(), strict=True):
            calls.extend((test(*(row[::every] for row in rows)) < LEVEL).tolist())
    return [float(np.mean(each)) for each in found]


def table(studies: int, seeds: tuple[int, ...], photographs: tuple[int, ...]) -> Iterator[str]:
    """A heading and a line for each law and mixture, and the worst of each law."""
    sizes = [(each, count) for each in seeds for count in photographs]
    for name, law in LAWS.items():
        yield f"{name}; trainings x photographs: " + ", ".join(f"{each} x {count}" for each, count in sizes)
        worst = np.zeros(len(TESTS))
        for kind, mixture in MIXTURES.items():
            cells = np.array([rates(law, mixture, count, each, studies) for each, count in sizes])
            worst = np.maximum(worst, cells.max(0))
            yield f"  {kind:<14}" + "".join(f"{100 * cell:>6.1f}" for cell in cells[:, 0])
        yield "  at most: " + ", ".join(f"{100 * each:.1f} {test}" for each, test in zip(worst, TESTS, strict=True))


@click.command()
@click.option("--studies", type=int, default=10_000, help="Simulated ones of each kind.")
@click.option("--seeds", type=int, multiple=True, default=(3, 5, 10))
@click.option("--photographs", type=int, multiple=True, default=(9, 18, 50))
def main(studies: int, seeds: tuple[int, ...], photographs: tuple[int, ...]) -> None:
    """Print the table; a rate of 5 % is known to 0.4 % by 10,000 studies."""
    for line in table(studies, seeds, photographs):
        click.echo(line)


if __name__ == "__main__":
    main()
