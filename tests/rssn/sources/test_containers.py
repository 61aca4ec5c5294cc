"""One matting set, one set of backgrounds, one crawl: in whatever they lie, they give the same."""

from __future__ import annotations

import gzip
import io
import tarfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rssn.errors import InputError, Rejected
from rssn.image.arrays import encode_png
from rssn.sources.backgrounds import background_bytes, find_backgrounds
from rssn.sources.crawl import list_photographs, read_photographs
from rssn.sources.layouts import LAYOUT_NAMES, find_pairs
from rssn.sources.matting import PairSet, load_pair, measure_pair
from rssn.sources.picture_ref import PictureRef
from rssn.storage import remote
from rssn.storage.location import BucketPath, Location
from tests.bucket import Store
from tests.rssn.sources.packing import PACKERS, files, parquet, tar, uploaded, zipped
from tests.rssn.sources.test_archives import write_tar, write_zip
from tests.rssn.sources.test_layouts import PUBLISHED, _publish

REAL = ("am2k", "portraits", "alphamatting")


def png(seed: int, channels: int = 3) -> bytes:
    return encode_png(np.random.default_rng(seed).integers(0, 256, (8, 12, channels), dtype=np.uint8))


def matte() -> bytes:
    return encode_png(np.eye(8, 12, dtype=np.uint8) * 250)


def facts(found: PairSet) -> list[tuple[Any, ...]]:
    """Everything of a set but where its pictures are."""
    pairs = [(pair.name, pair.source, pair.files, measure_pair(pair), pair.image is None) for pair in found.pairs]
    return [found.layout, *pairs, *((one.source, one.reason, one.message) for one in found.problems), found.unread]


def same_pixels(here: PairSet, there: PairSet) -> bool:
    pairs = zip(map(load_pair, here.pairs), map(load_pair, there.pairs), strict=True)
    return all((a.picture == b.picture).all() and (a.alpha == b.alpha).all() for a, b in pairs)


@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("layout", PUBLISHED)
def test_every_layout_is_found_in_every_archive(layout: str, name: str, tmp_path: Path) -> None:
    root = tmp_path / "set"
    _publish(root, layout)
    (root / "notes.txt").write_text("x")
    here, there = find_pairs(root), find_pairs(PACKERS[name](root, tmp_path / name))
    assert here.layout == layout
    assert facts(here) == facts(there)
    assert same_pixels(here, there)


@pytest.mark.parametrize("layout", PUBLISHED)
def test_every_layout_is_found_in_a_bucket_by_one_listing(layout: str, tmp_path: Path, s3: Store, bucket: str) -> None:
    _publish(tmp_path, layout)
    s3.put(f"{bucket}/set/", b"")  # how consoles make a folder
    there = uploaded(s3, f"{bucket}/set", tmp_path)
    s3.asked.clear()
    found = find_pairs(there)
    assert s3.asked[f"GET {str(bucket).partition('//')[2]}"] == 1
    assert facts(find_pairs(tmp_path)) == facts(found)
    assert {pair.of_objects for pair in found.pairs} == {True}


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_real_sets_are_the_same_in_everything(name: str, shared: Path, tmp_path: Path, s3: Store, bucket: str) -> None:
    root = shared / "data" / name
    here = find_pairs(root)
    packed: list[Location] = [pack(root, tmp_path / f"{name}-{file}") for file, pack in PACKERS.items()]
    packed += [uploaded(s3, f"{bucket}/{name}", root)]
    packed += [uploaded(s3, f"{bucket}/{place.name}", tmp_path, [place]) / place.name for place in packed[:3]]
    for place in packed:
        assert facts(find_pairs(place)) == facts(here), place
        assert same_pixels(here, find_pairs(place))
    columns = {"image": [root / pair.source for pair in here.pairs], "mask": [root / p.files[1] for p in here.pairs]}
    table = parquet(columns, root, tmp_path / "data" / "train-00000-of-00001.parquet")
    for place in (table, tmp_path / "data", uploaded(s3, f"{bucket}/hf", tmp_path, [table])):
        there = find_pairs(place)
        assert there.layout == "table"
        assert [(p.source, measure_pair(p)) for p in there.pairs] == [(p.source, measure_pair(p)) for p in here.pairs]
        assert same_pixels(here, there)


