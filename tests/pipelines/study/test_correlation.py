from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import scipy

from pipelines.study.correlation import Correlation, Measured, correlations, needed, spearman
from pipelines.study.results import summarise
from rssn.gap.pairs import Estimate
from tests.pipelines.study.test_results import figures


def exact(values: list[float], others: list[float]) -> tuple[float, float]:
    """rho as scipy has it, and the share of all orders with as large a one."""
    rho = scipy.stats.spearmanr(values, others).statistic
    every = [abs(scipy.stats.spearmanr(order, others).statistic) for order in permutations(values)]
    return rho, float(np.mean([each >= abs(rho) - 1e-12 for each in every]))


@pytest.mark.parametrize(
    "values",
    [[0.9, 0.7, 0.8, 0.6, 0.5], [1.0, 4.0, 3.0, 2.0, 5.0], [3.0, 1.0, 4.0, 2.0, 5.0], [0.9, 0.9, 0.5, 0.2, 0.1]],
)
def test_p_counts_all_orders(values: list[float]) -> None:
    others = [50.0, 40.0, 45.0, 20.0, 30.0]
    assert spearman(np.array(values), np.array(others)) == pytest.approx(exact(values, others))


def test_what_so_many_rows_can_show() -> None:
    """As tables of Spearman's rho have it (Zar, J. Am. Stat. Assoc. 67, 1972)."""
    assert [needed(rows) for rows in (3, 4)] == [None, None]
    assert [round(needed(rows) or 0, 3) for rows in (5, 6, 7, 8)] == [1.0, 0.886, 0.786, 0.738]


def test_without_any_spread_nothing_is_found() -> None:
    assert spearman(np.ones(5), np.arange(5.0)) == (0.0, 1.0)


def test_rows_are_correlated_variant_by_variant() -> None:
    sads = {"a": 40.0, "b": 30.0, "c": 20.0, "d": 10.0}
    rows = figures({name: {0: [sad]} for name, sad in sads.items()})
    rows += [{**each, "variant": "SHM"} for each in rows[:2]]

    def measured(strength: float, distance: float) -> Measured:
        return Measured(*(Estimate(value, 0.0, 1.0) for value in (strength, 0.8, distance)))

    found = list(
        correlations(
            summarise(rows),
            {"a": measured(0.9, 0.9), "b": measured(0.5, 0.8), "c": measured(0.81, 0.7)},  # d are the photographs
        )
    )
    assert [(each.variant, each.rows) for each in found] == [("TT", 3)] * 2
    assert [each.rho for each in found] == pytest.approx([1.0, 0.5]), "a cue strength below the target is off as well"
    said = found[0].words(with_p=True)
    assert said.startswith("SAD and distance, 3 rows of TT: rho +1.00, p 0.33; of 3 rows no rho gives")
    assert found[0].words(with_p=False) == "SAD and distance, 3 rows of TT: rho +1.00"


def test_of_seven_rows_much_is_asked() -> None:
    assert Correlation("TT", "distance", 7, 0.75, 0.066).words(with_p=True) == (
        "SAD and distance, 7 rows of TT: rho +0.75, p 0.066; of 7 rows |rho| must be 0.786 or more for a p below 0.05"
    )
