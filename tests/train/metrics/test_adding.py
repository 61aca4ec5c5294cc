"""A metric is one row: the README's example is added, and everything that shows or compares metrics has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from rssn.errors import InputError
from tests.train.readme import run_example
from train.cli import main
from train.config import TrainConfig
from train.loop.best import BestTracker
from train.loop.curve import draw_curve
from train.metrics.paper import METRICS
from train.validation_sets import ValidationSet


@pytest.fixture
def _added() -> Iterator[None]:
    before = dict(METRICS)
    run_example("How to add a metric")
    yield
    METRICS.clear()
    METRICS.update(before)


def call(*words: object) -> str:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.usefixtures("_added")
def test_everything_follows_from_the_row(shards: Path, photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["--backbone", "tiny", "--max-steps", 4, "--batch-size", 2, "--crop-size", 64, "--input-size", 64]
    words += ["--workers", 0, "--learning-rate", 0.1, "--schedule", "constant", "--ema", 0, "--tensorboard"]
    words += ["--validation", f"real={photographs}", "--validate-every", 1, "--best-by", "within"]
    trained = call("run", "--data", shards, "--out", out, *words)
    history = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    found = [line["validation/real/within"] for line in history]
    assert len(found) == 4
    record = json.loads((out / "best.json").read_text())
    assert (record["metric"], record["value"], record["step"]) == ("within", max(found), 1 + int(np.argmax(found)))
    assert f"within {max(found):.5g} on real" in trained
    assert b"validation/real/within" in b"".join(path.read_bytes() for path in (out / "tensorboard").iterdir())
    drawn = [(out / "curve.png").read_bytes(), draw_curve(history, tmp_path / "sad.png").read_bytes()]
    assert drawn[0] == draw_curve(history, tmp_path / "same.png", "within").read_bytes() != drawn[1]

    heading, row, *_ = call("eval", "--checkpoint", out / "best.pt", "--data", photographs, "--mattes").splitlines()
    assert heading.split()[-1] == "Within"
    assert row.split()[-1] == f"{max(found):.3f}"
    table = pq.read_table(out / "eval" / "per_image.parquet").to_pylist()
    for each in table:
        matte, truth = (
            cv2.imread(str(path / f"{each['name']}.png"), cv2.IMREAD_GRAYSCALE) / 255
            for path in (out / "eval" / "mattes", photographs / "mask")
        )
        assert each["within"] == pytest.approx(np.mean(np.abs(matte - truth) < 0.1))
    summary = json.loads((out / "eval" / "summary.json").read_text())
    assert summary["mean"]["within"] == pytest.approx(np.mean([each["within"] for each in table]))
    assert summary["row"] == row


@pytest.mark.usefixtures("_added")
def test_the_highest_is_the_best_where_the_row_says_so(config: TrainConfig, photographs: Path) -> None:
    sets = (ValidationSet("real", photographs),)
    tracker = BestTracker(replace(config, validation=sets, best_by="within"), config.out, "these", None, lambda _: None)
    assert [tracker.update(step, value, 4) for step, value in ((1, 0.2), (2, 0.1), (3, 0.3))] == [True, False, True]


def test_without_the_row_there_is_no_such_metric(config: TrainConfig) -> None:
    with pytest.raises(InputError, match=r"--best-by within: give one of sad, .*, sad_bg, or SET/METRIC"):
        replace(config, best_by="within")
