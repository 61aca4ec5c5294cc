"""A detector that takes several photographs at once: which findings go to whom, and what happens when it fails."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from bg20k.objects import Detection
from bg20k.rules import CurationRules
from pipelines.curate import examine as examine_task
from pipelines.curate.examine import ExamineTask, examine_shard
from pipelines.curate.rows import candidates_folder, photos_plan
from rssn.dataset.rows import iter_rows
from rssn.dataset.schema import PLANNED_PHOTOS
from rssn.dataset.shards import DatasetFolder
from rssn.image.arrays import Pixels, encode_png
from rssn.sources.crawl import Photograph, list_photographs
from rssn.storage.files import write_parquet

SIDE = 48
POISON = 200  # grey value of the picture that the detector cannot stand


class Greys:
    """Finds as a label the picture's own grey value."""

    name = "greys"
    batch = 3

    def __init__(self) -> None:
        self.calls: list[int] = []

    def detect(self, images: Sequence[Pixels]) -> list[list[Detection]]:
        self.calls.append(len(images))
        greys = [round(float(image.mean())) for image in images]
        if POISON in greys:
            raise ValueError("the network failed")
        return [[Detection(f"grey {grey}", 0.1, (0.0, 0.0, 1.0, 1.0))] for grey in greys]


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch) -> Greys:
    found = Greys()
    monkeypatch.setattr(examine_task, "load_detector", lambda _: found)
    return found


def examined(folder: Path, greys: Sequence[int]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    photos = folder / "photos"
    photos.mkdir()
    for number, grey in enumerate(greys):
        data = encode_png(np.full((SIDE, SIDE, 3), grey, np.uint8)) if grey else b"no picture"
        (photos / f"{number}.png").write_bytes(data)
    out = folder / "out"
    write_parquet(photos_plan(out), PLANNED_PHOTOS, map(Photograph.to_row, list_photographs(photos)))
    rules = CurationRules(min_side=SIDE)
    examine_shard(ExamineTask(DatasetFolder(out), rules, "candidates-0", 0, len(greys)))
    shards = candidates_folder(DatasetFolder(out))
    return list(iter_rows(shards.data("candidates-0"))), list(iter_rows(shards.rejects_path("candidates-0")))


def test_each_photograph_gets_its_own_findings(detector: Greys, tmp_path: Path) -> None:
    rows, rejects = examined(tmp_path, [10, 20, 0, 30, 40, 50])
    assert [row["boxes"][0]["label"] for row in rows] == [f"grey {grey}" for grey in (10, 20, 30, 40, 50)]
    pixels = [cv2.imdecode(np.frombuffer(row["image"]["bytes"], np.uint8), 0)[0, 0] for row in rows]
    assert pixels == [10, 20, 30, 40, 50]
    assert [(row["source"], row["reason"]) for row in rejects] == [("2.png", "not_an_image")]
    assert detector.calls == [3, 3, 2, 2]  # the frames of a batch, then their centres
    assert [box["view"] for box in rows[0]["boxes"]] == ["whole", "centre"]


def test_a_batch_that_fails_costs_the_one_that_fails_alone(detector: Greys, tmp_path: Path) -> None:
    rows, rejects = examined(tmp_path, [10, POISON, 30, 40])
    assert [row["source"] for row in rows] == ["0.png", "2.png", "3.png"]
    assert [(row["source"], row["message"]) for row in rejects] == [("1.png", "ValueError: the network failed")]
    assert detector.calls == [3, 1, 1, 1, 1, 1, 1, 1]