@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_an_archive_in_a_folder_is_a_folder(write: Any, tmp_path: Path) -> None:
    name = "train.tar" if write is write_tar else "train.zip"
    write(tmp_path / name, {"set/original/a.png": png(1), "set/mask/a.png": matte(), "set/trimap/a.png": b"x"})
    (tmp_path / "notes.txt").write_text("x")
    found = find_pairs(tmp_path)
    assert [(pair.name, pair.source) for pair in found.pairs] == [(f"{name}/set/a", f"{name}/set/original/a.png")]
    assert (found.layout, found.problems) == ("am2k", [])
    assert load_pair(found.pairs[0]).alpha.max() > 0.9
    assert [pair.name for pair in find_pairs(tmp_path, "am2k").pairs] == [f"{name}/set/a"]


def test_what_was_unpacked_counts_once(tmp_path: Path) -> None:
    """The archive that it came in lies beside it still."""
    files = {"original/a.png": png(1), "mask/a.png": matte()}
    write_zip(tmp_path / "set.zip", files)
    for name, data in files.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(data)
    assert [pair.name for pair in find_pairs(tmp_path).pairs] == ["a"]


def test_what_is_wrong_in_an_archive_is_a_problem(tmp_path: Path) -> None:
    stream = io.BytesIO()
    members = {"original/a.png": png(1), "mask/a.png": matte(), "original/b.png": png(2), "mask/b.png": matte(),
               "original/../c.png": b"x", "mask/d.png": matte(), "original/n.NEF": b""}  # fmt: skip
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in [*members.items(), ("original/b.png", png(3))]:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("mask/e.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        end = archive.offset
    (tmp_path / "set.tar").write_bytes(stream.getvalue()[:end] + b"broken" * 200)
    found = find_pairs(tmp_path / "set.tar")
    assert [pair.name for pair in found.pairs] == ["a"]
    assert Counter((one.source, one.reason) for one in found.problems) == {
        ("original/../c.png", "unsafe_path"): 1,
        ("original/b.png", "two_members"): 1,
        ("mask/b.png", "missing_partner"): 1,
        ("mask/d.png", "missing_partner"): 1,
        ("mask/e.png", "not_a_file"): 1,
        ("set.tar", "damaged_archive"): 1,
    }
    assert found.unread == {".NEF": 1}


def test_names_in_an_archive_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "a.png").write_bytes(png(1))
    path = write_tar(tmp_path / "set.tar", {"original/../secret/a.png": b"", "mask/a.png": matte(), "x.png": b"x"})
    with pytest.raises(InputError, match="its name leaves the archive"):
        find_pairs(path)


