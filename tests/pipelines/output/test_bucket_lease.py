"""One driver per data set in a bucket, wherever they run."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import rssn.storage.lock as lock_module
from pipelines.inspect.status import status
from pipelines.output.staging import open_output, open_readonly
from rssn.errors import InputError
from rssn.storage.bucket_lease import BucketLease
from rssn.storage.lock import hold_lease_at
from rssn.storage.urls import Url
from tests.bucket import Fault, Store


def put(s3: Store, url: str, age: float, **more: Any) -> None:
    facts = {"host": "elsewhere", "pid": 1, "since": time.time() - 900, "renewed": time.time() - age}
    s3.put(f"{url}/.lease.json", json.dumps(facts | more).encode())


def test_the_second_is_refused_and_a_stale_one_taken_over(s3: Store, bucket: Url, tmp_path: Path) -> None:
    put(s3, bucket, 5)
    words = (
        rf"{bucket}: another run is at work here \(process 1 on elsewhere, since .*, renewed \d s ago\); wait for it"
    )
    with pytest.raises(InputError, match=words), open_output(bucket, tmp_path):
        pass
    assert s3.names(bucket) == {".lease.json"}
    put(s3, bucket, 61)
    s3.put(f"{bucket}/.lease-claim.json", s3.get(f"{bucket}/.lease.json"))  # who claimed it died of it
    with pytest.raises(InputError, match="another run is at work here"), open_output(bucket, tmp_path):
        pass
    with open_output(bucket, tmp_path):
        assert json.loads(s3.get(f"{bucket}/.lease.json"))["host"] != "elsewhere"
    assert s3.names(bucket) == set()


@pytest.mark.parametrize("stale", [False, True])
def test_of_many_that_come_at_once_one_gets_it(stale: bool, s3: Store, bucket: Url, tmp_path: Path) -> None:
    if stale:
        put(s3, bucket, 61)
    got, refused, all_tried = [], [], threading.Barrier(4)

    def attempt() -> None:
        try:
            with hold_lease_at(BucketLease(bucket, tmp_path)):
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
def test_it_is_renewed_with_the_state_and_a_run_that_lost_it_stops(
    s3: Store, bucket: Url, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "RENEWED_SECONDS", 0.1)
    (tmp_path / ".run.json").write_text("{}")

    def work() -> None:
        with hold_lease_at(BucketLease(bucket, tmp_path)):
            s3.faults = [Fault("fail", "PUT", "lease", times=4)]  # a renewal that fails is not the end
            first = s3.get(f"{bucket}/.lease.json")
            deadline = time.time() + 120
            while time.time() < deadline and ".run.json" not in s3.names(bucket):
                time.sleep(0.02)
            assert s3.faults[0].seen == 4
            assert json.loads(s3.get(f"{bucket}/.lease.json"))["renewed"] > json.loads(first)["renewed"]
            put(s3, bucket, 0)
            time.sleep(60)

    with pytest.raises(InputError, match=f"{bucket}: another run took over"):
        work()
    assert json.loads(s3.get(f"{bucket}/.lease.json"))["host"] == "elsewhere"


def test_status_says_who_works_there(s3: Store, bucket: Url) -> None:
    put(s3, bucket, 7)
    s3.put(f"{bucket}/manifest.json", json.dumps({"plan": {"kind": "composites"}}).encode())
    with open_readonly(bucket) as root:
        first = status(root)[0]
    assert first.startswith(f"{bucket}: composites, running: process 1 on elsewhere, since ")
    assert first.endswith(("renewed 7 s ago", "renewed 8 s ago"))
