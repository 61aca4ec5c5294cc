"""The truth that networks are judged by, through `train eval` and `train run --validation`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from rssn.image.arrays import encode_png, to_uint8
from rssn.sources.mattes import read_matte
from tests.pictures import write_masks
from tests.train.test_cli import call, refused, run_options
from train.evaluation.examples import find_examples


@pytest.fixture
def checkpoint(shards: Path, tmp_path: Path) -> Path:
    """Of a network that has seen nothing."""
    assert call(*run_options(shards, tmp_path / "run", steps=1)).exit_code == 0
    return tmp_path / "run" / "last.pt"


def test_the_truth_is_in_the_alpha_channel(shared: Path) -> None:
    truth = to_uint8(read_matte((shared / "cases/02-mask-values/set/mask/f_ok_8bit.png").read_bytes()).alpha)
    for folder, count in (("01-rgba-matte/am2k", 3), ("01-rgba-matte/flat", 3), ("21-aisegment/aisegment", 2)):
        examples = find_examples(shared / "cases" / folder).examples
        assert len(examples) == count
        for example in examples:
            assert np.array_equal(to_uint8(example.load().alpha), truth)


def test_eval_refuses_what_is_doubtful_and_says_what_is_odd(checkpoint: Path, shared: Path, tmp_path: Path) -> None:
    out = tmp_path / "eval"
    data = shared / "cases/02-mask-values/set"
    judged = call("eval", "--checkpoint", checkpoint, "--data", data, "--out", out)
    assert judged.exit_code == 1
    assert "mean of 7 photographs" in judged.stdout
    assert "a_zero_one_8bit: read: never_white: the largest value is 1 of 255" in judged.stderr
    for words in ("look like trimaps", "have more foreground along the border", "have two values only"):
        assert f"NOTE: 1 of 7 mattes {words}" in judged.stderr
    summary = json.loads((out / "summary.json").read_text())
    assert {Path(name).stem: flags for name, flags in summary["flags"].items()} == {
        "g_bool_1bit": ["two_values"], "k_trimap_0_128_255": ["trimap"], "l_inverted": ["inverted"],
    }  # fmt: skip
    assert len(summary["failures"]) == 3


def test_eval_says_how_many_photographs_the_mean_leaves_out(checkpoint: Path, tmp_path: Path) -> None:
    data = write_masks(tmp_path / "masks", (255, 0))
    words = ("eval", "--checkpoint", checkpoint, "--data", data, "--out", tmp_path / "eval")
    both = call(*words)
    assert both.exit_code == 0, both.output
    assert "mean of 2 photographs; whole picture" in both.stdout
    assert "NOTE: 1 of 2 mattes are empty: the photograph has no foreground; for example 1" in both.stderr
    assert "two values" not in both.stderr
    one = call(*words, "--protocol", "dim")
    assert one.exit_code == 0, one.output
    assert "mean of 1 photographs (1 more without unknown pixels left out); unknown part" in one.stdout


def test_eval_by_a_scale_gives_the_figures_of_the_same_mattes(checkpoint: Path, tmp_path: Path) -> None:
    tables = []
    for value, more in ((255, ()), (1, ("--alpha-scale", 1))):
        out, data = tmp_path / f"eval-{value}", write_masks(tmp_path / str(value), (value, value))
        judged = call("eval", "--checkpoint", checkpoint, "--data", data, "--out", out, *more)
        assert judged.exit_code == 0, judged.output
        tables.append(pq.read_table(out / "per_image.parquet").to_pylist())
    assert tables[0] == tables[1]


def test_a_scale_for_shards_is_refused(checkpoint: Path, shards: Path) -> None:
    judged = call("eval", "--checkpoint", checkpoint, "--data", shards, "--alpha-scale", 255)
    assert "--alpha-scale 255: " in refused(judged)
    assert "holds shards" in refused(judged)


def test_a_validation_says_what_it_found_once(shards: Path, tmp_path: Path) -> None:
    data = write_masks(tmp_path / "masks", (255, 1))
    square = np.zeros((48, 64), np.uint8)
    square[10:, 20:40] = np.arange(0, 240, 12, dtype=np.uint8)
    square[20:, 25:35] = 255
    (data / "original" / "soft.png").write_bytes((data / "original" / "0.png").read_bytes())
    (data / "mask" / "soft.png").write_bytes(encode_png(square))
    more = ("--validation", data, "--validate-every", 1, "--validation-side", 64)
    trained = call(*run_options(shards, tmp_path / "run", steps=2), *more)
    assert trained.exit_code == 0, trained.output
    said = [line for line in trained.stderr.splitlines() if "validation: " in line]
    assert [line.partition("validation: ")[2][:70] for line in said] == [
        "masks: 1 photographs could not be evaluated, 2 were: 1: read: never_wh",
        "masks: 1 of 2 mattes have two values only, as masks have, while others",
    ]
    scaled = call(*run_options(shards, tmp_path / "scaled", steps=1), *more, "--alpha-scale", 1)
    assert "2 photographs could not be evaluated, 1 were: 0: read: out_of_range" in scaled.stderr


def test_a_scale_without_a_validation_is_refused(shards: Path, tmp_path: Path) -> None:
    words = refused(call(*run_options(shards, tmp_path / "run"), "--alpha-scale", 1))
    assert "--alpha-scale has no effect here: it is for the mattes of --validation" in words
    assert not (tmp_path / "run").exists()
