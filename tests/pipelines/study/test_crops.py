from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from bg20k.schema import CANDIDATES, VERDICTS
from bg20k.verdict import SALIENT_OBJECT
from pipelines.curate.rows import candidates_folder, verdicts_path
from pipelines.study.crops import crops, salient_crops
from rssn.dataset.schema import picture
from rssn.dataset.shards import DatasetFolder, write_shard
from rssn.image.arrays import encode_png
from rssn.storage.files import write_parquet

SIZE = (320, 240)


@pytest.fixture
def curated(tmp_path: Path) -> Path:
    """A salient photograph with a red thing, a clean one, and a salient one that is too small."""
    rows, verdicts = [], []
    for name, size, reason in (
        ("red", (900, 700), SALIENT_OBJECT),
        ("clean", (900, 700), "kept"),
        ("small", (300, 200), SALIENT_OBJECT),
    ):
        pixels = np.full((size[1], size[0], 3), 40, np.uint8)
        cv2.rectangle(pixels, (size[0] // 2, size[1] // 2), (size[0] // 2 + 60, size[1] // 2 + 40), (255, 0, 0), -1)
        box = {"label": "cat", "confidence": 0.9, "x": 0.5, "y": 0.5, "width": 60 / size[0], "height": 40 / size[1]}
        faint = {"label": "dog", "confidence": 0.1, "x": 0.0, "y": 0.0, "width": 0.1, "height": 0.1}
        stored = picture(encode_png(pixels), "a.png")
        facts = {"background_id": f"{len(rows):020x}", "source": f"{name}.jpg"}
        rows.append(
            facts
            | {
                "image": stored,
                "thumbnail": stored,
                "width": size[0],
                "height": size[1],
                "source_width": size[0],
                "source_height": size[1],
                "phash": 1,
                "sharpness": 1.0,
                "low_texture": False,
                "grey": False,
                "format": "PNG",
                "converted": [],
                "boxes": [faint, box],
            }
        )
        verdicts.append(
            facts
            | {
                "candidate_shard": "candidates-0",
                "keep": reason == "kept",
                "stage": "salience",
                "reason": reason,
                "message": "",
            }
        )
    write_shard(candidates_folder(DatasetFolder(tmp_path)), "candidates-0", CANDIDATES, rows, [])
    write_parquet(verdicts_path(tmp_path), VERDICTS, verdicts)
    return tmp_path


def test_crops_show_the_surest_object_of_salient_photographs(curated: Path) -> None:
    found = dict(salient_crops(curated, SIZE, 5))
    assert sorted(found) == [f"{0:020x}-{n}" for n in range(5)]
    for crop in found.values():
        assert crop.shape == (240, 320, 3)
        assert (crop[..., 0] == 255).any()
    places = {tuple(np.argwhere(crop[..., 0] == 255)[0]) for crop in found.values()}
    assert len(places) == 5


def test_the_same_set_gives_the_same_crops(curated: Path) -> None:
    again = dict(salient_crops(curated, SIZE, 3))
    for name, crop in salient_crops(curated, SIZE, 5):
        if name in again:
            np.testing.assert_array_equal(crop, again[name])


def test_the_command_writes_files(curated: Path, tmp_path: Path) -> None:
    out = tmp_path / "crops"
    done = CliRunner().invoke(crops, [str(curated), "--size", "320", "240", "--each", "2", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert len(list(out.glob("*.png"))) == 2
    none = CliRunner().invoke(crops, [str(curated), "--size", "2000", "2000", "--out", str(out)])
    assert none.exit_code == 1
    assert "no photograph of at least 2000 x 2000 px with a salient object" in none.output
