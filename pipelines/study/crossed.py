"""The study's one test: by what factor two rows' SAD differ, over photographs and trainings, both samples of many.

Its figures are logarithms of SAD: a difference is a ratio of geometric means, and a photograph counts by its ratio, not
by the size of its object. That of row r, photograph p and training s is m_r + a_p + b_rp + c_rs + e_rps: photographs
are crossed with rows and trainings, trainings lie within rows. A difference of two rows has no a_p; its variance is
that of b over the photographs, of c over the trainings, and of e over both. Two sums of squares see all three:

* photographs: of each the difference of its means over the trainings, P of them; the variance of their mean;
* trainings: of each the mean over the photographs, S of each row; the variance of either row's mean.

The test's variance is the sum of both. It counts e twice and is too large rather than too small (Cameron, Gelbach and
Miller, J. Bus. Econ. Stat. 29, 2011, section 2, without the term that is subtracted). The degrees of freedom of
Student's t are Satterthwaite's of the three variances that are added. How often it finds what is not there is simulated
by `python -m tests.benchmarks.bench_study_test`.

Trainings of one seed share the first weights and the order of the samples. Whatever makes them alike across rows
makes the difference vary less than is counted here, so that pairs are not needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy  # its parts are loaded when they are used

Floats: TypeAlias = npt.NDArray[np.float64]

LEVEL = 0.05
"""Below it a difference is called significant; after Holm's correction."""


@dataclass(frozen=True)
class Difference:
    """The second row less the first, of one study or of many simulated ones: arrays of one shape.

    Attributes:
        mean: Of the figures.
        error: Its standard error; NaN where there is one photograph or one training.
        freedom: Degrees of freedom of Student's t; 1 where nothing varies.
    """

    mean: Floats
    error: Floats
    freedom: Floats

    @property
    def p(self) -> Floats:
        """Two-sided; without any spread 0, or 1 where there is no difference; NaN where the error is."""
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(self.mean == 0, 0 * self.error, np.abs(self.mean) / self.error)
        return np.asarray(2 * scipy.stats.t.sf(t, self.freedom))

    def interval(self, level: float = LEVEL) -> tuple[Floats, Floats]:
        """Of 1 - level; NaN where the error is."""
        reach = scipy.stats.t.isf(level / 2, self.freedom) * self.error
        return self.mean - reach, self.mean + reach


def difference(first: Floats, second: Floats) -> Difference:
    """Compare two rows.

    Args:
        first: ... x P x S, logarithms of SAD of P photographs by S trainings.
        second: ... x P x T, of the same photographs.
    """
    changes = second.mean(-1) - first.mean(-1)
    values = (changes, first.mean(-2), second.mean(-2))
    parts = [_variance_of_mean(each) for each in values]
    variance = sum(parts, np.zeros(()))
    with np.errstate(divide="ignore", invalid="ignore"):
        slack = [part**2 / (each.shape[-1] - 1) for part, each in zip(parts, values, strict=True)]
        freedom = np.where(variance == 0, 1.0, variance**2 / sum(slack, np.zeros(())))
    return Difference(changes.mean(-1), np.sqrt(variance), freedom)


def _variance_of_mean(values: Floats) -> Floats:
    count = values.shape[-1]
    if count < 2:
        return np.full(values.shape[:-1], np.nan)
    return np.asarray(values.var(-1, ddof=1) / count)
