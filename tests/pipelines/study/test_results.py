from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.study.results import read_figures, summarise
from pipelines.study.steps import Cell, Step
from rssn.errors import InputError
from rssn.storage.files import write_parquet
from train.metrics.paper import METRICS


def figures(sads: dict[str, dict[int, list[float]]]) -> list[dict[str, Any]]:
    """Row -> seed -> SAD of each image; the other columns are a tenth of it."""
    return [
        {"set": "", "row": row, "variant": "TT", "seed": seed, "image": f"{n}.jpg"}
        | {name: value if name == "sad" else value / 10 for name in METRICS}
        for row, seeds in sads.items()
        for seed, values in seeds.items()
        for n, value in enumerate(values)
    ]


def test_a_cell_is_the_mean_and_deviation_of_the_seeds_means() -> None:
    [line] = summarise(figures({"plain": {0: [10.0, 20.0], 1: [30.0, 40.0], 2: [20.0, 60.0]}}))
    assert line.figures["sad"].mean == pytest.approx(30.0)
    assert line.figures["sad"].deviation == pytest.approx(np.std([15.0, 35.0, 40.0], ddof=1))
    assert line.figures["sad_bg"].mean == pytest.approx(3.0)
    assert line.by_image == {"0.jpg": pytest.approx(20.0), "1.jpg": pytest.approx(40.0)}
    assert line.matrix.tolist() == [[10.0, 30.0, 20.0], [20.0, 40.0, 60.0]]


def test_one_seed_has_no_spread() -> None:
    [line] = summarise(figures({"plain": {0: [10.0, 20.0]}}))
    assert line.figures["sad"].deviation is None


def test_images_without_figures_are_left_out(tmp_path: Path) -> None:
    cell = Cell("plain", "TT", 0, Step("eval", "plain-0", {}))
    columns = ("sad", "mse")  # those of --protocol dim, say
    schema = pa.schema([("name", pa.string()), *((name, pa.float64()) for name in columns)])
    rows = [{"name": "empty"}, {"name": "cat", "sad": 2.0, "mse": 0.5}]
    write_parquet(cell.evaluation.out(tmp_path) / "per_image.parquet", schema, rows)
    [line] = summarise(read_figures([cell], tmp_path))
    assert (line.by_image, {name: found.mean for name, found in line.figures.items()}) == (
        {"cat": 2.0},
        {"sad": 2.0, "mse": 0.5},
    )


def test_networks_that_saw_different_images_are_not_compared(tmp_path: Path) -> None:
    cells = [Cell("plain", "TT", n, Step("eval", f"plain-{n}", {"data": str(n)})) for n in (0, 1)]
    schema = pa.schema([("name", pa.string()), *((name, pa.float64()) for name in METRICS)])
    for cell, images in zip(cells, (("a", "b"), ("a",)), strict=True):
        rows = [{"name": image} | dict.fromkeys(METRICS, 1.0) for image in images]
        write_parquet(cell.evaluation.out(tmp_path) / "per_image.parquet", schema, rows)
    assert len(read_figures(cells[:1], tmp_path)) == 2
    with pytest.raises(InputError, match=r"eval-plain-1-\w+: TT has no figures of b; leave them out of"):
        read_figures(cells, tmp_path)


def test_sets_may_hold_other_images(tmp_path: Path) -> None:
    cells = [
        Cell("plain", "TT", seed, Step("eval", f"plain-{place}-{seed}", {"data": f"{place}{seed}"}), set=place)
        for place in ("old", "new")
        for seed in (0, 1)
    ]
    schema = pa.schema([("name", pa.string()), *((name, pa.float64()) for name in METRICS)])
    for cell, images in zip(cells, ("a", "a", "bc", "bc"), strict=True):
        rows = [{"name": image} | dict.fromkeys(METRICS, 1.0) for image in images]
        write_parquet(cell.evaluation.out(tmp_path) / "per_image.parquet", schema, rows)
    found = read_figures(cells, tmp_path)
    assert [(each["set"], each["seed"], each["image"]) for each in found] == [
        ("old", 0, "a"), ("old", 1, "a"), *(("new", seed, image) for seed in (0, 1) for image in "bc")
    ]  # fmt: skip
