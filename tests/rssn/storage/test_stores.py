"""What every store does alike, each through its emulator and the faults of a proxy."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fsspec.registry import _registry

import rssn.storage.stores as stores_module
from rssn.errors import DependencyError, RemoteError
from rssn.storage.buckets import (
    abort_uploads,
    is_folder,
    list_objects,
    object_facts,
    remove,
    stat_objects,
    upload,
    version_of,
    write,
)
from rssn.storage.location import BucketPath
from rssn.storage.remote import content, opened
from rssn.storage.urls import scrub
from tests.bucket import Fault, Store

BIG = np.random.default_rng(0).bytes(6_000_000)
"""So much that gcsfs begins an upload that could be resumed."""

PACKAGES = {"s3": ("s3fs", "s3"), "gs": ("gcsfs", "gcs"), "az": ("adlfs", "azure")}


def size(url: str) -> int | None:
    facts = object_facts(url)
    return facts.size if facts else None


def read(url: str) -> bytes:
    return content(BucketPath(url))


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big.bin"
    path.write_bytes(BIG)
    return path


def test_an_object_that_must_be_new(store: Store, place: str) -> None:
    write(f"{place}/a", b"1", new=True)
    with pytest.raises(FileExistsError):
        write(f"{place}/a", b"2", new=True)
    assert read(f"{place}/a") == b"1"
    write(f"{place}/a", b"3")
    assert store.get(f"{place}/a") == b"3"
    store.faults = [Fault("lose", "PUT", "/b")]
    with pytest.raises(FileExistsError):  # tried again, for the answer was lost; the lease reads who made it
        write(f"{place}/b", b"4", new=True)
    assert store.get(f"{place}/b") == b"4"
    remove([f"{place}/a", f"{place}/b", f"{place}/never-was"])
    assert store.names(place) == set()


def test_of_many_that_come_at_once_one_makes_it(store: Store, place: str) -> None:
    all_here = threading.Barrier(6)

    def attempt(number: int) -> bool:
        all_here.wait(60)
        try:
            write(f"{place}/a", str(number).encode(), new=True)
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(attempt, range(6)))
    assert sum(made) == 1
    assert store.get(f"{place}/a") == str(made.index(True)).encode()


def test_a_listing(store: Store, place: str) -> None:
    began = time.time()
    store.put(f"{place}/a/b c+d%20é.json", b"12")
    store.put(f"{place}/a/b/c", b"123")
    store.put(f"{place}/ab", b"1234")
    facts = stat_objects(place)
    assert {name: each.size for name, each in facts.items()} == {"a/b c+d%20é.json": 2, "a/b/c": 3, "ab": 4}
    assert all(abs(each.written_ns / 1e9 - began) < 60 for each in facts.values())
    assert list_objects(f"{place}/a") == {"b c+d%20é.json": 2, "b/c": 3}
    assert list_objects(f"{place}/ab") == {"": 4}
    assert list_objects(f"{place}/none") == list_objects(f"{store.protocol}://nobody-made-it") == {}
    names = ("ab", "a/b/c", "a", "a/b", "none")
    assert [size(f"{place}/{name}") for name in names] == [4, 3, None, None, None]


def test_what_a_console_makes_for_a_folder_is_no_file(store: Store, place: str) -> None:
    for name in ("x/folder/", "x/folder/deep/", "x/alone/"):
        store.put(f"{place}/{name}", b"")
    for name in ("x/folder/a", "x/folder/deep/b", "x/empty"):
        store.put(f"{place}/{name}", b"" if name == "x/empty" else b"1")
    alone = {"alone": 0} if store.protocol == "az" else {}  # of whose name adlfs tells no slash
    assert list_objects(f"{place}/x") == {"folder/a": 1, "folder/deep/b": 1, "empty": 0} | alone
    assert list_objects(f"{place}/x/folder") == {"a": 1, "deep/b": 1}
    assert [
        name for name in ("", "/x", "/x/folder", "/x/folder/deep", "/x/empty", "/none") if is_folder(place + name)
    ] == ["", "/x", "/x/folder", "/x/folder/deep"]
    assert not is_folder(f"{store.protocol}://nobody-made-it")
    assert not is_folder(f"{store.protocol}://nobody-made-it/x")
    assert list_objects(f"{place}/x/alone") == {}


def test_an_object_that_is_written_anew_has_another_version(store: Store, place: str) -> None:
    store.put(f"{place}/a", b"one")
    first = version_of(f"{place}/a")
    assert version_of(f"{place}/a") == first
    store.put(f"{place}/a", b"two")
    assert version_of(f"{place}/a") != first
    with pytest.raises(FileNotFoundError, match="no such object"):
        version_of(f"{place}/none")


def test_no_more_is_fetched_than_is_read(store: Store, place: str) -> None:
    store.put(f"{place}/big.bin", BIG)
    store.sent.clear()
    with opened(BucketPath(f"{place}/big.bin")) as stream:
        stream.seek(1_000_000)
        assert stream.read(10) == BIG[1_000_000:1_000_010]
        stream.seek(-5, 2)
        assert stream.read(100) == BIG[-5:]
    assert sum(store.sent.values()) < 5_000  # with what the store says of the object
    with pytest.raises(FileNotFoundError, match="no such object"), opened(BucketPath(f"{place}/none")):
        pass


def test_what_a_killed_process_left_half_done(store: Store, place: str, big: Path) -> None:
    """Nobody sees it, and it is in nobody's way; S3 keeps it until it is given up."""
    for name in ("mine/big.bin", "mine-too/big.bin"):
        store.start_upload(f"{place}/{name}")
    assert list_objects(place) == {}
    abort_uploads(f"{place}/mine")
    assert store.unfinished(place) == (1 if store.protocol == "s3" else 2)
    upload(big, f"{place}/mine/big.bin")
    assert store.stored(place) == {"mine/big.bin": BIG}


