from __future__ import annotations

from itertools import product
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.study.statistics import Comparison, compare, holm, read_figures, summarise
from pipelines.study.steps import Step, Training
from rssn.errors import InputError
from rssn.files import write_parquet
from train.columns import METRICS


def figures(sads: dict[str, dict[int, list[float]]]) -> list[dict[str, Any]]:
    """Row -> seed -> SAD of each image; the other columns are a tenth of it."""
    return [
        {"row": row, "rosta": "TT", "seed": seed, "image": f"{n}.jpg"}
        | {name: value if name == "sad" else value / 10 for name in METRICS}
        for row, seeds in sads.items()
        for seed, values in seeds.items()
        for n, value in enumerate(values)
    ]


def test_a_cell_is_the_mean_and_deviation_of_the_seeds_means() -> None:
    [line] = summarise(figures({"plain": {0: [10.0, 20.0], 1: [30.0, 40.0], 2: [20.0, 60.0]}}))
    assert line.cells["sad"].mean == pytest.approx(30.0)
    assert line.cells["sad"].deviation == pytest.approx(np.std([15.0, 35.0, 40.0], ddof=1))
    assert line.cells["sad_bg"].mean == pytest.approx(3.0)
    assert line.by_image == {"0.jpg": pytest.approx(20.0), "1.jpg": pytest.approx(40.0)}


def test_one_seed_has_no_spread() -> None:
    [line] = summarise(figures({"plain": {0: [10.0, 20.0]}}))
    assert line.cells["sad"].deviation is None


def signed_rank_p(differences: list[float]) -> float:
    """The exact two-sided p by enumeration of all signs; differences distinct in size."""
    ranks = np.argsort(np.argsort(np.abs(differences))) + 1
    observed = abs(float((np.sign(differences) * ranks).sum()))
    sums = [abs(float((np.array(signs) * ranks).sum())) for signs in product((-1, 1), repeat=len(ranks))]
    return float(np.mean([value >= observed for value in sums]))


def test_rows_are_compared_image_by_image() -> None:
    plain = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0]
    change = [-1.0, -2.0, -4.0, 0.5, -3.0, -6.0, -5.0]
    other = [value + more for value, more in zip(plain, change, strict=True)]
    [found] = compare(summarise(figures({"plain": {0: plain}, "rssn": {0: other}})), [("plain", "rssn")])
    assert (found.better, found.images) == (6, 7)
    assert found.difference == pytest.approx(np.mean(change))
    assert found.p == pytest.approx(signed_rank_p(change)) == found.corrected
    assert found.verdict == "rssn is better"


def test_an_image_counts_by_its_mean_over_the_seeds() -> None:
    rows = {"a": {0: [1.0, 5.0], 1: [3.0, 7.0]}, "b": {0: [2.0, 6.0], 1: [2.0, 6.0]}}
    [found] = compare(summarise(figures(rows)), [("a", "b")])
    assert found.difference == 0.0
    assert isnan(found.p)
    assert found.corrected == 1.0


def test_without_a_significant_difference_nothing_is_claimed() -> None:
    facts = {"first": "a", "second": "b", "rosta": "TT", "better": 5}
    assert Comparison(**facts, difference=-1.0, images=9, p=0.04, corrected=0.12).verdict == "no significant difference"
    assert Comparison(**facts, difference=1.0, images=9, p=0.01, corrected=0.02).verdict == "a is better"
    few = Comparison(**facts, difference=-1.0, images=5, p=0.0625, corrected=0.0625)
    assert few.verdict == "no claim: 5 images cannot give a p below 0.062"


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, float("nan")]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_none_and_bonferroni(values: list[float]) -> None:
    for before, after in zip(values, holm(values), strict=True):
        assert before <= after <= min(1.0, before * len(values)) + 1e-12


def test_networks_that_saw_different_images_are_not_compared(tmp_path: Path) -> None:
    cells = [Training("plain", "TT", n, Step("eval", f"plain-{n}", ("eval", str(n)))) for n in (0, 1)]
    schema = pa.schema([("name", pa.string()), *((name, pa.float64()) for name in METRICS)])
    for cell, images in zip(cells, (("a", "b"), ("a",)), strict=True):
        rows = [{"name": image} | dict.fromkeys(METRICS, 1.0) for image in images]
        write_parquet(cell.judged.out(tmp_path) / "per_image.parquet", schema, rows)
    assert len(read_figures(cells[:1], tmp_path)) == 2
    with pytest.raises(InputError, match="judged on different images"):
        read_figures(cells, tmp_path)
