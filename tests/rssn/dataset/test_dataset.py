from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import rssn
from rssn.dataset.manifest import Manifest, plan_digest, write_manifest
from rssn.dataset.schema import BACKGROUNDS, COMPOSITES
from rssn.dataset.shards import DatasetFolder, shard_name, write_shard
from rssn.errors import DamagedError, InputError


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
    with pytest.raises(InputError, match="s3://a/b: open_dataset reads folders, no URLs; copy the data set first"):
        rssn.open_dataset("s3://a/b")
