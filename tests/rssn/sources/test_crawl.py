from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rssn.errors import InputError, Rejected, RemoteError
from rssn.sources import tree
from rssn.sources.crawl import Photograph, list_photographs, read_photographs
from rssn.storage import remote
from rssn.storage.buckets import FileFacts, stat_objects
from rssn.storage.location import BucketPath
from tests.bucket import Fault, Store
from tests.rssn.sources.packing import uploaded
from tests.rssn.sources.test_archives import WRITERS, write_tar, write_tgz, write_zip

LIMIT = 1000


def read(places: list[Photograph]) -> dict[str, bytes | str]:
    """Bytes by source, or the reason why there are none."""
    found = read_photographs(places, LIMIT)
    return {p.source: d.reason if isinstance(d, Rejected) else d for p, d in zip(places, found, strict=True)}


def crawl(root: Path) -> dict[str, bytes | str]:
    return read(list(list_photographs(root)))


def test_a_folder_with_all_below_it_and_its_archives(tmp_path: Path) -> None:
    (tmp_path / "z" / "deep").mkdir(parents=True)
    (tmp_path / "z" / "deep" / "b.PNG").write_bytes(b"b")
    (tmp_path / "a.jpg").write_bytes(b"a")
    (tmp_path / "notes.txt").write_bytes(b"no picture")
    (tmp_path / "old.gif").write_bytes(b"g")
    write_tar(tmp_path / "z" / "t.tar", {"x/c.jpg": b"c", "readme": b""})
    write_zip(tmp_path / "y.zip", {"d.webp": b"d", "big.jpg": bytes(LIMIT + 1)})
    found = crawl(tmp_path)
    assert list(found) == ["a.jpg", "old.gif", "y.zip/d.webp", "y.zip/big.jpg", "z/t.tar/x/c.jpg", "z/deep/b.PNG"]
    assert list(found.values()) == [b"a", b"g", b"d", "too_many_bytes", b"c", b"b"]


def test_what_is_no_photograph_is_counted_or_named(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.NEF", "c.rar", "._a.jpg", "out/report/sheet.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"a")
    write_tgz(tmp_path / "t.tgz", {"c.jpg": b"c", "readme.md": b"", "__MACOSX/._c.jpg": b"x"})
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.jpg")).write_bytes(b"b")
    (tmp_path / "bad.jpg").symlink_to(os.fsdecode(b"bad\xff.jpg"))
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to(".")
    unread: Counter[str] = Counter()
    assert read(list(list_photographs(tmp_path, tmp_path / "out", unread))) == {
        "a.jpg": b"a",
        "bad.jpg": "unsafe_path",
        "bad\\xff.jpg": "unsafe_path",
        "loop": "loop",
        "pipe.jpg": "not_a_file",
        "t.tgz/c.jpg": b"c",
        "zero.jpg": "not_a_file",
    }
    assert unread == Counter({".NEF": 1, ".rar": 1, ".md": 1})


def test_an_archive_under_another_name(tmp_path: Path) -> None:
    write_tgz(tmp_path / "blob", {"a.jpg": b"a", "b.jpg": b"b"})
    (tmp_path / "photos.tgz").symlink_to("blob")
    assert crawl(tmp_path / "photos.tgz") == {"a.jpg": b"a", "b.jpg": b"b"}


@pytest.mark.parametrize("kind", WRITERS)
def test_an_archive_alone(tmp_path: Path, kind: str) -> None:
    path = WRITERS[kind](tmp_path / f"p.{kind}", {"a.jpg": b"a", "../b.jpg": b"b", "sub/c.jpg": b"c"})
    assert crawl(path) == {"a.jpg": b"a", "../b.jpg": "unsafe_path", "sub/c.jpg": b"c"}


def test_equal_names_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "p.tar"
    write_tar(path, {"a.jpg": b"first"})
    more = write_tar(tmp_path / "q", {"a.jpg": b"second"}).read_bytes()
    path.write_bytes(path.read_bytes()[:1024] + more)
    assert crawl(path) == {"a.jpg": b"first", "a.jpg#2": b"second"}


def test_a_name_that_looks_like_a_copy_s_keeps_its_own(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.jpg#2"):
        (tmp_path / name).write_bytes(b"a")
    (tmp_path / "t.csv").write_text("path\na.jpg\na.jpg#2\na.jpg\na.jpg\n")
    sources = [place.source for place in list_photographs(tmp_path / "t.csv")]
    assert sources == ["a.jpg", "a.jpg#2", "a.jpg#3", "a.jpg#4"]


def test_a_damaged_archive_is_a_row_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"no archive")
    (tmp_path / "b.jpg").write_bytes(b"b")
    assert crawl(tmp_path) == {"a.zip": "damaged_archive", "b.jpg": b"b"}


