"""The set that `--against` names: ids and hashes of its photographs, which a new crawl must not bring again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from bg20k.decide import NOTHING_KNOWN, KnownSet
from bg20k.schema import PUBLISHED
from rssn.dataset.manifest import read_manifest
from rssn.dataset.rows import own_parquet
from rssn.dataset.shards import DatasetFolder, check_shard
from rssn.errors import InputError
from rssn.storage.files import list_digest
from rssn.storage.location import Location

_COLUMNS = ("background_id", "phash", "low_texture")


def load_known(root: Location | None) -> KnownSet:
    """Ids and hashes of a finished `build-bg20k` output, both splits; empty where there is no such set.

    Raises:
        InputError: If it is no such set, is not finished, or is damaged.
    """
    if root is None:
        return NOTHING_KNOWN
    folder = DatasetFolder(root)
    manifest = read_manifest(root)
    if manifest.kind != "backgrounds":
        raise InputError(f"--against {root}: a data set of {manifest.kind}, not of backgrounds")
    if not manifest.finished:
        raise InputError(
            f"--against {root}: its curation was interrupted; run the same rssn build-bg20k again to finish it"
        )
    tables = [pa.table({name: pa.array([], PUBLISHED.field(name).type) for name in _COLUMNS})]
    for mark in folder.all_marks():
        problem = check_shard(folder, mark)
        if problem:
            raise InputError(f"--against {root}: {problem}; run its rssn build-bg20k again, it repairs what is damaged")
        if mark.rows:
            tables.append(_columns(folder.data(mark.name)))
    table = pa.concat_tables(tables)
    return KnownSet(
        ids=np.array([name.encode() for name in table["background_id"].to_pylist()], dtype=np.bytes_),
        phashes=table["phash"].to_numpy(),
        low_texture=table["low_texture"].to_numpy(),
    )


def known_facts(known: KnownSet) -> Mapping[str, Any] | None:
    """The entry of an existing set in the manifest."""
    if not len(known.ids):
        return None
    return {"count": len(known.ids), "digest": list_digest(sorted(name.decode() for name in known.ids.tolist()))}


def _columns(path: Location) -> pa.Table:
    with own_parquet(path) as file:
        if not set(_COLUMNS) <= set(file.schema_arrow.names):
            raise InputError(f"--against: {path}: made by an older version; curate that set again")
        return file.read(columns=list(_COLUMNS)).cast(pa.schema([PUBLISHED.field(name) for name in _COLUMNS]))
