"""Pairs are named by their content, the same wherever they lie."""

from __future__ import annotations

import gzip
from pathlib import Path
from threading import get_ident

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.compose.naming import name_foregrounds
from rssn.image.arrays import encode_png
from rssn.sources.layouts import find_pairs
from rssn.sources.picture_ref import PictureRef
from tests.bucket import Store
from tests.rssn.sources.packing import uploaded
from tests.rssn.sources.test_archives import write_tar


def noise(seed: int) -> bytes:
    return encode_png(np.random.default_rng(seed).integers(0, 256, (8, 12, 3), dtype=np.uint8))


def matte() -> bytes:
    return encode_png(np.eye(8, 12, dtype=np.uint8) * 250)


@pytest.mark.parametrize("name", ["a.tgz", "a.parquet"])
def test_pairs_in_one_file_of_a_bucket_are_read_in_their_order(
    name: str, tmp_path: Path, s3: Store, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs = [noise(number) for number in range(20)]
    pq.write_table(pa.table({"image": photographs, "alpha": [matte()] * 20}), tmp_path / "a.parquet")
    members = {f"original/{number:02}.png": one for number, one in enumerate(photographs)}
    plain = write_tar(tmp_path / "a.tar", members | {f"mask/{number:02}.png": matte() for number in range(20)})
    (tmp_path / "a.tgz").write_bytes(gzip.compress(plain.read_bytes(), 1))
    there = uploaded(s3, f"{bucket}", tmp_path) / name
    readers, read = set(), PictureRef.read

    def noted(ref: PictureRef) -> bytes:
        readers.add(get_ident())
        return read(ref)

    monkeypatch.setattr(PictureRef, "read", noted)
    named = [name_foregrounds(find_pairs(place).pairs, "levin") for place in (tmp_path / name, there)]
    assert readers == {get_ident()}
    assert [one.foreground_id for one in named[1][0]] == [one.foreground_id for one in named[0][0]]
    assert named[1][1] == []
