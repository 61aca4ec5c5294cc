from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.compose.dry_run import CPU_SECONDS_PER_MEGAPIXEL as COST
from pipelines.study.costs import Costs
from pipelines.study.steps import Result, Step
from rssn.image.arrays import Pixels, encode_png
from rssn.synthetic import SyntheticPlan, write_synthetic
from train.network.complexity import measure
from train.targets.rosta import Rosta


@pytest.fixture(scope="module")
def matting(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two shots of 100 x 80 px: 0.016 MP."""
    folder = tmp_path_factory.mktemp("synthetic")
    write_synthetic(
        folder, SyntheticPlan(foregrounds=2, evaluation=1, backgrounds=1, shot_size=(100, 80), photo_side=64)
    )
    return str(folder / "matting")


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> Costs:
    """Of the work alone, on a CPU."""
    monkeypatch.setattr("pipelines.study.costs._STARTING", 0.0)
    return Costs()


def _picture(width: int, height: int) -> Pixels:
    return np.zeros((height, width, 3), np.uint8)


def compose(matting: str, *words: str) -> Step:
    return Step("compose", "row", ("compose", "--matting", matting, "--backgrounds", "b", *words), (matting,))


def test_a_composition_costs_by_recipe_and_megapixels(costs: Costs, matting: str) -> None:
    plain = costs.seconds(compose(matting, "--recipe", "comp-bg20k", "--k", "3"))
    assert plain == pytest.approx(0.016 * (COST["levin"] + 3 * COST["compose"]))
    rssn = costs.seconds(compose(matting, "--recipe", "comp-rssn", "--k", "2", "--denoiser", "bm3d"))
    denoised = 0.75 + 1  # F at one of two coins, and a background at each
    assert rssn == pytest.approx(0.016 * (COST["levin"] + 2 * COST["compose"] + denoised * COST["bm3d"]))


def test_shards_are_taken_for_a_thousand_megapixels(costs: Costs, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    step = Step("pack", "row", ("pack", "--matting", str(tmp_path)))
    assert costs.seconds(step) == pytest.approx(1000 * (COST["levin"] + COST["compose"]))


def test_a_curation_costs_by_its_photographs(costs: Costs, tmp_path: Path) -> None:
    for name in ("a.png", "b.PNG", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    step = Step("curate", "set", ("build-bg20k", str(tmp_path)), (str(tmp_path),))
    assert costs.seconds(step) == 1.0


def test_networks_cost_by_their_multiplications(costs: Costs, matting: str) -> None:
    words = ("--backbone", "tiny", "--max-steps", "50", "--batch-size", "4", "--accumulate", "2", "--input-size", "320")
    training = Step("train", "row", ("run", "--data", "shards", *words))
    gmac = measure("tiny", Rosta.TT, timed=False, side=320).gmac
    assert costs.seconds(training) == pytest.approx(50 * 8 * 3 * gmac / 20)
    as_trained = Step("eval", "row", ("eval", "--checkpoint", Result(training, "last.pt"), "--data", matting))
    judging = Step("eval", "row", (*as_trained.arguments, "--max-side", "0"))
    one = gmac / 0.1024 * 0.008 / 20
    assert costs.seconds(judging) == pytest.approx(2 * (2 + one))
    assert costs.seconds(training, 16) == pytest.approx(50 * 8 * 3 * gmac / 20 / 8)
    assert costs.seconds(judging, 16) == pytest.approx(2 * (2 + one / 8)), "the metrics have one thread"
    share = (320 / 1080 + 1 / 3 + 1 / 2) / 3
    assert costs.seconds(as_trained) == pytest.approx(2 * (2 + one * share**2))
    hybrid = Step("eval", "row", (*judging.arguments, "--hybrid", "1/3", "1/2"))
    assert costs.seconds(hybrid) == pytest.approx(2 * (2 + one * (1 / 9 + 1 / 4)))
    on_gpus = Costs(gpus=True)
    assert on_gpus.seconds(training, 16) == on_gpus.seconds(training) == pytest.approx(50 * 8 * 3 * gmac / 3000)


def test_a_broken_picture_costs_nothing(costs: Costs, tmp_path: Path, matting: str) -> None:
    for folder in ("original", "mask"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(b"none")
    (tmp_path / "original" / "b.png").write_bytes(encode_png(_picture(100, 50)))
    (tmp_path / "mask" / "b.png").write_bytes(encode_png(_picture(100, 50)))
    found = costs.seconds(compose(str(tmp_path), "--recipe", "comp-bg20k", "--k", "1"))
    assert found == pytest.approx(0.005 * (COST["levin"] + COST["compose"]))
