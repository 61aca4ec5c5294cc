from __future__ import annotations

from math import isnan

import numpy as np
import pytest
import scipy

from pipelines.study.crossed import LEVEL, difference
from tests.benchmarks.bench_study_test import LAWS, MIXTURES, Law, rates


def test_the_variance_is_the_photographs_and_the_trainings_by_hand() -> None:
    first = np.array([[10.0, 14.0], [20.0, 22.0], [30.0, 36.0]])
    second = np.array([[9.0, 9.0], [18.0, 22.0], [22.0, 22.0]])
    found = difference(first, second)
    photographs = np.var([-3.0, -1.0, -11.0], ddof=1) / 3
    trainings = np.var([20.0, 24.0], ddof=1) / 2, np.var([49 / 3, 53 / 3], ddof=1) / 2
    variance = photographs + sum(trainings)
    freedom = variance**2 / (photographs**2 / 2 + trainings[0] ** 2 + trainings[1] ** 2)
    assert found.mean == pytest.approx(-5)
    assert found.error == pytest.approx(np.sqrt(variance))
    assert found.freedom == pytest.approx(freedom)
    student = scipy.stats.t(freedom)
    assert found.p == pytest.approx(2 * student.cdf(-5 / np.sqrt(variance)))
    assert found.interval() == pytest.approx((-5 + np.sqrt(variance) * student.ppf([0.025, 0.975])).tolist())


def test_without_trainings_that_vary_it_is_the_paired_t_test() -> None:
    """As rows of SSS are, whose seeds all give the same."""
    values = np.random.default_rng(0).normal(size=(2, 7, 1)) + np.zeros(4)
    assert difference(*values).p == pytest.approx(scipy.stats.ttest_rel(*values[..., 0]).pvalue)


def test_without_photographs_that_vary_it_is_welchs_t_test() -> None:
    values = np.random.default_rng(0).normal(size=(2, 1, 5)) * np.array([1, 2])[:, None, None] + np.zeros((7, 1))
    welch = scipy.stats.ttest_ind(*values[:, 0], equal_var=False).pvalue
    assert difference(*values).p == pytest.approx(welch)


def test_the_interval_excludes_0_where_p_is_below_the_level() -> None:
    rows = Law().draw(np.random.default_rng(0), MIXTURES["all"], (200, 9, 5))
    found = difference(rows[0], rows[1] + 0.5)
    low, high = found.interval()
    assert ((low > 0) | (high < 0)).tolist() == (found.p < LEVEL).tolist()
    assert 0 < np.mean(found.p < LEVEL) < 1


def test_no_spread_at_all() -> None:
    same = np.ones((3, 2))
    assert (difference(same, same).p, difference(same, same + 1).p) == (1, 0)


def test_one_training_or_one_photograph_tests_nothing() -> None:
    values = np.arange(6.0)
    for shape in ((6, 1), (1, 6)):
        found = difference(values.reshape(shape), 2 * values.reshape(shape))
        assert isnan(found.p)
        assert all(map(isnan, found.interval()))
        assert found.mean == 2.5


@pytest.mark.parametrize("law", [name for name in LAWS if not name.startswith("beyond")])
def test_networks_of_one_recipe_are_told_apart_in_at_most_five_of_a_hundred_studies(law: str) -> None:
    """Of 4,000 studies 5 % are 200, and 240 are exceeded once in 500 times."""
    found = {
        (kind, seeds, photographs): rates(LAWS[law], MIXTURES[kind], photographs, seeds, 4000)
        for kind, seeds, photographs in (("both", 3, 18), ("trainings", 3, 9), ("photographs", 10, 9), ("both", 10, 50))
    }
    assert max(each[0] for each in found.values()) <= 0.06, found
    assert max(each[2] for each in found.values()) > 0.08, "the percentile bootstrap"


def test_a_difference_is_found() -> None:
    """A test that never finds one would pass the other."""
    first, second = LAWS["normal"].draw(np.random.default_rng(1), MIXTURES["both"], (500, 18, 5))
    assert np.mean(difference(first, second - 0.5).p < LEVEL) > 0.8