@pytest.mark.parametrize("kind", ["throttle", "fail", "cut"])
def test_a_fault_that_passes_is_not_seen(kind: Any, store: Store, place: str, big: Path) -> None:
    url = f"{place}/big.bin"
    store.faults = [Fault(kind, method, path) for method, path in (
        ("PUT", "big.bin"), ("GET", "big.bin"), ("GET", "list-type"), ("HEAD", "big.bin"), ("DELETE", "big.bin"),
    )]  # fmt: skip
    upload(big, url)
    assert (list_objects(place), read(url), size(url)) == ({"big.bin": len(BIG)}, BIG, len(BIG))
    remove([url])
    assert [fault.seen for fault in store.faults] == [1, 1, 1, 1, 1]
    assert store.names(place) == set()


@pytest.mark.parametrize("kind", ["throttle", "fail", "cut"])
def test_a_read_that_is_cut_goes_on(kind: Any, store: Store, place: str) -> None:
    store.put(f"{place}/big.bin", BIG)
    with opened(BucketPath(f"{place}/big.bin"), ahead=2_000_000) as stream:
        start = stream.read(1_000_000)
        store.faults = [Fault(kind, "GET", "big.bin", times=2)]
        assert start + stream.read() == BIG
    assert store.faults[0].seen == 2


def silent(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(stores_module, "_SILENT_SECONDS", 0.5)


def test_a_store_that_falls_silent_is_asked_again(store: Store, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    silent(monkeypatch)
    store.faults = [Fault("hang", "PUT", "/a"), Fault("hang", "GET", "/a")]
    write(f"{place}/a", b"1")
    assert read(f"{place}/a") == b"1"
    assert [fault.seen for fault in store.faults] == [1, 1]


CALLS: dict[str, Callable[[str], object]] = {
    "PUT": lambda url: write(url, b"1"),
    "GET": read,
    "HEAD": size,
    "DELETE": lambda url: remove([url]),
}


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("throttle", "PUT"), ("fail", "GET"), ("cut", "PUT"), ("cut", "HEAD"), ("fail", "DELETE"),
        ("refuse", "PUT"), ("refuse", "GET"), ("refuse", "HEAD"), ("refuse", "DELETE"),
    ],
)  # fmt: skip
def test_a_fault_that_stays_is_told_without_a_secret(kind: Any, method: str, store: Store, place: str) -> None:
    store.put(f"{place}/a", b"1")
    store.faults = [Fault(kind, method, "/a", times=99)]
    with pytest.raises(RemoteError) as caught:
        CALLS[method](f"{place}/a")
    said = str(caught.value)
    words = "access is refused (" if kind == "refuse" else "the store did not answer as expected ("
    remedy = "check the credentials" if kind == "refuse" else f"check the URL and {store.variable}, or run it again"
    assert said.startswith(f"{place}/a: {words}")
    assert f"); {remedy}" in said
    assert "\n" not in said
    assert store.faults[0].seen <= 2 if kind == "refuse" else 2 <= store.faults[0].seen <= 30


def test_a_bucket_that_nobody_made(store: Store, place: str, big: Path) -> None:
    nowhere = f"{store.protocol}://nobody-made-it/a"
    for attempt in (
        lambda: write(nowhere, b"1"),
        lambda: write(nowhere, b"1", new=True),
        lambda: upload(big, nowhere),
    ):
        with pytest.raises(RemoteError, match=f"{nowhere}: no such bucket; create it first"):
            attempt()
    for look in (read, version_of):
        with pytest.raises(FileNotFoundError, match="no such object"):
            look(nowhere)
    remove([nowhere])


@pytest.mark.parametrize("store", ["s3", "az"], indirect=True)
def test_no_credentials(store: Store, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Google's package goes on as nobody, and is refused, as above."""
    for name in ("s3fs.S3FileSystem", "adlfs.AzureBlobFileSystem"):
        monkeypatch.setattr(f"{name}.cachable", False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_CONNECTION_STRING"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RemoteError, match=rf"{place}/a: access is refused \(.*credentials.*\); check the cred"):
        write(f"{place}/a", b"1")
    assert store.names(place) == set()


@pytest.mark.parametrize("protocol", PACKAGES)
def test_without_its_package(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package, extra = PACKAGES[protocol]
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(_registry, protocol, raising=False)
    with pytest.raises(DependencyError, match=rf"{protocol}:// needs a package .*; pip install 'rssn\[{extra}\]'"):
        write(f"{protocol}://bucket/a", b"1")


def test_the_key_in_a_connection_string_is_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "c2VjcmV0LW9mLXRoZS10ZXN0cw=="
    words = f"DefaultEndpointsProtocol=https;AccountName=me;AccountKey={key};EndpointSuffix=core.windows.net"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", words)
    assert scrub(f"with {key}, or {key.replace('=', '%3D')}, of me: {words}") == "with ***, or ***, of me: ***"


def test_an_empty_object_has_no_bytes(store: Store, place: str) -> None:
    store.put(f"{place}/a", b"")
    assert [content(BucketPath(f"{place}/a")), content(BucketPath(f"{place}/a"), 4)] == [b"", b""]


def test_a_listing_and_a_look_give_an_object_the_same_time(store: Store, place: str) -> None:
    """References have the first, and are compared with the second."""
    store.put(f"{place}/folder/a", b"x")
    assert stat_objects(f"{place}/folder")["a"] == object_facts(f"{place}/folder/a")
