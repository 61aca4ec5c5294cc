"""Copies of objects that are read as files."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from rssn.storage.cached_object import local_copy
from rssn.storage.location import BucketPath
from tests.bucket import Store

WEEK = 7 * 24 * 3600


def test_a_version_stays_a_week_after_its_last_use(
    s3: Store, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    network, killed = BucketPath(f"{bucket}/last.pt"), tmp_path / "rssn-objects" / ".of-a-killed-run.1.tmp"

    def copy(data: bytes, age: float) -> Path:
        s3.put(network.url, data)
        found = local_copy(network)
        assert found.read_bytes() == data
        os.utime(found, (time.time() - age,) * 2)
        return found

    old, used = copy(b"one", WEEK + 60), copy(b"22", WEEK - 60)
    assert not old.exists()
    killed.write_bytes(b"half")
    os.utime(killed, (0, 0))
    assert copy(b"22", WEEK + 60) == used  # no other version was fetched, and so none was removed
    assert local_copy(network) == used
    new = copy(b"333", 0)  # another process may be about to open the one before
    assert sorted(used.parent.iterdir()) == sorted([used, new])
