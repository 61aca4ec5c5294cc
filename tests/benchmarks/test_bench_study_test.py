from __future__ import annotations

import numpy as np
import pytest
import scipy

from tests.benchmarks.bench_study_test import LAWS, MIXTURES, TESTS, larger, percentile, table


@pytest.mark.parametrize("law", LAWS)
def test_both_rows_have_the_same_mean(law: str) -> None:
    first, second = LAWS[law].draw(np.random.default_rng(0), MIXTURES["trainings"], (4000, 5, 4))
    changes = (second - first).mean((1, 2))
    assert abs(changes.mean()) < 4 * changes.std() / np.sqrt(len(changes))


def test_trainings_of_one_seed_are_alike_where_they_are_said_to_be() -> None:
    rows = LAWS["heavy tails, seeds alike by 0.5"].draw(np.random.default_rng(0), MIXTURES["trainings"], (8000, 9, 2))
    apart = [(row.mean(1)[:, 0] - row.mean(1)[:, 1]) for row in rows]
    assert np.corrcoef(apart)[0, 1] == pytest.approx(0.5, abs=0.08)


def test_the_other_tests_are_what_they_are_called() -> None:
    first, second = LAWS["normal"].draw(np.random.default_rng(2), MIXTURES["all"], (3, 9, 5))
    each = [
        max(
            scipy.stats.wilcoxon(two.mean(1) - one.mean(1)).pvalue,
            scipy.stats.ttest_ind(one.mean(0), two.mean(0), equal_var=False).pvalue,
        )
        for one, two in zip(first, second, strict=True)
    ]
    assert larger(first, second) == pytest.approx(each)
    assert percentile(first, first + 100).tolist() == [0, 0, 0]
    assert percentile(first, second)[0] == pytest.approx(percentile(second, first)[0], abs=0.15)


def test_the_table_has_a_line_for_each_law_and_mixture() -> None:
    lines = list(table(40, (3,), (5,)))
    assert len(lines) == len(LAWS) * (len(MIXTURES) + 2)
    assert lines[0] == "normal; trainings x photographs: 3 x 5"
    assert all(name in lines[-1] for name in TESTS)
