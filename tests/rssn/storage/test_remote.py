"""Objects read, listed and written through a real store and its faults: what a folder gives, a bucket gives."""

from __future__ import annotations

import tarfile
import threading
import time
import zipfile
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rssn.dataset.schema import BACKGROUNDS, picture
from rssn.dataset.shards import DatasetFolder, write_shard
from rssn.dataset.verify import Shards, check_shard
from rssn.errors import Rejected
from rssn.image.arrays import encode_png, read_bytes
from rssn.sources.backgrounds import background_bytes, find_backgrounds
from rssn.sources.crawl import list_photographs, read_photographs
from rssn.sources.layouts import find_pairs
from rssn.sources.matting import load_pair, measure_pair
from rssn.storage.buckets import list_objects, stat_objects, upload
from rssn.storage.files import sha256
from rssn.storage.location import BucketPath
from rssn.storage.remote import content, size_of
from tests.bucket import Fault, Store


def png(seed: int, channels: int = 3) -> bytes:
    return encode_png(np.random.default_rng(seed).integers(0, 256, (8, 12, channels), dtype=np.uint8))


def copy(root: Path, s3: Store, url: str) -> None:
    for path in root.rglob("*"):
        if path.is_file():
            s3.put(f"{url}/{path.relative_to(root).as_posix()}", path.read_bytes())


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    """A folder, a tar file and a zip file of photographs, and a file that is none."""
    root = tmp_path / "crawl"
    (root / "below").mkdir(parents=True)
    (root / "below" / "a b.png").write_bytes(png(1))
    (root / "notes.json").write_text("{}")
    for number, path in ((2, tmp_path / "two.png"), (3, tmp_path / "three.png")):
        path.write_bytes(png(number))
    with tarfile.open(root / "some.tar", "w") as archive:
        for name in ("two.png", "three.png"):
            archive.add(tmp_path / name, name)
    with zipfile.ZipFile(root / "more.zip", "w") as packed:
        for name in ("two.png", "three.png"):
            packed.write(tmp_path / name, name)
    return root


def test_a_crawl(crawl: Path, s3: Store, bucket: str, tmp_path: Path) -> None:
    copy(crawl, s3, f"{bucket}/crawl")
    s3.put(f"{bucket}/crawl/below/", b"")  # how consoles make a folder
    here = list(list_photographs(crawl))
    there = list(list_photographs(BucketPath(f"{bucket}/crawl")))
    facts = [[(*p.facts, p.picture and p.picture.place) for p in places] for places in (here, there)]
    assert facts[0] == facts[1]
    assert len(here) == 5
    assert {place.picture.path for place in there if place.picture} == {
        f"{bucket}/crawl/below/a b.png", f"{bucket}/crawl/some.tar", f"{bucket}/crawl/more.zip",
    }  # fmt: skip
    assert list(read_photographs(there, 1 << 20)) == list(read_photographs(here, 1 << 20))
    for name in ("some.tar", "more.zip"):
        alone = list(list_photographs(BucketPath(f"{bucket}/crawl/{name}")))
        assert [place.source for place in alone] == ["two.png", "three.png"]


def test_an_object_that_is_written_anew_has_another_stamp(s3: Store, bucket: str, tmp_path: Path) -> None:
    """Of the same name and size; the store counts whole seconds."""

    def stamps() -> list[str]:
        found = list_photographs(BucketPath(f"{bucket}/crawl"))
        return [place.picture.stamp for place in found if place.picture]

    s3.put(f"{bucket}/crawl/a.png", b"one")
    first = stamps()
    assert stamps() == first
    deadline = time.time() + 120
    while stamps() == first and time.time() < deadline:
        time.sleep(0.3)
        s3.put(f"{bucket}/crawl/a.png", b"two")
    assert stamps() != first


@pytest.mark.slow
def test_a_shard_that_was_written_after_its_mark_is_read_through(s3: Store, bucket: str, tmp_path: Path) -> None:
    folder = DatasetFolder(tmp_path / "set")
    row = dict.fromkeys(BACKGROUNDS.names) | {"background_id": "a", "image": picture(b"x" * 100, "a.png")}
    mark = write_shard(folder, "train-00000-of-00001", BACKGROUNDS, [row], [])
    data = folder.data(mark.name).read_bytes()
    s3.put(f"{bucket}/data/{mark.name}.parquet", data)
    s3.put(f"{bucket}/marks/{mark.name}.json", folder.mark(mark.name).read_bytes())

    def problem() -> str | None:
        there = DatasetFolder(BucketPath(bucket))
        assert check_shard(there, mark) == Shards.of(there).problem(mark)
        return check_shard(there, mark)

    assert problem() is None
    for stored, expected in ((data, None), (data.replace(b"xx", b"yx", 1), "altered after it was marked")):
        written = stat_objects(bucket)[f"marks/{mark.name}.json"].written_ns
        while stat_objects(bucket)[f"data/{mark.name}.parquet"].written_ns <= written:
            time.sleep(0.3)
            s3.put(f"{bucket}/data/{mark.name}.parquet", stored)
        assert problem() is None if expected is None else expected in str(problem())
        s3.put(f"{bucket}/marks/{mark.name}.json", folder.mark(mark.name).read_bytes())


