from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from rssn.errors import InputError
from rssn.image.arrays import encode_png, to_float, to_uint8
from tests.train.seeded import seeded_gfm
from train.evaluation.evaluate import Evaluation, Evaluator, Protocol, evaluate, format_table, write_evaluation
from train.evaluation.inference import predict_alpha
from train.evaluation.method import TrainedNetworks
from train.metrics.dim import DIM_METRICS, dim_metrics
from train.metrics.paper import METRICS, matting_metrics
from train.network.gfm import GFM
from train.network.strategy import Strategy
from train.targets.rosta import Rosta, make_trimap


@pytest.fixture(scope="module")
def network() -> GFM:
    return seeded_gfm("tiny", Rosta.BT, 2).eval()


def run(evaluator: Evaluator, data: Path, out: Path) -> Evaluation:
    result = evaluate(evaluator, data, lambda _: None)
    write_evaluation(result, evaluator, out)
    return result


def test_figures_are_those_of_the_rounded_prediction(
    network: GFM, photographs: Path, scenes: list, tmp_path: Path
) -> None:
    heard: list[int] = []
    evaluator = Evaluator(TrainedNetworks([network]))
    result = evaluate(evaluator, photographs, heard.append)
    write_evaluation(result, evaluator, tmp_path)
    assert heard == [4, 0, 0, 0, 0]
    assert result.failures == []
    table = pq.read_table(tmp_path / "per_image.parquet").to_pylist()
    assert table == result.rows
    for scene, row in zip(scenes, table, strict=True):
        predicted = to_float(to_uint8(predict_alpha([network], to_float(scene.image), Strategy())))
        expected = matting_metrics(predicted, to_float(scene.alpha), make_trimap(scene.alpha))
        assert row == {"name": scene.name, **expected}
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["images"] == 4
    assert summary["mean"]["sad"] == pytest.approx(np.mean([row["sad"] for row in table]))


def test_the_sheet_starts_with_the_worst(network: GFM, photographs: Path, scenes: list, tmp_path: Path) -> None:
    result = run(Evaluator(TrainedNetworks([network])), photographs, tmp_path)
    worst = max(result.rows, key=lambda row: row["sad"])["name"]
    sheet = cv2.cvtColor(cv2.imread(str(tmp_path / "worst.png")), cv2.COLOR_BGR2RGB)
    pixels = next(scene.image for scene in scenes if scene.name == worst)
    found = cv2.matchTemplate(sheet[:200], pixels, cv2.TM_SQDIFF_NORMED)
    assert float(found.min()) < 1e-3


