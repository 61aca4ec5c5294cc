from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from rssn.dataset.shards import DatasetFolder
from rssn.image.arrays import encode_png
from rssn.report.contact_sheets import composite_sheets, draw_words, original_of, parts, small_tile
from rssn.route.recipe import load_recipe
from rssn.sources.picture_ref import PictureRef

Maker = Callable[..., Path]


@pytest.fixture
def row(fake_composites: Maker) -> dict[str, Any]:
    path = sorted((fake_composites() / "data").iterdir())[0]
    return dict(pq.read_table(path).to_pylist()[0])


def test_the_draw_in_words(row: dict[str, Any]) -> None:
    denoised = {"backend": "bm3d", "foreground_sigma": 10.0, "background_sigma": 10.0}
    row["steps"] = {"denoise": denoised, "blur": {"size": 30}, "noise": None}
    assert draw_words(row, load_recipe("comp-rssn")).splitlines() == [
        "original/0.jpg, k = 0",
        "24 x 16 px, F by levin",
        "denoise: bm3d, sigma 10",
        "blur: 30 px",
        "noise: not drawn",
        "background: 0.jpg",
        f"crop at {row['background_crop']['x']}, {row['background_crop']['y']}",
    ]


def test_a_packed_photograph_has_no_background_to_tell_of(row: dict[str, Any]) -> None:
    row |= {"background_source": None, "background_crop": None}
    assert draw_words(row, load_recipe("ori")).splitlines() == ["original/0.jpg, k = 0", "24 x 16 px, F by levin"]


def test_the_original_is_read_where_it_was_planned_or_not_at_all(row: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "0.jpg").write_bytes(encode_png(np.full((4, 5, 3), 77, np.uint8)))
    found = original_of(row, {row["foreground_id"]: PictureRef.of(tmp_path / "0.jpg")}.get)
    assert found is not None
    assert found.shape == (4, 5, 3)
    assert original_of(row, lambda _: PictureRef.of(tmp_path / "elsewhere.jpg")) is None
    assert original_of(row, lambda _: None) is None


def test_tiles_keep_no_more_than_is_shown() -> None:
    tile = small_tile(np.zeros((600, 2400, 3), np.uint8), "words")
    assert tile.pixels is not None
    assert tile.pixels.shape == (60, 240, 3)
    assert small_tile(None, "gone").pixels is None


def test_sheets_come_twelve_rows_at_a_time(fake_composites: Maker) -> None:
    folder = DatasetFolder(fake_composites(foregrounds=15, suffix=".png"))
    sheets = composite_sheets(folder, folder.marks(), load_recipe("comp-rssn"), lambda _: None, 30)
    sizes = [sheet.shape[0] for sheet in sheets]
    assert len(sizes) == 3
    assert sizes[0] == sizes[1] > sizes[2]


def test_parts() -> None:
    assert list(parts(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(parts([], 2)) == []