@pytest.mark.parametrize("layout", ["flat", "rgba", "table"])
def test_a_matting_set(layout: str, s3: Store, bucket: str, tmp_path: Path) -> None:
    root = tmp_path / "set"
    (root / "x").mkdir(parents=True)
    if layout == "rgba":
        (root / "x" / "a.png").write_bytes(png(1, 4))
    else:
        (root / "x" / "a.png").write_bytes(png(1))
        (root / "x" / "a_matte.png").write_bytes(encode_png(np.eye(8, 12, dtype=np.uint8) * 250))
    name = ""
    if layout == "table":
        name = "/pairs.csv"
        (root / "pairs.csv").write_text("image,alpha\nx/a.png,x/a_matte.png\n")
    copy(root, s3, f"{bucket}/set")
    here = find_pairs(root / name.lstrip("/"))
    there = find_pairs(BucketPath(f"{bucket}/set{name}"))
    assert (here.layout, there.layout) == (layout, layout)
    assert [(p.name, p.source) for p in here.pairs] == [(p.name, p.source) for p in there.pairs]
    assert [measure_pair(p) for p in here.pairs] == [measure_pair(p) for p in there.pairs]
    assert (load_pair(here.pairs[0]).picture == load_pair(there.pairs[0]).picture).all()


def test_backgrounds_in_a_table_of_pictures(s3: Store, bucket: str, tmp_path: Path) -> None:
    table = pa.table({"image": [png(1), png(2)], "licence": ["CC0", None]})
    (tmp_path / "set").mkdir()
    pq.write_table(table, tmp_path / "set" / "some.parquet")
    copy(tmp_path / "set", s3, bucket)
    here, _ = find_backgrounds(tmp_path / "set" / "some.parquet")
    there, _ = find_backgrounds(BucketPath(f"{bucket}/some.parquet"))
    assert [b.background_id for b in there] == [b.background_id for b in here]
    assert there[0].picture.path == f"{bucket}/some.parquet"
    assert [background_bytes(b) for b in there] == [background_bytes(b) for b in here]


@pytest.mark.slow
def test_an_object_that_is_written_all_the_time_can_be_read(s3: Store, bucket: str) -> None:
    url, over = f"{bucket}/lease.json", threading.Event()
    versions = [b"a" * 9, b"b" * 8]

    def write_on() -> None:
        for version in cycle(versions):
            if over.is_set():
                return
            s3.put(url, version)

    s3.put(url, versions[0])
    thread = threading.Thread(target=write_on)
    thread.start()
    try:
        found = {content(BucketPath(url)) for _ in range(60)}
    finally:
        over.set()
        thread.join()
    assert found <= set(versions)


@pytest.mark.parametrize("kind", ["throttle", "fail", "cut"])
def test_a_fault_that_passes_is_not_seen(kind: Any, s3: Store, bucket: str, tmp_path: Path) -> None:
    data = np.random.default_rng(0).bytes(300_000)
    (tmp_path / "a.bin").write_bytes(data)
    s3.faults = [Fault(kind, "PUT", "a.bin"), Fault(kind, "GET", "a.bin"), Fault(kind, "GET", "list-type")]
    upload(tmp_path / "a.bin", f"{bucket}/a.bin")
    assert content(BucketPath(f"{bucket}/a.bin")) == data
    assert list_objects(bucket) == {"a.bin": 300_000}
    assert [fault.seen for fault in s3.faults] == [1, 1, 1]
    assert sha256(BucketPath(f"{bucket}/a.bin")) == sha256(tmp_path / "a.bin")


@pytest.mark.slow
def test_a_fault_that_stays_is_told_without_a_secret(s3: Store, bucket: str) -> None:
    s3.put(f"{bucket}/a.png", png(1))
    s3.faults = [Fault("fail", "GET", "a.png", times=99)]
    with pytest.raises(Rejected, match=rf"{bucket}/a.png: .*; check the URL and AWS_ENDPOINT_URL, or run it again"):
        read_bytes(BucketPath(f"{bucket}/a.png"))
    assert s3.faults[0].seen <= 10
    with pytest.raises(Rejected, match=rf"read: unreadable: {bucket}/none.png: no such object"):
        read_bytes(BucketPath(f"{bucket}/none.png"))
    assert size_of(BucketPath(f"{bucket}/none.png")) is None
