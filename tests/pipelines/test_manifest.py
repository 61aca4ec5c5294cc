from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.manifest import close_dataset, open_dataset, read_manifest
from rssn.errors import InputError

PLAN = {"seed": 0, "recipe": {"name": "a", "denoise": {"sigma": 10.0}}}


def test_the_same_plan_goes_on_and_sources_may_move(tmp_path: Path) -> None:
    open_dataset(tmp_path / "out", "composites", PLAN, {"matting": "/here"})
    folder = open_dataset(tmp_path / "out", "composites", PLAN, {"matting": "/there"})
    close_dataset(folder, {"rows": 3})
    manifest = read_manifest(folder)
    assert manifest["sources"] == {"matting": "/there"}
    assert manifest["totals"] == {"rows": 3}
    assert manifest["plan"]["recipe"] == PLAN["recipe"]
    assert manifest["versions"]["numpy"]


def test_another_plan_is_refused_with_the_difference(tmp_path: Path) -> None:
    open_dataset(tmp_path / "out", "composites", PLAN, {})
    other = {"seed": 1, "recipe": {"name": "a", "denoise": {"sigma": 5.0}}}
    expected = r"recipe\.denoise\.sigma was 10\.0, is now 5\.0; seed was 0, is now 1"
    with pytest.raises(InputError, match=expected):
        open_dataset(tmp_path / "out", "composites", other, {})


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="not empty and no data set of ours"):
        open_dataset(tmp_path, "composites", PLAN, {})
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_broken_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"manifest\.json: not JSON"):
        open_dataset(tmp_path, "composites", PLAN, {})
