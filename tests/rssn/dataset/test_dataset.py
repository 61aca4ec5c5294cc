from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import rssn
from rssn.dataset.manifest import Manifest, plan_digest, write_manifest
from rssn.dataset.schema import BACKGROUNDS, COMPOSITES
from rssn.dataset.shards import DatasetFolder, shard_name, write_shard
from rssn.errors import DamagedError, InputError
from tests.bucket import Store


def reject(name: str) -> dict[str, Any]:
    return {"item_id": name, "source": f"{name}.jpg", "stage": "read", "reason": "truncated", "message": "cut"}


def write(root: Path, kind: str = "composites") -> Path:
    """Five rows in two shards, and one reject."""
    key, schema = ("background_id", BACKGROUNDS) if kind == "backgrounds" else ("sample_id", COMPOSITES)
    plan = {"kind": kind}
    folder = DatasetFolder(root, plan_digest(plan))
    for index, names in enumerate((("a/0", "a/1", "b/0"), ("b/1", "c/0"))):
        rows = [{key: name, "width": 10 * index + place} for place, name in enumerate(names)]
        write_shard(folder, shard_name(kind, index, 2), schema, rows, [reject("d")] if index else [])
    write_manifest(root, Manifest(plan, plan_digest(plan), totals={"rows": 5}))
    return root


def test_rows_come_in_order_with_the_columns_that_are_asked_for(tmp_path: Path) -> None:
    data = rssn.open_dataset(write(tmp_path))
    assert len(data) == 5
    assert data.manifest.kind == "composites"
    rows = list(data.rows(columns=["sample_id", "width"]))
    assert rows[0] == {"sample_id": "a/0", "width": 0}
    assert [row["sample_id"] for row in rows] == ["a/0", "a/1", "b/0", "b/1", "c/0"]
    assert set(next(data.rows())) == set(COMPOSITES.names)


@pytest.mark.parametrize(("kind", "key"), [("composites", "sample_id"), ("backgrounds", "background_id")])
def test_one_row_by_its_name(tmp_path: Path, kind: str, key: str) -> None:
    data = rssn.open_dataset(str(write(tmp_path, kind)))
    found = data.row("b/1")
    assert (data.key, found[key], found["width"]) == (key, "b/1", 10)
    with pytest.raises(InputError, match=f"no row with the {key} e/7$"):
        data.row("e/7")


def test_rejects_say_why(tmp_path: Path) -> None:
    assert [(row["item_id"], row["reason"]) for row in rssn.open_dataset(write(tmp_path)).rejects()] == [
        ("d", "truncated")
    ]


def test_verify_names_what_does_not_agree(tmp_path: Path) -> None:
    data = rssn.open_dataset(write(tmp_path))
    assert data.verify() == []
    path = tmp_path / "data" / "composites-00000-of-00002.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert data.verify() == [f"{path.name}: the content was altered after it was marked"]


def test_a_row_of_a_damaged_set_is_looked_for_in_the_other_shards(tmp_path: Path) -> None:
    path = write(tmp_path) / "data" / "composites-00000-of-00002.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    data = rssn.open_dataset(tmp_path)
    assert data.row("c/0")["sample_id"] == "c/0"
    with pytest.raises(
        InputError, match=r"no row with the sample_id a/0; these shards are damaged.*: composites-00000"
    ):
        data.row("a/0")


def test_a_lost_mark_is_no_smaller_set(tmp_path: Path) -> None:
    (write(tmp_path) / "marks" / "composites-00001-of-00002.json").unlink()
    with pytest.raises(DamagedError, match="its marks vouch for 3 rows, its manifest counts 5"):
        len(rssn.open_dataset(tmp_path))


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no data set here"):
        rssn.open_dataset(tmp_path)
    (tmp_path / "set").mkdir()
    write(tmp_path / "set")
    with pytest.raises(InputError, match="a data set of composites, not of backgrounds; give what rssn build-bg20k"):
        rssn.open_dataset(tmp_path / "set", "backgrounds")
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    (tmp_path / "set" / "manifest.json").write_text(json.dumps(manifest | {"totals": {}}))
    assert len(rssn.open_dataset(tmp_path / "set", "composites")) == 5
    with pytest.raises(InputError, match="its run was interrupted; run the same rssn compose again to finish it"):
        rssn.open_dataset(tmp_path / "set", finished=True)


def test_a_set_in_a_bucket_is_the_same_set(tmp_path: Path, s3: Store, bucket: str) -> None:
    write(tmp_path)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            s3.put(f"{bucket}/set/{path.relative_to(tmp_path).as_posix()}", path.read_bytes())
    here, there = rssn.open_dataset(tmp_path), rssn.open_dataset(f"{bucket}/set")
    assert there.manifest == here.manifest
    assert there.all_marks() == here.all_marks()
    assert list(there.rows()) == list(here.rows())
    assert there.row("c/0") == here.row("c/0")
    assert list(there.rejects()) == list(here.rejects())
    assert there.verify() == here.verify()
    s3.put(f"{bucket}/set/data/composites-00000-of-00002.parquet", b"other")
    size = here.all_marks()[0].bytes
    assert there.verify() == [f"composites-00000-of-00002.parquet: 5 bytes, its mark says {size}"]
    with pytest.raises(InputError, match=f"{bucket}/none: no data set here"):
        rssn.open_dataset(f"{bucket}/none")