def test_a_failed_photograph_is_reported_and_the_rest_is_judged(
    network: GFM, photographs: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(photographs, data)
    (data / "original" / "scene1.png").write_bytes(b"")
    (data / "mask" / "scene2.png").unlink()
    result = run(Evaluator(TrainedNetworks([network])), data, tmp_path / "out")
    assert [row["name"] for row in result.rows] == ["scene0", "scene3"]
    reasons = {Path(failure.name).stem: failure.reason for failure in result.failures}
    assert "missing_partner" in reasons["scene2"]
    assert "empty" in reasons["scene1"]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert len(summary["failures"]) == 2


def test_a_folder_where_all_fail_is_refused(network: GFM, photographs: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(photographs, data)
    for path in (data / "original").iterdir():
        path.write_bytes(b"")
    with pytest.raises(InputError, match="no photograph could be evaluated; the first: scene0: read: empty"):
        run(Evaluator(TrainedNetworks([network])), data, tmp_path / "out")


def test_foregrounds_without_photographs_cannot_be_judged(network: GFM, photographs: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(photographs / "original", data / "fg")
    shutil.copytree(photographs / "mask", data / "alpha")
    with pytest.raises(InputError, match="no_photograph"):
        run(Evaluator(TrainedNetworks([network])), data, tmp_path / "out")


def test_the_table_has_the_columns_of_table_1() -> None:
    figures = dict(zip(METRICS, (10.27, 0.0027, 0.0060, 8.8, 9.37, 8.45, 0.57, 1.25), strict=True))
    heading, row = format_table([("GFM-TT(d)", figures)]).splitlines()
    assert heading.split() == ["SAD", "MSE", "MAD", "Grad", "Conn", "SAD-TRAN", "SAD-FG", "SAD-BG"]
    assert row.split() == ["GFM-TT(d)", "10.27", "0.0027", "0.0060", "8.80", "9.37", "8.45", "0.57", "1.25"]
    assert len(heading) == len(row)


def test_shards_give_the_figures_of_the_folder(network: GFM, photographs: Path, shards: Path, tmp_path: Path) -> None:
    folder, stored = (
        run(Evaluator(TrainedNetworks([network])), data, tmp_path / data.name) for data in (photographs, shards)
    )
    assert [row.pop("name") for row in stored.rows] == [f"scene{n}/0" for n in range(4)]
    assert [row.pop("name") for row in folder.rows] == [f"scene{n}" for n in range(4)]
    assert stored.rows == folder.rows


def test_the_dim_protocol_takes_the_data_sets_own_trimaps(
    network: GFM, photographs: Path, scenes: list, tmp_path: Path
) -> None:
    (tmp_path / "trimaps").mkdir()
    for scene in scenes[1:]:
        unknown = np.where(make_trimap(scene.alpha, 7) == 128, 90, make_trimap(scene.alpha, 7)).astype(np.uint8)
        (tmp_path / "trimaps" / f"{scene.name}.png").write_bytes(encode_png(unknown))
    result = run(
        Evaluator(TrainedNetworks([network]), protocol=Protocol.DIM, trimaps=tmp_path / "trimaps"),
        photographs,
        tmp_path / "out",
    )
    assert [failure.reason.split(": ")[1] for failure in result.failures] == ["no_trimap"]
    for scene, row in zip(scenes[1:], result.rows, strict=True):
        predicted = to_float(to_uint8(predict_alpha([network], to_float(scene.image), Strategy())))
        expected = dim_metrics(predicted, to_float(scene.alpha), make_trimap(scene.alpha, 7))
        assert row == {"name": scene.name, **expected}
    assert tuple(pq.read_schema(tmp_path / "out" / "per_image.parquet").names) == ("name", *DIM_METRICS)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["protocol"], summary["images"]) == ("dim", 3)
    assert summary["region"].startswith("unknown part of trimaps of")
    assert format_table([("x", result.mean)], Protocol.DIM.metrics).splitlines()[0].split() == [
        "SAD",
        "MSE",
        "MAD",
        "Grad",
        "Conn",
    ]


def with_scenes_of_one_value(photographs: Path, root: Path) -> Path:
    """The four photographs, one without a subject, and one that is nothing else."""
    shutil.copytree(photographs, root)
    for name, value in (("full", 255), ("empty", 0)):
        pixels = np.random.default_rng(value).integers(0, 256, (96, 96, 3), dtype=np.uint8)
        (root / "original" / f"{name}.png").write_bytes(encode_png(pixels))
        (root / "mask" / f"{name}.png").write_bytes(encode_png(np.full((96, 96), value, np.uint8)))
    return root


def test_empty_and_full_scenes_are_judged(network: GFM, photographs: Path, tmp_path: Path) -> None:
    data = with_scenes_of_one_value(photographs, tmp_path / "data")
    result = run(Evaluator(TrainedNetworks([network]), mattes=tmp_path / "mattes"), data, tmp_path / "out")
    assert result.failures == []
    rows = {row.pop("name"): row for row in pq.read_table(tmp_path / "out" / "per_image.parquet").to_pylist()}
    assert len(rows) == 6
    for name, truth, part in (("empty", 0.0, "sad_bg"), ("full", 1.0, "sad_fg")):
        predicted = cv2.imread(str(tmp_path / "mattes" / f"{name}.png"), cv2.IMREAD_GRAYSCALE) / 255
        alarm = np.abs(predicted - truth).sum() / 1000
        assert alarm > 0.1
        assert rows[name]["sad"] == pytest.approx(alarm) == pytest.approx(rows[name][part])
        assert rows[name]["grad"] > 0
    assert rows["empty"]["conn"] == pytest.approx(predicted_above(tmp_path / "mattes" / "empty.png"), rel=1e-6)
    assert result.mean["sad"] == pytest.approx(np.mean([row["sad"] for row in rows.values()]))
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["images"], summary["left_out"]) == (6, [])
    assert summary["flags"] == {"empty": ["empty"], "full": ["full"]}


def predicted_above(path: Path, least: float = 0.15) -> float:
    predicted = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) / 255
    return float(predicted[predicted >= least].sum()) / 1000


def test_the_dim_protocol_leaves_out_what_has_no_unknown_pixel(network: GFM, photographs: Path, tmp_path: Path) -> None:
    data = with_scenes_of_one_value(photographs, tmp_path / "data")
    evaluator = Evaluator(TrainedNetworks([network]), protocol=Protocol.DIM)
    all_six, four = run(evaluator, data, tmp_path / "six"), run(evaluator, photographs, tmp_path / "four")
    assert all_six.mean == four.mean
    assert len(all_six.worst) == 4
    rows = pq.read_table(tmp_path / "six" / "per_image.parquet").to_pylist()
    nothing = [row["name"] for row in rows if all(row[name] is None for name in DIM_METRICS)]
    assert (len(rows), nothing) == (6, ["empty", "full"])
    summaries = [json.loads((tmp_path / name / "summary.json").read_text()) for name in ("six", "four")]
    assert [(each["images"], each["left_out"]) for each in summaries] == [(4, ["empty", "full"]), (4, [])]
    for path in [*(data / "mask").glob("scene*"), *(data / "original").glob("scene*")]:
        path.unlink()
    with pytest.raises(InputError, match=r"no trimap has an unknown pixel.*--protocol gfm; the first: empty$"):
        run(evaluator, data, tmp_path / "none")


def test_results_among_the_data_are_not_judged(network: GFM, photographs: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(photographs, data)
    side = next(path for path in data.rglob("original"))
    (side / "notes.NEF").write_bytes(b"x")
    for folder in ("original", "mask"):
        (data / "eval" / folder).mkdir(parents=True)
        (data / "eval" / folder / "worst.png").write_bytes(encode_png(np.full((64, 64), 99, np.uint8)))
    result = evaluate(Evaluator(TrainedNetworks([network])), data, lambda _: None, data / "eval")
    assert (len(result.rows), result.failures, result.unread) == (4, [], {".NEF": 1})
    with pytest.raises(InputError, match="results would be written among the pictures"):
        evaluate(Evaluator(TrainedNetworks([network])), data, lambda _: None, data)