def test_a_table_of_paths_carries_source_and_licence(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    (tmp_path / "t.csv").write_text(
        "path,license,source,more\na.jpg,CC0,https://example.org/a,1\nnone.jpg,CC-BY,,2\na.jpg,,,3\n"
    )
    places = list(list_photographs(tmp_path / "t.csv"))
    assert read(places) == {"a.jpg": b"a", "t.csv, row 2": "missing_file", "a.jpg#2": b"a"}
    assert [(p.origin, p.licence) for p in places] == [("https://example.org/a", "CC0"), ("", "CC-BY"), ("", "")]


@pytest.mark.parametrize("column", ["image", "bytes"])
def test_a_table_of_bytes_is_read_by_ranges(tmp_path: Path, column: str) -> None:
    data = [bytes([n]) * 5 for n in range(50)]
    data[7] = bytes(LIMIT + 1)
    cells = [{"bytes": one, "path": None} for one in data] if column == "image" else data
    table = pa.table({"license": ["CC0"] * 50, column: cells, "source": [f"url {n}" for n in range(50)]})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=9)
    places = list(list_photographs(tmp_path / "t.parquet"))
    assert [place.origin for place in places] == [f"url {n}" for n in range(50)]
    assert {place.licence for place in places} == {"CC0"}
    whole = list(read(places).values())
    assert whole == [*data[:7], "too_many_bytes", *data[8:]]
    assert list(read(places[20:31]).values()) == data[20:31]
    assert list(read(places[40:50:3]).values()) == data[40:50:3]


def test_a_row_without_bytes_is_empty(tmp_path: Path) -> None:
    pq.write_table(pa.table({"bytes": pa.array([b"a", None], pa.binary())}), tmp_path / "t.parquet")
    assert crawl(tmp_path / "t.parquet") == {"t.parquet, row 1": b"a", "t.parquet, row 2": "empty"}


def test_a_table_that_was_replaced_is_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"bytes": [b"a", b"b"]}), path)
    places = list(list_photographs(path))
    pq.write_table(pa.table({"bytes": [b"a"]}), path)
    assert read(places) == {"t.parquet, row 1": "changed", "t.parquet, row 2": "changed"}


def test_a_file_that_is_gone_is_a_reason(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    places = list(list_photographs(tmp_path))
    (tmp_path / "a.jpg").unlink()
    (tmp_path / "b.jpg").symlink_to(tmp_path / "nowhere")
    assert read(places) == {"a.jpg": "unreadable"}
    assert crawl(tmp_path) == {"b.jpg": "unreadable"}


def test_a_name_that_is_not_utf8_is_a_reason(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg")).write_bytes(b"a")
    assert crawl(tmp_path) == {"\\xff.jpg": "unsafe_path"}


@pytest.mark.parametrize("name", ["nothing", "text.txt", "table.csv"])
def test_anything_else_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "text.txt").write_text("x")
    (tmp_path / "table.csv").write_text("image\na.jpg\n")
    with pytest.raises(InputError, match=name):
        list_photographs(tmp_path / name)


def test_a_table_that_cannot_be_read_is_a_reason(tmp_path: Path, s3: Store, bucket: str) -> None:
    pq.write_table(pa.table({"image": [b"a", b"b"]}), tmp_path / "t.parquet")
    (tmp_path / "b.jpg").write_bytes(b"b")
    there = uploaded(s3, f"{bucket}/crawl", tmp_path)
    assert len(list(list_photographs(there))) == 3
    s3.faults = [Fault("refuse", "GET", r"t\.parquet", times=9)]
    with pytest.raises(RemoteError, match=r"t\.parquet: access is refused"):
        list(list_photographs(there))
    s3.faults = []
    whole = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(whole[:-9])
    assert crawl(tmp_path) == {"b.jpg": b"b", "t.parquet": "unreadable"}


def test_an_object_that_cannot_be_looked_at_is_a_reason(
    s3: Store, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its content, as it has no suffix: one is refused, one is removed after the listing."""
    for name in ("a.jpg", "refused", "gone", "last.jpg"):
        s3.put(f"{bucket}/crawl/{name}", b"x")
    s3.faults = [Fault("refuse", "GET", "refused", times=9)]

    def then_gone(url: str) -> dict[str, FileFacts]:
        found = stat_objects(url)
        s3.remove(f"{bucket}/crawl/gone")
        return found

    monkeypatch.setattr(tree, "stat_objects", then_gone)
    found = list_photographs(BucketPath(f"{bucket}/crawl"))
    assert {one.source: one.reason for one in found} == {
        "a.jpg": "", "gone": "unreadable", "last.jpg": "", "refused": "unreadable",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["a.tar", "a.tgz", "a.zip", "a.parquet"])
def test_what_was_replaced_in_a_bucket_is_a_reason(
    name: str, tmp_path: Path, s3: Store, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(data: bytes) -> None:
        if name == "a.parquet":
            pq.write_table(pa.table({"image": [data]}), tmp_path / name)
        else:
            {"a.tar": write_tar, "a.tgz": write_tgz, "a.zip": write_zip}[name](tmp_path / name, {"a.jpg": data})
        s3.put(f"{bucket}/{name}", (tmp_path / name).read_bytes())

    monkeypatch.setattr(remote, "_LATELY", 0.01)
    put(b"before")
    before = list(list_photographs(BucketPath(f"{bucket}/{name}")))
    assert list(read(before).values()) == [b"before"]
    time.sleep(1.1)  # stores count seconds
    put(b"after!")
    assert list(read(before).values()) == ["changed"]
    assert list(read(list(list_photographs(BucketPath(f"{bucket}/{name}")))).values()) == [b"after!"]


def test_a_table_of_objects_has_their_stamps(s3: Store, bucket: str) -> None:
    s3.put(f"{bucket}/a.jpg", b"a")
    s3.put(f"{bucket}/t.csv", b"path\na.jpg\n")
    [one] = list_photographs(BucketPath(f"{bucket}/t.csv"))
    assert one.picture
    assert one.picture.stamp == str(stat_objects(f"{bucket}/a.jpg")[""].written_ns)
