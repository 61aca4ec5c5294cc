"""One driver per data set in a bucket, wherever they run."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

import rssn.storage.lease as lease_module
from pipelines.inspect.status import status
from rssn.errors import InputError
from rssn.storage.lease import hold_lease
from rssn.storage.location import BucketPath
from tests.bucket import Fault, Store


def put(s3: Store, url: str, age: float, **more: Any) -> None:
    facts = {"host": "elsewhere", "pid": 1, "since": time.time() - 900, "renewed": time.time() - age}
    s3.put(f"{url}/.lease.json", json.dumps(facts | more).encode())


def test_the_second_is_refused_and_a_stale_one_taken_over(s3: Store, bucket: str) -> None:
    put(s3, bucket, 5)
    words = (
        rf"{bucket}: another run is at work here \(process 1 on elsewhere, since .*, renewed \d s ago\); wait for it"
    )
    with pytest.raises(InputError, match=words), hold_lease(BucketPath(bucket)):
        pass
    assert s3.names(bucket) == {".lease.json"}
    put(s3, bucket, 61)
    s3.put(f"{bucket}/.lease-claim.json", s3.get(f"{bucket}/.lease.json"))  # who claimed it died of it
    with pytest.raises(InputError, match="another run is at work here"), hold_lease(BucketPath(bucket)):
        pass
    with hold_lease(BucketPath(bucket)):
        assert json.loads(s3.get(f"{bucket}/.lease.json"))["host"] != "elsewhere"
    assert s3.names(bucket) == set()


@pytest.mark.parametrize("stale", [False, True])
def test_of_many_that_come_at_once_one_gets_it(stale: bool, s3: Store, bucket: str) -> None:
    if stale:
        put(s3, bucket, 61)
    got, refused, all_tried = [], [], threading.Barrier(4)

    def attempt() -> None:
        try:
            with hold_lease(BucketPath(bucket)):
                got.append(1)
                all_tried.wait(120)
        except InputError:
            refused.append(1)
            all_tried.wait(120)

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 3)


@pytest.mark.slow
def test_it_is_renewed_and_a_run_that_lost_it_stops(s3: Store, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "RENEWED_SECONDS", 0.1)

    def work() -> None:
        with hold_lease(BucketPath(bucket)):
            s3.faults = [Fault("fail", "PUT", "lease", times=4)]  # a renewal that fails is not the end
            first = s3.get(f"{bucket}/.lease.json")
            deadline = time.time() + 120
            while time.time() < deadline and (s3.faults[0].seen < 4 or s3.get(f"{bucket}/.lease.json") == first):
                time.sleep(0.02)
            assert json.loads(s3.get(f"{bucket}/.lease.json"))["renewed"] > json.loads(first)["renewed"]
            put(s3, bucket, 0)
            time.sleep(60)

    with pytest.raises(InputError, match=f"{bucket}: another run took over"):
        work()
    assert json.loads(s3.get(f"{bucket}/.lease.json"))["host"] == "elsewhere"


def test_status_says_who_works_there(s3: Store, bucket: str) -> None:
    put(s3, bucket, 7)
    s3.put(f"{bucket}/manifest.json", json.dumps({"plan": {"kind": "composites"}}).encode())
    first = status(BucketPath(bucket))[0]
    assert first.startswith(f"{bucket}: composites, running: process 1 on elsewhere, since ")
    assert first.endswith(("renewed 7 s ago", "renewed 8 s ago"))