def test_a_compressed_set_is_unpacked_twice_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for its photographs and once for its mattes, which lie behind them."""
    members = {f"original/{n:03}.png": png(n) for n in range(30)} | {f"mask/{n:03}.png": matte() for n in range(30)}
    plain = write_tar(tmp_path / "set.tar", dict(sorted(members.items())))
    (tmp_path / "set.tgz").write_bytes(gzip.compress(plain.read_bytes(), 1))
    pairs = find_pairs(tmp_path / "set.tgz").pairs
    unpacked = 0
    read = gzip._GzipReader.read  # type: ignore[attr-defined]

    def counting(self: Any, size: int = -1) -> bytes:
        nonlocal unpacked
        data: bytes = read(self, size)
        unpacked += len(data)
        return data

    monkeypatch.setattr(gzip._GzipReader, "read", counting)  # type: ignore[attr-defined]
    for pair in pairs:
        measure_pair(pair)
    assert len(pairs) == 30
    assert unpacked < 2.2 * plain.stat().st_size


def test_parts_of_one_file_are_read_by_threads_too(tmp_path: Path) -> None:
    """As `train predict` does, which works on several photographs at a time."""
    rng = np.random.default_rng(0)
    data = [encode_png(rng.integers(0, 256, (90, 90, 3), dtype=np.uint8)) for _ in range(48)]
    pq.write_table(pa.table({"image": data}), tmp_path / "a.parquet", row_group_size=8)
    plain = write_tar(tmp_path / "a.tar", {f"{number:02}.png": one for number, one in enumerate(data)})
    (tmp_path / "a.tgz").write_bytes(gzip.compress(plain.read_bytes(), 1))
    for name in ("a.parquet", "a.tgz"):
        refs = [one.picture for one in list_photographs(tmp_path / name) if one.picture]
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(PictureRef.read, refs)) == data


@pytest.mark.parametrize("names", [("image", "alpha"), ("img", "mask"), ("image", "matte"), ("image", "pha"),
                                   ("foreground", "alpha"), ("fgr", "pha"), ("fg", "mask")])  # fmt: skip
@pytest.mark.parametrize("nested", [True, False])
def test_columns_of_pictures_are_pairs(names: tuple[str, str], tmp_path: Path, *, nested: bool) -> None:
    data = {names[0]: [png(n) for n in range(5)], names[1]: [matte()] * 5}
    columns: dict[str, Any] = {name: [{"bytes": one, "path": None} for one in some] for name, some in data.items()}
    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.table((columns if nested else data) | {"name": list("abcde"), "license": ["CC0"] * 5}), path)
    found = find_pairs(path)
    assert found == find_pairs(path, "table")
    assert [(pair.name, pair.source, pair.licence) for pair in found.pairs] == [
        (name, f"pairs.parquet, row {number}", "CC0") for number, name in enumerate("abcde", 1)
    ]
    for number, pair in enumerate(found.pairs):
        assert (pair.image is None) == (names[0] not in ("image", "img"))
        assert (pair.picture.read(), pair.alpha.read()) == (png(number), matte())


def test_photograph_foreground_and_matte_may_be_in_one_row(tmp_path: Path) -> None:
    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.table({"image": [png(1)], "fg": [png(2)], "alpha": [matte()], "caption": ["x"]}), path)
    [pair] = find_pairs(path).pairs
    assert pair.foreground
    assert (pair.picture.read(), pair.foreground.read()) == (png(1), png(2))


def test_names_in_rows_count_where_they_tell_rows_apart(tmp_path: Path) -> None:
    paths = ["x/a.jpg", "b.jpg", "b.jpg", None]
    images = [{"bytes": png(n), "path": path} for n, path in enumerate(paths)]
    table = pa.table({"image": images, "alpha": [matte()] * 4})
    pq.write_table(table, tmp_path / "t.parquet")
    assert [(pair.name, pair.source) for pair in find_pairs(tmp_path / "t.parquet").pairs] == [
        ("x/a", "x/a.jpg"), ("t.parquet, row 2", "t.parquet, row 2"), ("t.parquet, row 3", "t.parquet, row 3"),
        ("t.parquet, row 4", "t.parquet, row 4"),
    ]  # fmt: skip


def test_a_folder_of_shards_as_hugging_face_hosts_it(tmp_path: Path) -> None:
    for number, name in enumerate(["train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001"]):
        table = pa.table({"image": [png(2 * number), png(2 * number + 1)], "mask": [matte()] * 2})
        (tmp_path / "data").mkdir(exist_ok=True)
        pq.write_table(table, tmp_path / "data" / f"{name}.parquet")
    (tmp_path / "README.md").write_text("---\n")
    found = find_pairs(tmp_path)
    assert [measure_pair(pair)[0] for pair in found.pairs] == [
        measure_pair(pair)[0] for path in files(tmp_path / "data") for pair in find_pairs(path).pairs
    ]
    assert len({pair.source for pair in found.pairs}) == 6
    pq.write_table(pa.table({"image": [png(9)], "alpha": [matte()]}), tmp_path / "data" / "test.parquet")
    with pytest.raises(InputError, match=r"train-.*: its columns of pictures are image, mask, those of test"):
        find_pairs(tmp_path)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (
            {"image": [b"x"], "alpha": [b"x"], "mask": [b"x"]},
            "the columns alpha and mask both hold pictures that can be",
        ),
        ({"image": [b"x"], "img": [b"x"], "mask": [b"x"]}, "the columns image and img both hold pictures"),
        ({"image": [b"x"]}, r"needs pictures in alpha or matte or mask or pha, .*; pictures are in image"),
        ({"mask": [b"x"], "caption": ["x"]}, "pictures are in mask"),
        ({"image": [b"x"], "alpha": ["a.png"]}, "needs pictures in alpha"),
    ],
)
def test_columns_that_are_unclear_are_refused_by_name(columns: dict[str, Any], words: str, tmp_path: Path) -> None:
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=words):
        find_pairs(tmp_path / "t.parquet")


def test_a_row_without_a_picture_is_refused_when_it_is_read(tmp_path: Path) -> None:
    images = pa.array([{"bytes": None, "path": "a.jpg"}, {"bytes": png(1), "path": "b.jpg"}, None])
    pq.write_table(pa.table({"image": images, "alpha": [matte()] * 3}), tmp_path / "t.parquet")
    first, second, third = find_pairs(tmp_path / "t.parquet").pairs
    assert measure_pair(second)[1] == (12, 8)
    for pair in (first, third):
        with pytest.raises(Rejected, match="the row has no picture"):
            measure_pair(pair)


def _two(one: str, other: str, root: Path) -> list[str]:
    """The layouts that fit a folder with the files of both."""
    for layout in (one, other):
        _publish(root, layout)
    try:
        return [find_pairs(root).layout]
    except InputError as error:
        return str(error).rpartition("--matting-format ")[2].split(" or ")


LOOSE = ("flat", "rgba")
NAMED = sorted(set(PUBLISHED) - set(LOOSE))


@pytest.mark.parametrize("one", NAMED)
def test_every_two_layouts_are_told_apart_or_refused(one: str, tmp_path: Path) -> None:
    """Never read as one of them in silence where both are there."""
    for other in NAMED:
        if other > one:
            assert sorted(_two(one, other, tmp_path / other)) == sorted([one, other]), other


@pytest.mark.parametrize("loose", LOOSE)
def test_named_folders_come_before_loose_files(loose: str, tmp_path: Path) -> None:
    for named in NAMED:
        assert _two(named, loose, tmp_path / named) == [named]


def test_every_layout_can_be_asked_for() -> None:
    assert set(LAYOUT_NAMES) - {"table", "fg-photographs"} == set(PUBLISHED)


@pytest.mark.parametrize(
    ("photographs", "mattes", "layout"),
    [
        (["images/a.png"], ["alphas/a/0.png", "alphas/a/1.png"], "him2k"),
        (["images/a.png"], ["alphas/a.png"], "him2k"),
        (["img/a_1.png", "img/b.png"], ["mask/a_1_0.png", "mask/b_0.png"], "refmatte"),
        (["image/a_1.png", "image/b.png"], ["mask/a_1.png", "mask/b.png"], "image-mask"),
    ],
)
def test_instances_share_their_photograph(
    photographs: list[str], mattes: list[str], layout: str, tmp_path: Path
) -> None:
    for name in (*photographs, *mattes):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png(1) if name in photographs else matte())
    found = find_pairs(tmp_path)
    assert (found.layout, found.problems) == (layout, [])
    assert sorted(pair.files[1] for pair in found.pairs) == sorted(mattes)


def test_instances_and_whole_mattes_are_refused_where_both_would_do(tmp_path: Path) -> None:
    for name in ("image/a.png", "image/a_0.png", "mask/a.png", "mask/a_0.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(png(1) if "image" in name else matte())
    with pytest.raises(InputError, match="--matting-format image-mask or refmatte"):
        find_pairs(tmp_path)
    found = find_pairs(tmp_path, "refmatte")
    assert [pair.files for pair in found.pairs] == [("image/a.png", "mask/a_0.png")]
    assert [(one.source, one.reason) for one in found.problems] == [
        ("mask/a.png", "missing_partner"), ("image/a_0.png", "missing_partner"),
    ]  # fmt: skip


def test_an_instance_without_photograph_and_a_photograph_without_one(tmp_path: Path) -> None:
    for name in ("images/a.png", "images/b.png", "alphas/a/0.png", "alphas/c/0.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png(1))
    found = find_pairs(tmp_path)
    assert [pair.name for pair in found.pairs] == ["a/0"]
    assert [(one.source, one.message) for one in found.problems] == [
        ("images/b.png", "alphas/ has no file that belongs to it"),
        ("alphas/c/0.png", "images/ has no file that belongs to it"),
    ]


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    root = tmp_path / "photographs"
    for number, name in enumerate(["b.png", "a/c.png", "a/b/d.png", "z.png"]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png(number))
    (root / "notes.txt").write_text("x")
    (root / "broken.jpg").write_bytes(b"x")
    return root


def test_backgrounds_are_the_same_in_everything(photographs: Path, tmp_path: Path, s3: Store, bucket: str) -> None:
    here, problems = find_backgrounds(photographs)
    expected = [(b.background_id, b.source, b.width, b.height) for b in here]
    assert len(expected) == 4
    places: list[Location] = [pack(photographs, tmp_path / name) for name, pack in PACKERS.items()]
    places += [uploaded(s3, f"{bucket}/all", photographs)]
    places += [uploaded(s3, f"{bucket}/packed", tmp_path, [tmp_path / "set.tar"]) / "set.tar"]
    for place in places:
        unread: Counter[str] = Counter()
        found, wrong = find_backgrounds(place, unread=unread)
        assert [(b.background_id, b.source, b.width, b.height) for b in found] == expected, place
        assert [background_bytes(b) for b in found] == [background_bytes(b) for b in here]
        assert [(one.source, one.reason) for one in wrong] == [(one.source, one.reason) for one in problems]
        assert unread == {".txt": 1}


def test_a_folder_of_archives_or_of_tables_is_a_set_of_backgrounds(photographs: Path, tmp_path: Path) -> None:
    ids = {b.background_id for b in find_backgrounds(photographs)[0]}
    (tmp_path / "packed").mkdir()
    zipped(photographs, tmp_path / "packed" / "all.zip")
    assert {b.background_id for b in find_backgrounds(tmp_path / "packed")[0]} == ids
    some = [path for path in files(photographs) if path.suffix == ".png"]
    for number, part in enumerate((some[:2], some[2:])):
        parquet({"image": part}, photographs, tmp_path / "hub" / "data" / f"train-{number}.parquet")
    found, problems = find_backgrounds(tmp_path / "hub")
    assert ({b.background_id for b in found}, problems) == (ids, [])
    assert {content for b in found for content in [background_bytes(b)]} == {path.read_bytes() for path in some}


def test_a_crawl_is_the_same_here_and_in_a_bucket(photographs: Path, tmp_path: Path, s3: Store, bucket: str) -> None:
    tar(photographs, photographs / "more.tar")
    some = [path for path in files(photographs) if path.suffix == ".png"]
    parquet({"image": some}, photographs, photographs / "rows.parquet", source=["x"] * len(some))
    for name in ("old/manifest.json", "old/marks/a.json", "old/report/sheet.png", "cache/CACHEDIR.TAG", "cache/a.png",
                 ".git/a.png", "out/a.png", "Thumbs.db"):  # fmt: skip
        (photographs / name).parent.mkdir(parents=True, exist_ok=True)
        (photographs / name).write_bytes(b"x")
    there = uploaded(s3, f"{bucket}/crawl", photographs)
    counts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    s3.asked.clear()
    away = list(list_photographs(there, there / "out", counts[1]))
    assert s3.asked[f"GET {str(bucket).partition('//')[2]}"] == 1, "one listing"
    here = list(list_photographs(photographs, photographs / "out", counts[0]))
    assert [one.facts for one in away] == [one.facts for one in here]
    assert counts[0] == counts[1] == {".txt": 2}
    assert len(here) == 14
    for some_here, some_there in zip(read_photographs(here, 9999), read_photographs(away, 9999), strict=True):
        assert str(some_here) == str(some_there)


def test_a_name_that_is_no_file_s_is_a_problem(s3: Store, bucket: str) -> None:
    names = ["a//b.png", "a/../b.png", "ok.png"]
    for name in names:
        s3.put(f"{bucket}/set/{name}", png(1))
    found = {one.source: one.reason for one in list_photographs(BucketPath(f"{bucket}/set"))}
    assert found["ok.png"] == ""
    assert {reason for name, reason in found.items() if name != "ok.png"} <= {"unsafe_path"}


def test_what_is_no_source_in_a_bucket(s3: Store, bucket: str) -> None:
    s3.put(f"{bucket}/a.txt", b"x")
    for name, words in (("none", "no objects there"), ("a.txt", "an object, and neither a table nor an archive")):
        for look in (find_pairs, find_backgrounds, lambda place: list(list_photographs(place))):
            with pytest.raises(InputError, match=words):
                look(BucketPath(f"{bucket}/{name}"))


def test_a_table_names_objects_beside_it_and_anywhere(tmp_path: Path, s3: Store, bucket: str) -> None:
    for name, data in {"set/a.png": png(1), "set/m.png": matte(), "other/b.png": png(2)}.items():
        s3.put(f"{bucket}/{name}", data)
    text = f"image,alpha\na.png,m.png\n../other/b.png,m.png\n{bucket}/other/b.png,{bucket}/set/m.png\nnone.png,m.png\n"
    s3.put(f"{bucket}/set/pairs.csv", text.encode())
    found = find_pairs(BucketPath(f"{bucket}/set/pairs.csv"))
    assert [pair.source for pair in found.pairs] == ["a.png", "../other/b.png", f"{bucket}/other/b.png"]
    assert [pair.picture.read() for pair in found.pairs] == [png(1), png(2), png(2)]
    assert [(one.source, one.reason) for one in found.problems] == [("pairs.csv, row 4", "missing_file")]
    (tmp_path / "here.csv").write_text(
        f"path\n{bucket}/set/a.png\n{bucket}/set/none.png\nhttp://x.org/a.png\ns3://user@x/a.png\n"
    )
    backgrounds, problems = find_backgrounds(tmp_path / "here.csv")
    assert [(b.source, background_bytes(b)) for b in backgrounds] == [(f"{bucket}/set/a.png", png(1))]
    assert [(one.source, one.reason) for one in problems] == [
        ("here.csv, row 2", "unreadable"), ("here.csv, row 3", "missing_file"), ("here.csv, row 4", "missing_file"),
    ]  # fmt: skip


def test_cells_lead_to_no_other_bucket(s3: Store, bucket: str) -> None:
    s3.put(f"{bucket}/set/a.csv", b"path\n../../../etc/passwd\n/etc/passwd\n")
    with pytest.raises(InputError, match="none of its 2 rows can be used"):
        find_backgrounds(BucketPath(f"{bucket}/set/a.csv"))


def test_an_archive_that_is_put_into_a_bucket_again_gives_the_same(
    tmp_path: Path, s3: Store, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pairs and backgrounds are known by their content: only what differs is refused."""
    monkeypatch.setattr(remote, "_LATELY", 0.01)
    path = write_tar(tmp_path / "a.tar", {"original/a.png": png(1), "mask/a.png": matte()})
    there = uploaded(s3, str(bucket), tmp_path) / "a.tar"
    [pair], [background, *_] = find_pairs(there).pairs, find_backgrounds(there)[0]
    time.sleep(1.1)  # stores count seconds
    s3.put(str(there), path.read_bytes())
    assert measure_pair(pair) == measure_pair(find_pairs(path).pairs[0])
    assert background_bytes(background) in (png(1), matte())
