from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from rssn.dataset.dataset import open_dataset
from rssn.dataset.schema import REJECTS
from rssn.dataset.shards import DatasetFolder
from rssn.dataset.verify import verify
from rssn.storage.files import write_json, write_parquet

Maker = Callable[..., Path]
_REJECT = {"item_id": "x", "source": "x", "stage": "s", "reason": "r", "message": "m"}


def test_a_whole_data_set_is_trusted(fake_composites: Maker) -> None:
    folder = DatasetFolder(fake_composites(shards=3))
    write_parquet(folder.rejects_path("plan"), REJECTS, [_REJECT])
    found = verify(folder)
    assert [mark.name for mark in found.trusted] == [f"composites-0000{n}-of-00003" for n in range(3)]
    assert found.problems == []
    assert found.rejects == [folder.rejects_path("plan")]


def test_damaged_missing_and_unmarked_shards_are_told_apart(fake_composites: Maker) -> None:
    folder = DatasetFolder(fake_composites(foregrounds=8, shards=4))
    damaged = folder.data("composites-00001-of-00004")
    damaged.write_bytes(damaged.read_bytes() + b"x")
    folder.mark("composites-00002-of-00004").unlink()
    found = verify(folder)
    assert [mark.name for mark in found.trusted] == ["composites-00000-of-00004", "composites-00003-of-00004"]
    (words,) = found.damaged
    assert words.startswith("composites-00001-of-00004.parquet: ")
    assert found.missing == [
        "composites-00002-of-00004: not made yet",
        "composites-00002-of-00004.parquet: has no mark; it does not count",
    ]


def test_rejects_of_a_damaged_shard_do_not_count(fake_composites: Maker) -> None:
    folder = DatasetFolder(fake_composites())
    damaged = folder.data("composites-00001-of-00002")
    damaged.write_bytes(damaged.read_bytes() + b"x")
    write_parquet(folder.rejects_path("composites-00001-of-00002"), REJECTS, [_REJECT])
    (folder.rejects_path("plan")).write_bytes(b"nothing")
    found = verify(folder)
    assert found.rejects == []
    assert found.damaged[-1].startswith(f"{folder.rejects_path('plan')}: damaged, no longer what was written (")


def test_a_batch_that_is_gone_whole_is_missed_by_the_manifest(fake_composites: Maker) -> None:
    data = open_dataset(fake_composites(foregrounds=4, shards=2))
    assert data.verify() == []
    for path in (data.data, data.mark):
        path("composites-00001-of-00002").unlink()
    data.data("composites-00000-of-00002").rename(data.data("composites-00000-of-00001"))
    facts = json.loads(data.mark("composites-00000-of-00002").read_text())
    data.mark("composites-00000-of-00002").unlink()
    write_json(data.mark("composites-00000-of-00001"), facts | {"name": "composites-00000-of-00001"})
    assert data.verify() == [f"{data.manifest_path}: its marks vouch for 4 rows, its manifest counts 8"]
