from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from rssn.errors import DamagedError, Rejected
from rssn.image.arrays import encode_png
from train.evaluation.examples import find_examples, read_trimap


def test_a_trimap_is_the_picture_of_exactly_this_name(tmp_path: Path) -> None:
    for name in ("a[1].png", "a1.png", "b.png", "b.2.png"):
        (tmp_path / name).write_bytes(encode_png(np.full((2, 3), 255, np.uint8)))
    (tmp_path / "b.json").touch()
    (tmp_path / "c.2.png").write_bytes(encode_png(np.array([[0, 255, 130]], np.uint8)))
    assert read_trimap(tmp_path, "validation/a[1]").shape == (2, 3)
    assert read_trimap(tmp_path, "c.2").tolist() == [[0, 255, 128]]
    for name in ("a", "c", "b.3"):
        with pytest.raises(Rejected, match=rf"no_trimap: no picture {name}"):
            read_trimap(tmp_path, name)


def test_rows_of_every_shard_and_group_are_examples(shards: Path, scenes: list) -> None:
    found = find_examples(shards).examples
    assert [each.name for each in found] == [f"{scene.name}/0" for scene in scenes]
    for example, scene in zip(found, scenes, strict=True):
        truth = example.load()
        np.testing.assert_array_equal(np.round(255 * truth.picture), scene.image)
        np.testing.assert_array_equal(np.round(255 * truth.alpha), scene.alpha)


def test_accents_of_trimaps_may_be_written_in_two_ways(tmp_path: Path) -> None:
    (tmp_path / "cafe\u0301.png").write_bytes(encode_png(np.array([[0, 255, 128]], np.uint8)))
    (tmp_path / "._caf\u00e9.png").write_bytes(b"x")
    assert read_trimap(tmp_path, "caf\u00e9").tolist() == [[0, 255, 128]]


def test_shards_that_lost_a_mark_are_not_judged(shards: Path, tmp_path: Path) -> None:
    """The mean would be that of fewer photographs, without a word."""
    shutil.copytree(shards, tmp_path / "set")
    manifest = json.loads((shards / "manifest.json").read_bytes())
    rows = len(find_examples(shards).examples)
    (tmp_path / "set" / "manifest.json").write_text(json.dumps(manifest | {"totals": {"rows": rows}}))
    assert len(find_examples(tmp_path / "set").examples) == rows
    next((tmp_path / "set" / "marks").iterdir()).write_text("{")
    with pytest.raises(DamagedError, match=rf"its manifest counts {rows}; run the command that made it again"):
        find_examples(tmp_path / "set")


def test_photographs_in_a_folder_of_foregrounds_are_asked_for_by_name(tmp_path: Path) -> None:
    for folder in ("fg", "alpha"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(encode_png(np.full((2, 3), 255, np.uint8)))
    (example,) = find_examples(tmp_path).examples
    with pytest.raises(
        Rejected, match=r"no_photograph: .*; name the folders original/ and mask/ if fg/ holds photographs"
    ):
        example.load()
