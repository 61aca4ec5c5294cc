from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rssn.backgrounds import find_backgrounds, load_background
from rssn.errors import InputError, Rejected
from rssn.images import Pixels, encode_png, to_uint8
from rssn.schema import BACKGROUNDS, picture
from rssn.shards import DatasetFolder, content_id, write_json, write_shard


def _pixels(seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (6 + seed, 9, 3), dtype=np.uint8)


def _row(seed: int, split: str) -> dict[str, Any]:
    row = dict.fromkeys(BACKGROUNDS.names) | {"image": picture(encode_png(_pixels(seed)), "a.png"), "split": split}
    return row | {"background_id": f"{seed:020x}", "source": f"photos/{seed}.jpg", "width": 9, "height": 6 + seed}


def _curated(root: Path) -> DatasetFolder:
    folder = DatasetFolder(root)
    write_shard(folder, "train-00000-of-00002", BACKGROUNDS, [_row(3, "train"), _row(1, "train")], [])
    write_shard(folder, "train-00001-of-00002", BACKGROUNDS, [_row(2, "train") | {"licence": "CC0"}], [])
    write_shard(folder, "validation-00000-of-00001", BACKGROUNDS, [_row(4, "validation")], [])
    write_json(folder.manifest, {})
    return folder


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    for name, seed in (("b.png", 0), ("deep/er/a.png", 1)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(encode_png(_pixels(seed)))
    (tmp_path / "notes.txt").write_text("no picture")
    found, problems = find_backgrounds(tmp_path)
    assert problems == []
    assert [b.background_id for b in found] == sorted(content_id(encode_png(_pixels(seed))) for seed in (0, 1))
    by_source = {b.source: b for b in found}
    assert set(by_source) == {"b.png", "deep/er/a.png"}
    assert (by_source["deep/er/a.png"].width, by_source["deep/er/a.png"].height) == (9, 7)
    assert np.array_equal(to_uint8(load_background(by_source["b.png"])), _pixels(0))


def test_equal_files_count_once(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(encode_png(_pixels(0)))
    found, _ = find_backgrounds(tmp_path)
    assert [b.background_id for b in found] == [content_id(encode_png(_pixels(0)))]


def test_a_broken_picture_is_a_problem_and_not_the_end(tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(encode_png(_pixels(0)))
    (tmp_path / "text.jpg").write_bytes(b"no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    found, problems = find_backgrounds(tmp_path)
    assert [b.source for b in found] == ["good.png"]
    assert [(p.source.name, p.reason) for p in problems] == [("empty.png", "empty"), ("text.jpg", "not_an_image")]


def test_a_cut_picture_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    data = encode_png(_pixels(0))
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    (background,), _ = find_backgrounds(tmp_path)
    with pytest.raises(Rejected, match="truncated"):
        load_background(background)


def test_a_curated_set(tmp_path: Path) -> None:
    _curated(tmp_path)
    found, problems = find_backgrounds(tmp_path)
    assert problems == []
    assert [b.background_id for b in found] == [f"{seed:020x}" for seed in (1, 2, 3)]
    assert [b.licence for b in found] == ["", "CC0", ""]
    assert [b.source for b in found] == ["photos/1.jpg", "photos/2.jpg", "photos/3.jpg"]
    for background, seed in zip(found, (1, 2, 3), strict=True):
        assert np.array_equal(to_uint8(load_background(background)), _pixels(seed))
    (held_out,), _ = find_backgrounds(tmp_path, "validation")
    assert held_out.background_id == f"{4:020x}"


def test_a_damaged_curated_set_is_refused(tmp_path: Path) -> None:
    path = _curated(tmp_path).data("train-00000-of-00002")
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"altered.*run rssn build-bg20k again"):
        find_backgrounds(tmp_path)
    assert len(find_backgrounds(tmp_path, "validation")[0]) == 1


def test_a_row_that_moved_is_refused(tmp_path: Path) -> None:
    _curated(tmp_path)
    first = find_backgrounds(tmp_path)[0][0]
    for wrong, reason in (
        (replace(first, background_id="other"), "changed"),
        (replace(first, row=99), "unreadable"),
        (replace(first, row_group=99), "unreadable"),
        (replace(first, path=str(tmp_path / "absent.parquet")), "unreadable"),
    ):
        with pytest.raises(Rejected) as caught:
            load_background(wrong)
        assert caught.value.reason == reason


def test_nothing_to_choose_from(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        find_backgrounds(tmp_path / "absent")
    with pytest.raises(InputError, match="no backgrounds found"):
        find_backgrounds(tmp_path)
