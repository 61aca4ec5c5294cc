"""The set that `--against` names: ids and hashes of its photographs, which a new crawl must not bring again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from bg20k.decide import NOTHING_KNOWN, KnownSet
from bg20k.lookalikes import unpacked
from bg20k.schema import PUBLISHED
from rssn.dataset.dataset import open_dataset
from rssn.dataset.rows import own_parquet
from rssn.errors import InputError
from rssn.storage.files import list_digest
from rssn.storage.location import Location

_COLUMNS = ("background_id", "phash", "low_texture", "prints")


def load_known(root: Location | None) -> KnownSet:
    """Ids and hashes of a finished `build-bg20k` output, both splits; empty where there is no such set.

    Raises:
        InputError: If it is no such set, is not finished, or is damaged.
    """
    if root is None:
        return NOTHING_KNOWN
    tables = [pa.table({name: pa.array([], PUBLISHED.field(name).type) for name in _COLUMNS})]
    try:
        data = open_dataset(root, "backgrounds", finished=True)
        tables += [_columns(data.data(mark.name)) for mark in data.checked_marks()]
    except InputError as error:
        raise InputError(f"--against {error}") from error
    table = pa.concat_tables(tables)
    return KnownSet(
        ids=np.array([name.encode() for name in table["background_id"].to_pylist()], dtype=np.bytes_),
        phashes=table["phash"].to_numpy(),
        low_texture=table["low_texture"].to_numpy(),
        prints=unpacked(b"".join(table["prints"].to_pylist())),
    )


def known_facts(known: KnownSet) -> Mapping[str, Any] | None:
    """The entry of an existing set in the manifest."""
    if not len(known.ids):
        return None
    return {"count": len(known.ids), "digest": list_digest(sorted(name.decode() for name in known.ids.tolist()))}


def _columns(path: Location) -> pa.Table:
    with own_parquet(path) as file:
        if not set(_COLUMNS) <= set(file.schema_arrow.names):
            raise InputError(f"{path}: made by an older version; curate that set again")
        return file.read(columns=list(_COLUMNS)).cast(pa.schema([PUBLISHED.field(name) for name in _COLUMNS]))
