"""What is kept between epochs changes no sample, takes no more than it may, and spares reading and decoding."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rssn.errors import InputError
from tests.train.conftest import Scene
from train.batch import Batch
from train.config import TrainConfig
from train.data.loader import ShardDataset, batches
from train.data.memo import FORGETFUL, KnownRows, Memo, Room


def read(config: TrainConfig) -> list[Batch]:
    return list(batches(ShardDataset(config), config))


@pytest.fixture
def many(config: TrainConfig, scenes: list[Scene], store: Callable[..., Path], tmp_path: Path) -> TrainConfig:
    """Four epochs of 24 rows of 0.15 MB, a third of a MB of pictures each when they are decoded."""
    rows = [replace(scenes[n % 4], name=f"copy{n}") for n in range(24)]
    return replace(config, data=(str(store(tmp_path / "many", rows)),), max_steps=24)


@pytest.mark.parametrize(("kept", "workers"), [(1, 0), (100, 0), pytest.param(2, 2, marks=pytest.mark.slow)])
def test_batches_are_the_same(many: TrainConfig, kept: int, workers: int) -> None:
    for one, other in zip(read(many), read(replace(many, keep_decoded=kept, workers=workers)), strict=True):
        assert one.sample_ids == other.sample_ids
        for name in Batch._fields[:-1]:
            assert torch.equal(getattr(one, name), getattr(other, name)), name


def test_what_is_kept_is_counted_and_bounded(many: TrainConfig) -> None:
    dataset = ShardDataset(replace(many, keep_decoded=1))
    for visit in range(2):
        for index in range(24):
            _ = dataset[visit, index]
    rows = [row for row in map(dataset._known._rows.get, range(24)) if row]
    taken = sum(len(each["bytes"]) for known in rows for each in known.row.values() if isinstance(each, Mapping))
    taken += sum(array.nbytes for known in rows for array in known.memo._arrays.values())
    assert 0 < len(rows) < 24
    assert 900_000 < taken == dataset._known._room.used <= 10**6


def test_rows_that_are_kept_are_not_read_again(config: TrainConfig, shards: Path, tmp_path: Path) -> None:
    here = tmp_path / "shards"
    for kept in (0, 100):
        shutil.copytree(shards, here)
        dataset = ShardDataset(replace(config, data=(str(here),), keep_decoded=kept))
        first = [dataset[0, index] for index in range(4)]
        shutil.rmtree(here)
        if kept:
            again = [dataset[0, index] for index in range(4)]
            assert all(torch.equal(one.image, other.image) for one, other in zip(first, again, strict=True))
        else:
            with pytest.raises(InputError, match="No such file"):
                _ = dataset[0, 0]


def test_pictures_that_are_kept_are_not_decoded_again(config: TrainConfig) -> None:
    dataset = ShardDataset(replace(config, keep_decoded=100))
    before = dataset[0, 2]
    for each in dataset._known._rows[2].row.values():
        if isinstance(each, dict):
            each["bytes"] = each["bytes"][:200]
    assert torch.equal(dataset[0, 2].background, before.background)
    dataset._known._rows[2].memo._arrays.clear()
    with pytest.raises(InputError, match="truncated"):
        _ = dataset[0, 2]


def test_stages_share_what_is_kept(config: TrainConfig) -> None:
    dataset = ShardDataset(config)
    assert dataset.seeing(whole=True, context=True)._known is dataset._known


def test_what_came_first_stays() -> None:
    room = Room(100)
    memo = Memo(room)
    first = memo.of("a", lambda: np.zeros(60, np.uint8))
    second = memo.of("b", lambda: np.zeros(50, np.uint8))
    third = memo.of("c", lambda: np.zeros(40, np.uint8))
    makes: Callable[[], Any] = lambda: np.ones(1, np.uint8)  # noqa: E731
    assert memo.of("a", makes) is first
    assert memo.of("c", makes) is third
    assert memo.of("b", makes) is not second
    assert room.used == 100
    for size in (0, 1):  # nothing needs no room, and yet belongs to one row alone
        assert FORGETFUL.of("a", lambda size=size: np.zeros(size, np.uint8)).size == size


def test_a_row_is_kept_with_the_bytes_of_its_pictures() -> None:
    rows = KnownRows(10)
    row = {"sample_id": "a", "image": {"bytes": b"12345678"}}
    assert rows.find(3, lambda: row).row is row
    assert rows.find(4, lambda: row).memo is FORGETFUL
    assert (3 in rows, 4 in rows) == (True, False)
