from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.compose import ComposeJob, run_compose
from pipelines.inspection import run_inspect
from pipelines.recipes import load_recipe
from pipelines.runner import LocalRunner
from pipelines.work import Budget
from rssn.errors import InputError
from rssn.images import decode_pixels
from rssn.shards import DatasetFolder

RECIPE = replace(load_recipe("comp-bg20k"), k=2)


@pytest.fixture
def shards(studio: Path, bg20k: Path, tmp_path: Path) -> Path:
    run_compose(ComposeJob(studio / "matting", bg20k, tmp_path / "shards", RECIPE, 0, Budget()), LocalRunner())
    return tmp_path / "shards"


def test_a_whole_data_set_passes_and_is_counted(shards: Path) -> None:
    found = run_inspect(shards)
    assert found.problems == []
    assert found.facts["rows"] == 6
    assert found.facts["foregrounds"] == 3
    assert found.facts["denoised"] == "0 of 6"
    assert found.facts["blurred"] == "0 of 6"
    assert found.facts["F estimated by"] == "6 x levin"


def test_the_sheet_shows_original_alpha_layers_and_composite(shards: Path, studio: Path) -> None:
    (sheet,) = run_inspect(shards).sheets
    pixels = decode_pixels(sheet.read_bytes())
    original = decode_pixels(sorted((studio / "matting" / "original").iterdir())[0].read_bytes())
    height, width = original.shape[:2]
    top = next(y for y in range(80) if np.array_equal(pixels[y : y + height, 10 : 10 + width], original))
    assert top < 60
    alpha = pixels[top : top + height, 260 : 260 + width]
    assert np.array_equal(alpha[..., 0], alpha[..., 2])
    assert alpha.min() == 0
    assert alpha.max() == 255


def test_the_page_is_one_file_that_loads_nothing(shards: Path) -> None:
    text = run_inspect(shards).page.read_text()
    assert "Verification: passed" in text
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "<script" not in text


def test_the_page_stays_small_for_any_number_of_samples(shards: Path) -> None:
    few, many = (run_inspect(shards, samples).page.stat().st_size for samples in (1, 6))
    assert few < many < 20e6


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("truncate", r"00001-of-00003\.parquet: \d+ bytes, its mark says \d+"),
        ("alter", r"00001-of-00003\.parquet: the content was altered after it was marked"),
        ("delete", r"00001-of-00003\.parquet: the file is missing"),
        ("unmark", r"00001-of-00003: not made yet"),
    ],
)
def test_damage_is_named(shards: Path, damage: str, words: str) -> None:
    folder = DatasetFolder(shards)
    path = folder.data("composites-00001-of-00003")
    content = path.read_bytes()
    if damage == "truncate":
        path.write_bytes(content[:-9])
    elif damage == "alter":
        path.write_bytes(content[:99] + b"?" + content[100:])
    elif damage == "delete":
        path.unlink()
    else:
        folder.mark("composites-00001-of-00003").unlink()
    found = run_inspect(shards)
    assert re.search(words, "\n".join(found.problems))
    assert found.facts["rows"] == 4


def test_a_file_without_a_mark_is_named(shards: Path) -> None:
    folder = DatasetFolder(shards)
    shutil.copy(folder.data("composites-00001-of-00003"), folder.data("stray"))
    assert run_inspect(shards).problems == ["stray.parquet: has no mark; it does not count"]


def test_originals_that_moved_away_leave_a_note(shards: Path) -> None:
    manifest = json.loads((shards / "manifest.json").read_text())
    manifest["sources"]["matting"] = "/nowhere"
    (shards / "manifest.json").write_text(json.dumps(manifest))
    assert run_inspect(shards).problems == []


def test_backgrounds_are_shown_with_what_was_refused(bg20k: Path) -> None:
    found = run_inspect(bg20k)
    assert found.kind == "backgrounds"
    assert [sheet.name for sheet in found.sheets] == ["contact-sheet-kept-01.png", "contact-sheet-rejected-01.png"]
    assert "duplicate" in str(found.facts["rejected"])


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no data set here"):
        run_inspect(tmp_path)
