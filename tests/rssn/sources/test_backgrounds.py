from __future__ import annotations

import json
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rssn.dataset.schema import BACKGROUNDS, picture
from rssn.dataset.shards import DatasetFolder, write_shard
from rssn.errors import InputError, Rejected
from rssn.image.arrays import Pixels, encode_png
from rssn.image.decoding import decode_pixels
from rssn.sources.backgrounds import background_bytes, find_backgrounds
from rssn.storage.files import content_id, write_json


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
    write_json(folder.manifest_path, {"plan": {"kind": "backgrounds"}, "totals": {"train": 3}})
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
    assert np.array_equal(decode_pixels(background_bytes(by_source["b.png"])), _pixels(0))


def test_of_equal_files_the_first_path_counts(tmp_path: Path) -> None:
    for name in ("c.png", "a.png", "b.png"):
        (tmp_path / name).write_bytes(encode_png(_pixels(0)))
    found, problems = find_backgrounds(tmp_path)
    assert [(b.background_id, b.source) for b in found] == [(content_id(encode_png(_pixels(0))), "a.png")]
    assert [astuple(problem)[:3] for problem in problems] == [
        ("b.png", "duplicate", "the same file as a.png"),
        ("c.png", "duplicate", "the same file as a.png"),
    ]


def test_a_broken_picture_is_a_problem_and_not_the_end(tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(encode_png(_pixels(0)))
    (tmp_path / "text.jpg").write_bytes(b"no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    found, problems = find_backgrounds(tmp_path)
    assert [b.source for b in found] == ["good.png"]
    assert [(p.source, p.reason) for p in problems] == [("empty.png", "empty"), ("text.jpg", "not_an_image")]


def test_a_cut_picture_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    data = encode_png(_pixels(0))
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    (background,), _ = find_backgrounds(tmp_path)
    with pytest.raises(Rejected, match="truncated"):
        decode_pixels(background_bytes(background))


def test_a_curated_set(tmp_path: Path) -> None:
    _curated(tmp_path)
    found, problems = find_backgrounds(tmp_path)
    assert problems == []
    assert [b.background_id for b in found] == [f"{seed:020x}" for seed in (1, 2, 3)]
    assert [b.licence for b in found] == ["", "CC0", ""]
    assert [b.source for b in found] == ["photos/1.jpg", "photos/2.jpg", "photos/3.jpg"]
    for background, seed in zip(found, (1, 2, 3), strict=True):
        assert np.array_equal(decode_pixels(background_bytes(background)), _pixels(seed))
    (held_out,), _ = find_backgrounds(tmp_path, "validation")
    assert held_out.background_id == f"{4:020x}"


def test_a_curated_set_that_lost_a_mark_is_refused(tmp_path: Path) -> None:
    """Fewer backgrounds would be drawn from, without a word."""
    folder = _curated(tmp_path)
    facts = {"plan": {"kind": "backgrounds"}, "totals": {"train": 3, "validation": 1, "rows": 4}}
    write_json(folder.manifest_path, facts)
    assert len(find_backgrounds(tmp_path)[0]) == 3
    folder.mark("train-00001-of-00002").write_bytes(b"{")
    with pytest.raises(InputError, match=r"its marks vouch for 3 rows, its manifest counts 4; run the command"):
        find_backgrounds(tmp_path)


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
        (replace(first, picture=replace(first.picture, place=99)), "unreadable"),
        (replace(first, picture=replace(first.picture, row_group=99)), "unreadable"),
        (replace(first, picture=replace(first.picture, path=str(tmp_path / "absent.parquet"))), "unreadable"),
    ):
        with pytest.raises(Rejected) as caught:
            decode_pixels(background_bytes(wrong))
        assert caught.value.reason == reason


def test_an_interrupted_curation_is_refused(tmp_path: Path) -> None:
    folder = _curated(tmp_path)
    write_json(folder.manifest_path, {"plan": {"kind": "backgrounds"}})
    with pytest.raises(InputError, match=r"was interrupted; run the same rssn build-bg20k again"):
        find_backgrounds(tmp_path)


def test_only_manifests_of_backgrounds_will_do(tmp_path: Path) -> None:
    folder = DatasetFolder(tmp_path)
    (tmp_path / "a.png").write_bytes(encode_png(_pixels(0)))
    write_json(folder.manifest_path, {"plan": {"kind": "composites"}, "totals": {}})
    with pytest.raises(InputError, match="a data set of composites, not of backgrounds"):
        find_backgrounds(tmp_path)
    folder.manifest_path.write_text("{")
    with pytest.raises(InputError, match=r"manifest\.json: damaged, not JSON"):
        find_backgrounds(tmp_path)
    for foreign in ("[1]", '{"plan": "premium"}', '{"files": []}'):
        folder.manifest_path.write_text(foreign)
        assert [b.source for b in find_backgrounds(tmp_path)[0]] == ["a.png"]


def test_a_table_of_paths(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name, seed in (("0.png", 0), ("1.png", 1), ("2.png", 0)):
        (tmp_path / "photos" / name).write_bytes(encode_png(_pixels(seed)))
    (tmp_path / "photos" / "bad.png").write_bytes(b"no picture")
    lines = ["0.png,CC0,https://a.org/0", "1.png,,", "2.png,,", "3.png,,", "bad.png,,", ",,"]
    text = "path,license,source\n" + "\n".join(f"photos/{line}" if line[0] != "," else line for line in lines)
    (tmp_path / "list.csv").write_text(text)
    columns = [line.split(",") for line in text.splitlines()[1:]]
    names = ("path", "licence", "source")
    pq.write_table(pa.table(dict(zip(names, zip(*columns, strict=True), strict=True))), tmp_path / "list.parquet")
    for name in ("list.csv", "list.parquet"):
        found, problems = find_backgrounds(tmp_path / name)
        by_source = {b.source: b for b in found}
        assert {b.source: b.licence for b in found} == {"https://a.org/0": "CC0", "photos/1.png": ""}
        assert np.array_equal(decode_pixels(background_bytes(by_source["https://a.org/0"])), _pixels(0))
        assert [(p.source, p.reason) for p in problems] == [
            (f"{name}, row 4", "missing_file"),
            (f"{name}, row 5", "not_an_image"),
            (f"{name}, row 6", "missing_value"),
            ("photos/2.png", "duplicate"),
        ]
        assert problems[3].message == "the same file as https://a.org/0"


@pytest.mark.parametrize("nested", [True, False])
def test_a_table_that_holds_the_pictures(tmp_path: Path, *, nested: bool) -> None:
    data = [encode_png(_pixels(seed)) for seed in range(5)] + [None, b"no picture", encode_png(_pixels(2))]
    images = [{"bytes": each, "path": "x.png"} for each in data] if nested else pa.array(data, pa.large_binary())
    columns = {"image": images, "license": [7, None, *[1] * 6], "source": [*"abcd", *[None] * 4], "path": ["?"] * 8}
    path = tmp_path / "coco.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=3)
    found, problems = find_backgrounds(path)
    assert sorted(b.source for b in found) == ["a", "b", "c", "coco.parquet, row 5", "d"]
    by_source = {b.source: b for b in found}
    assert (by_source["a"].licence, by_source["b"].licence) == ("7", "")
    assert (by_source["d"].picture.row_group, by_source["d"].picture.place) == (1, 0)
    for seed, source in enumerate(["a", "b", "c", "d", "coco.parquet, row 5"]):
        assert by_source[source].background_id == content_id(encode_png(_pixels(seed)))
        assert np.array_equal(decode_pixels(background_bytes(by_source[source])), _pixels(seed))
    assert [astuple(problem)[:3] for problem in problems] == [
        ("coco.parquet, row 6", "empty", "the row has no picture"),
        ("coco.parquet, row 7", "not_an_image", problems[1].message),
        ("coco.parquet, row 8", "duplicate", "the same file as c"),
    ]


def test_a_table_that_changed_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "b.parquet"
    pq.write_table(pa.table({"image": [encode_png(_pixels(0))]}), path)
    (background,), _ = find_backgrounds(path)
    for images, reason in (([encode_png(_pixels(1))], "changed"), ([None], "empty"), ([], "unreadable")):
        pq.write_table(pa.table({"image": pa.array(images, pa.binary())}), path)
        with pytest.raises(Rejected) as caught:
            decode_pixels(background_bytes(background))
        assert caught.value.reason == reason
    pq.write_table(pa.table({"picture": ["a"]}), path)
    with pytest.raises(Rejected, match="unreadable"):
        decode_pixels(background_bytes(background))


def test_a_shard_of_a_curated_set_is_a_table_too(tmp_path: Path) -> None:
    found, problems = find_backgrounds(_curated(tmp_path).data("train-00001-of-00002"))
    assert problems == []
    assert [(b.background_id, b.source, b.licence) for b in found] == [
        (content_id(encode_png(_pixels(2))), "photos/2.jpg", "CC0")
    ]
    assert np.array_equal(decode_pixels(background_bytes(found[0])), _pixels(2))


def test_what_is_no_table_of_backgrounds(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("file\na.png\n")
    (tmp_path / "b.csv").write_text("path\nabsent.png\n")
    (tmp_path / "c.csv").write_text("path\n")
    pq.write_table(pa.table({"image": ["a.png"]}), tmp_path / "d.parquet")
    pq.write_table(pa.table({"image": [b"no picture"]}), tmp_path / "e.parquet")
    (tmp_path / "f.parquet").write_bytes(b"PAR1")
    pq.write_table(pa.table({"image": [encode_png(_pixels(0))]}), tmp_path / "g.parquet")
    damaged = bytearray((tmp_path / "g.parquet").read_bytes())
    damaged[4:30] = b"\xff" * 26
    (tmp_path / "g.parquet").write_bytes(bytes(damaged))
    for name, words in (
        ("a.csv", "needs the column path, or pictures in the column image of a Parquet file; it has file"),
        ("b.csv", "none of its 1 rows can be used; b.csv, row 1: path: "),
        ("c.csv", "the table has no rows"),
        ("d.parquet", "needs the column path, .*; it has image"),
        ("e.parquet", "none of its 1 rows can be used; e.parquet, row 1: its first bytes are of no JPEG"),
        ("f.parquet", "not a Parquet file"),
        ("g.parquet", "none of its 1 rows can be used; g.parquet, row 1: .*g.parquet: "),
    ):
        with pytest.raises(InputError, match=words) as caught:
            find_backgrounds(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))


def test_nothing_to_choose_from(tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match="no such folder or table; give a bg20k output, a folder or an archive",
    ):
        find_backgrounds(tmp_path / "absent")
    with pytest.raises(InputError, match="no backgrounds found"):
        find_backgrounds(tmp_path)


def test_a_curated_set_of_other_columns_is_refused(tmp_path: Path) -> None:
    folder = _curated(tmp_path / "set")
    facts = json.loads(folder.manifest_path.read_text())
    write_json(folder.manifest_path, facts | {"plan": facts["plan"] | {"schema_version": 2}})
    with pytest.raises(InputError, match=r"its columns are of version 2, ours of \d; run rssn build-bg20k again, into"):
        find_backgrounds(folder.root)
    write_json(folder.manifest_path, facts)
    fewer = pa.schema([field for field in BACKGROUNDS if field.name != "licence"])
    name = "train-00001-of-00002"
    write_shard(folder, name, fewer, [{key: _row(2, "train")[key] for key in fewer.names}], [])
    with pytest.raises(InputError, match=rf"{name}.parquet: not the columns of a background set; run rssn build-bg20k"):
        find_backgrounds(folder.root)
