from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rssn.dataset.manifest import (
    Manifest,
    NoDatasetError,
    full_plan,
    holds_dataset,
    is_removed,
    parse_manifest,
    plan_digest,
    read_manifest,
    stored_manifest,
    write_manifest,
    write_removed,
)
from rssn.dataset.schema import SCHEMA_VERSION
from rssn.errors import DamagedError, InputError

GROWN = {
    "seed": 0,
    "foregrounds": {
        "count": 3,
        "digest": "c",
        "batches": [{"count": 2, "digest": "a"}, {"count": 1, "digest": "b"}],
    },
}


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"foregrounds": {"count": 2, "digest": "a", "batches": [{"count": 2, "digest": "a"}]}}, True),
        ({"foregrounds": {"count": 2, "digest": "x", "batches": [{"count": 2, "digest": "x"}]}}, False),
        ({"seed": 1}, False),
        ({"backgrounds": {"count": 1, "digest": "b"}}, False),
        ({"made_by": {"numpy": "0"}}, False),
    ],
)
def test_a_plan_that_grows_stays_the_same(change: dict[str, Any], same: bool) -> None:
    assert (plan_digest(GROWN | change) == plan_digest(GROWN)) == same


def _manifest(**changes: Any) -> Manifest:
    plan = full_plan("composites", {"seed": 3} | changes)
    return Manifest(plan, plan_digest(plan), {"matting": "/here"}, "rssn compose", {"python": "3"})


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_manifest(tmp_path, _manifest())
    assert read_manifest(tmp_path) == _manifest()
    assert (read_manifest(tmp_path).kind, read_manifest(tmp_path).finished) == ("composites", False)
    assert "totals" not in json.loads((tmp_path / "manifest.json").read_text())


def test_a_folder_without_a_data_set_has_none(tmp_path: Path) -> None:
    assert (stored_manifest(tmp_path), holds_dataset(tmp_path), is_removed(tmp_path)) == (None, False, False)
    write_removed(tmp_path)
    assert (stored_manifest(tmp_path), holds_dataset(tmp_path), is_removed(tmp_path)) == (None, False, True)
    with pytest.raises(NoDatasetError, match="was removed by --overwrite; run that command again"):
        read_manifest(tmp_path)


def test_another_version_is_there_and_is_not_read(tmp_path: Path) -> None:
    write_manifest(tmp_path, _manifest(schema_version=SCHEMA_VERSION - 1))
    assert holds_dataset(tmp_path)
    with pytest.raises(InputError, match=f"its columns are of version {SCHEMA_VERSION - 1}, ours of {SCHEMA_VERSION}"):
        stored_manifest(tmp_path)


def test_an_edited_plan_is_named(tmp_path: Path) -> None:
    write_manifest(tmp_path, _manifest())
    facts = json.loads((tmp_path / "manifest.json").read_text())
    facts["plan"]["seed"] = 4
    (tmp_path / "manifest.json").write_text(json.dumps(facts))
    with pytest.raises(DamagedError, match="its plan is not the one that the marks name; restore a copy of it"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("part", ["sources", "versions"])
def test_a_manifest_that_lacks_a_part_is_damaged(tmp_path: Path, part: str) -> None:
    write_manifest(tmp_path, _manifest())
    facts = json.loads((tmp_path / "manifest.json").read_text())
    del facts[part]
    with pytest.raises(ValueError, match="missing or of another type"):
        parse_manifest(json.dumps(facts).encode())
