"""A data set in a bucket: what is swept, what is refused, what a store's refusal is taken for."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import rssn
from rssn.dataset.batches import batch_path, superseded
from rssn.dataset.dataset import DataSet
from rssn.dataset.schema import BACKGROUNDS
from rssn.dataset.shards import write_shard
from rssn.errors import DamagedError, RemoteError
from rssn.storage.atomic import atomic_path
from rssn.storage.files import write_json
from rssn.storage.location import BucketPath, scratch_of
from tests.bucket import Fault, Store

NAME = "train-00000-of-00001"
MARK = f"marks/{NAME}.json"


@pytest.fixture
def data(s3: Store, bucket: str) -> DataSet:
    """A set of one row."""
    found = DataSet(BucketPath(f"{bucket}/set"), "")
    row = dict.fromkeys(BACKGROUNDS.names) | {"background_id": "a"}
    write_shard(found, NAME, BACKGROUNDS, [row], [])
    write_json(found.manifest_path, {"plan": {"kind": "backgrounds"}, "totals": {"rows": 1}})
    return found


def test_a_sweep_takes_what_is_of_the_set_alone(data: DataSet, s3: Store, bucket: str) -> None:
    home = scratch_of(BucketPath(f"{bucket}/set/run")) / "last.pt"
    half = scratch_of(BucketPath(f"{data.root}/data/{NAME}.parquet")).with_name(f".{NAME}.parquet.1.tmp")
    at_hand = data.current_item(NAME)
    for path in (home, half, at_hand):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    for name in (f"set/data/{NAME}.parquet", "set/film.mp4", "film.mp4"):
        s3.start_upload(f"{bucket}/{name}")
    data.sweep()
    assert (home.exists(), half.exists(), at_hand.exists()) == (True, False, False)
    assert s3.unfinished(bucket) == 2
    home.unlink()


def test_who_may_not_list_uploads_may_write(data: DataSet, s3: Store) -> None:
    s3.faults = [Fault("refuse", "GET", "uploads", times=9)]
    data.sweep()
    assert s3.faults[0].seen > 0


def test_two_stores_share_no_scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    place = BucketPath("s3://bucket/set")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://one")
    one = scratch_of(place)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://two")
    assert scratch_of(place) != one


def test_a_refusal_is_no_damage(data: DataSet, s3: Store) -> None:
    s3.faults = [Fault("refuse", "GET", f"data/{NAME}", times=99), Fault("refuse", "GET", MARK, times=99)]
    with pytest.raises(RemoteError, match="access is refused"):
        data.read_mark(NAME)
    s3.faults = s3.faults[:1]
    with pytest.raises(RemoteError, match="access is refused"):
        rssn.open_dataset(str(data.root)).row("a")


def test_a_plan_that_is_listed_and_gone_is_said(data: DataSet) -> None:
    with pytest.raises(DamagedError, match=r"foregrounds-00001\.parquet: missing, though the manifest lists it"):
        superseded(data.root, 2)
    assert batch_path(data.root, 1).name == "foregrounds-00001.parquet"


def test_what_a_killed_writer_left_goes_after_a_day(bucket: str) -> None:
    place = BucketPath(f"{bucket}/a")
    old, young = (scratch_of(place).with_name(f".{name}.tmp") for name in ("old.1", "young.1"))
    old.parent.mkdir(parents=True, exist_ok=True)
    for path in (old, young):
        path.write_bytes(b"x")
    os.utime(old, (time.time() - 90_000,) * 2)
    with atomic_path(place) as temporary:
        Path(temporary).write_bytes(b"x")
    assert (old.exists(), young.exists()) == (False, True)
    young.unlink()
