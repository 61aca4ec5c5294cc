"""Table 4: each network has the parameters and the multiply-adds of the fact sheet, and of the paper as it counts."""

from __future__ import annotations

import pytest

from train.network.complexity import cells, measure, notes
from train.network.networks import NETWORKS

SHEET = {
    "shm": (79.003, 79.267, 868.18),
    "lf": (37.901, 0.0, 1416.26),
    "hatt": (105.217, 107.27, 1501.62),
    "shmc": (78.401, 79.94, 139.19),
}
"""Million parameters, the same with what is never run (0: nothing is), GMac."""


@pytest.mark.parametrize("name", SHEET)
def test_counts_are_the_sheets(name: str) -> None:
    found, (parameters, counted, gmac) = measure(NETWORKS[name], timed=False), SHEET[name]
    assert found.parameters / 1e6 == pytest.approx(parameters, rel=1e-4)
    assert (found.counted or 0) / 1e6 == pytest.approx(counted, rel=1e-4)
    assert found.gmac == pytest.approx(gmac, rel=1e-4)
    assert found.paper is not None
    nearest = min(found.counted or found.parameters, found.parameters, key=lambda n: abs(n / 1e6 - found.paper[0]))
    assert nearest / 1e6 == pytest.approx(found.paper[0], rel=5e-3)
    assert found.gmac * found.operations == pytest.approx(found.paper[1], rel=5e-3)


def test_the_table_says_how_the_paper_counts() -> None:
    row = cells(measure(NETWORKS["lf"], timed=False))
    assert row == ("LF(d201)", "37.90", "", "37.91", "1416.26", "2821.14 / 2", "")
    assert notes(["gfm", "lf", "shm"]) == [
        "shm: with 263,171 of a classifier of layer3 that a public T-Net builds and never calls",
        "lf: the paper's GMac count a multiply and an add as two",
    ]
