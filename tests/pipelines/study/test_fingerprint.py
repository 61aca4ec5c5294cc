"""What counts of a folder, and what may change without a word."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import pytest

from pipelines.study.fingerprint import digests, fingerprint
from rssn.dataset.shards import Mark
from rssn.errors import InputError
from rssn.sources.layouts import find_pairs
from rssn.storage.location import BucketPath
from tests.bucket import Store


def names(root: Path) -> list[str]:
    return [str(facts[0]) for facts in fingerprint(root)]


def write(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def mark(root: Path, name: str, digest: str) -> None:
    write(root / "marks" / f"{name}.json", json.dumps(asdict(Mark(name, 3, 10, digest))).encode())


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    root = tmp_path / "set"
    write(root / "manifest.json", b'{"plan": {"kind": "backgrounds"}}')
    for name in ("train-00000-of-00001", "validation-00000-of-00001"):
        mark(root, name, "ab")
        write(root / "data" / f"{name}.parquet")
    return root


def test_links_to_folders_are_entered_as_the_layouts_do(tmp_path: Path) -> None:
    write(tmp_path / "there" / "original" / "a.jpg", b"other")
    write(tmp_path / "there" / "mask" / "a.png")
    (tmp_path / "set").mkdir()
    for side in ("original", "mask"):
        (tmp_path / "set" / side).symlink_to(tmp_path / "there" / side)
    assert len(find_pairs(tmp_path / "set").pairs) == 1
    facts = fingerprint(tmp_path / "set")
    assert [each[0] for each in facts] == ["mask/a.png", "original/a.jpg"]
    write(tmp_path / "there" / "mask" / "a.png", b"y")
    assert [each[1] for each in fingerprint(tmp_path / "set")] == [sha256(b"y").hexdigest(), facts[1][1]]


def test_links_that_lead_back_are_followed_once(tmp_path: Path) -> None:
    for here, there in (("a", "b"), ("b", "a")):
        write(tmp_path / here / f"{here}.jpg")
        (tmp_path / here / "other").symlink_to(tmp_path / there)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a")
    assert names(tmp_path / "a") == ["a.jpg", "other/b.jpg"]


def test_what_no_reader_takes_up_does_not_count(tmp_path: Path) -> None:
    taken = ["a.JPG", "b.heic", "c.zip", "d.csv", "e/f.parquet", "g.tar.gz"]
    for name in [
        *taken,
        ".hidden.png",
        "._a.JPG",
        ".lease.json",
        "notes.txt",
        "review.sqlite",
        "report/index.html",
        ".cache/state",
    ]:
        write(tmp_path / name)
    assert names(tmp_path) == taken


def test_a_set_of_ours_is_its_marks(ours: Path) -> None:
    before = fingerprint(ours)
    assert before == [["train-00000-of-00001", 3, "ab"], ["validation-00000-of-00001", 3, "ab"]]
    for name in ("report/strip.png", "report/index.html", ".run.json", "review.sqlite", "verdicts.parquet"):
        write(ours / name)
    for place in (ours / "data").iterdir():
        os.utime(place, ns=(1, 1))
    assert fingerprint(ours) == before
    mark(ours, "train-00000-of-00001", "cd")
    assert fingerprint(ours)[0] == ["train-00000-of-00001", 3, "cd"]


def test_a_file_is_its_digest_whenever_it_was_installed(tmp_path: Path) -> None:
    place = write(tmp_path / "weights.pth", b"abc")
    assert fingerprint(place) == [["ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"]]


def test_a_copy_on_another_disk_is_the_same_and_what_is_replaced_is_not(tmp_path: Path) -> None:
    """By a file of the same name, size and time, whose number on the disk alone is another."""
    for name in ("a.png", "b.tar"):
        os.utime(write(tmp_path / "one" / name, b"abc"), ns=(7, 7))
    before = fingerprint(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two", copy_function=shutil.copyfile)
    assert fingerprint(tmp_path / "two") == before
    os.utime(write(tmp_path / "new", b"xyz"), ns=(7, 7))
    (tmp_path / "new").replace(tmp_path / "one" / "b.tar")
    after = fingerprint(tmp_path / "one")
    assert (after[0], after[1][0]) == (before[0], before[1][0])
    assert after[1] != before[1]


def test_a_digest_is_remembered_until_the_file_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, memo = write(tmp_path / "set" / "a.png", b"abc"), tmp_path / "inputs.json"
    digests.open(None)
    before = fingerprint(tmp_path / "set")
    digests.save(memo)
    read: list[Path] = []
    monkeypatch.setattr("pipelines.study.fingerprint.sha256", lambda path: read.append(path) or "read")
    digests.open(memo)
    assert fingerprint(tmp_path / "set") == before
    assert read == []
    os.utime(place, ns=(7, 7))
    assert fingerprint(tmp_path / "set") == [["a.png", "read"]]
    for damaged in ("", "[]", "{}", '{"digests": 3}'):
        memo.write_text(damaged)
        digests.open(memo)
        assert fingerprint(tmp_path / "set") == [["a.png", "read"]]


def test_a_place_without_anything_that_counts_is_named(tmp_path: Path, ours: Path) -> None:
    with pytest.raises(InputError, match="none: there is no such file or folder; name it in the study file"):
        fingerprint(tmp_path / "none")
    write(tmp_path / "empty" / "notes.txt")
    with pytest.raises(InputError, match="empty: no picture, archive or table in it; name another folder"):
        fingerprint(tmp_path / "empty")
    for place in (ours / "marks").iterdir():
        place.unlink()
    with pytest.raises(InputError, match="set: no finished shard in it"):
        fingerprint(ours)


def test_a_bucket_counts_as_the_folder_does_and_is_read_once(
    s3: Store, bucket: str, ours: Path, tmp_path: Path
) -> None:
    for name in ("b/x.jpg", "a-b/y.png", "a/z.jpg", "table.csv", "notes.txt", ".hidden.jpg", "b/more.tar"):
        write(tmp_path / "photos" / name, name.encode())
    for path in filter(Path.is_file, tmp_path.rglob("*")):
        s3.put(f"{bucket}/{path.relative_to(tmp_path)}", path.read_bytes())
    photos = BucketPath(f"{bucket}/photos")
    assert fingerprint(photos) == fingerprint(tmp_path / "photos")
    assert fingerprint(photos / "table.csv") == fingerprint(tmp_path / "photos" / "table.csv")
    assert fingerprint(BucketPath(f"{bucket}/set")) == fingerprint(ours)
    digests.save(tmp_path / "inputs.json")
    digests.open(tmp_path / "inputs.json")
    s3.asked.clear()
    assert fingerprint(photos) == fingerprint(tmp_path / "photos")
    assert [name for name in s3.asked if name.endswith((".jpg", ".png", ".csv", ".tar"))] == []
    s3.put(f"{photos}/b/x.jpg", b"others")  # of another size: S3 tells times by the second
    assert fingerprint(photos) != fingerprint(tmp_path / "photos")
    with pytest.raises(InputError, match=f"{bucket}/nothing: there is no such file or folder; name it in the study"):
        fingerprint(BucketPath(f"{bucket}/nothing"))
