from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from rssn.errors import InputError
from rssn.images import encode_png, to_uint8
from rssn.schema import BACKGROUNDS, picture
from rssn.shards import DatasetFolder, write_json, write_shard
from train.batch import Batch
from train.config import TrainConfig
from train.data import StepSampler, batches, open_dataset


def read(config: TrainConfig, start: int = 0) -> list[Batch]:
    return list(batches(open_dataset(config), config, start))


def assert_equal(one: Batch, other: Batch) -> None:
    assert one.sample_ids == other.sample_ids
    for name in Batch._fields[:-1]:
        assert torch.equal(getattr(one, name), getattr(other, name)), name


def test_every_row_is_found_and_comes_once_an_epoch(config: TrainConfig) -> None:
    dataset = open_dataset(config)
    assert len(dataset) == 4
    assert len({place.path for place in dataset.locations}) == 2
    for batch in read(config):
        assert sorted(batch.sample_ids) == [f"scene{n}/0" for n in range(4)]


def test_order_changes_with_the_epoch_and_the_seed(config: TrainConfig) -> None:
    orders = [[index for keys in StepSampler(50, replace(config, seed=seed, max_steps=25), 0) for _, index in keys]
              for seed in (0, 1)]  # fmt: skip
    first, second = orders[0][:50], orders[0][50:]
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert orders[0] != orders[1]


def test_batches_run_on_across_the_end_of_an_epoch(config: TrainConfig) -> None:
    keys = list(StepSampler(4, replace(config, batch_size=3, max_steps=4), 0))
    assert [len(each) for each in keys] == [3, 3, 3, 3]
    assert sorted(key for each in keys for key in each) == [(e, i) for e in range(3) for i in range(4)]


def test_a_later_start_gives_the_tail(config: TrainConfig) -> None:
    config = replace(config, batch_size=3)
    for whole, tail in zip(read(config)[2:], read(config, start=2), strict=True):
        assert_equal(whole, tail)


def test_loader_processes_change_nothing(config: TrainConfig) -> None:
    for here, elsewhere in zip(read(config), read(replace(config, workers=2)), strict=True):
        assert_equal(here, elsewhere)


def test_a_crop_differs_between_epochs(config: TrainConfig) -> None:
    dataset = open_dataset(config)
    assert not torch.equal(dataset[0, 0].image, dataset[1, 0].image)
    assert torch.equal(dataset[1, 0].image, dataset[1, 0].image)


def test_a_missing_folder_and_a_folder_without_manifest_are_refused(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder; `rssn compose` makes one"):
        open_dataset(replace(config, data=tmp_path / "absent"))
    with pytest.raises(InputError, match=r"no manifest\.json"):
        open_dataset(replace(config, data=tmp_path))


def test_only_marked_shards_count(
    config: TrainConfig, scenes: list[Any], store: Callable[..., Path], tmp_path: Path
) -> None:
    folder = DatasetFolder(store(tmp_path / "shards", scenes))
    config = replace(config, data=folder.root)
    first, second = folder.marks()
    folder.mark(first.name).unlink()
    assert len(open_dataset(config)) == 2
    assert {place.path for place in open_dataset(config).locations} == {folder.data(second.name)}
    folder.mark(second.name).unlink()
    with pytest.raises(InputError, match="no finished shard"):
        open_dataset(config)


def test_a_shard_that_differs_from_its_mark_is_refused(
    config: TrainConfig, scenes: list[Any], store: Callable[..., Path], tmp_path: Path
) -> None:
    folder = DatasetFolder(store(tmp_path / "shards", scenes))
    config = replace(config, data=folder.root)
    mark = folder.marks()[0]
    path = folder.data(mark.name)
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    with pytest.raises(InputError, match="cannot be read: run `rssn compose` again"):
        open_dataset(config)
    path.write_bytes(content)
    write_json(folder.mark(mark.name), {**json.loads(folder.mark(mark.name).read_text()), "rows": 9})
    with pytest.raises(InputError, match=r"2 rows, its mark says [0-9]+ and 9"):
        open_dataset(config)


def test_backgrounds_are_no_training_set(config: TrainConfig, tmp_path: Path) -> None:
    folder = DatasetFolder(tmp_path)
    row = {"background_id": "b", "image": picture(encode_png(np.zeros((4, 4, 3), np.uint8)), "b.png")}
    write_shard(folder, "backgrounds-00000-of-00001", BACKGROUNDS, [row], [])
    write_json(folder.manifest, {})
    with pytest.raises(InputError, match="no column alpha, background, foreground, sample_id"):
        open_dataset(replace(config, data=tmp_path))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_picture_is_named_in_one_line(
    config: TrainConfig, scenes: list[Any], store: Callable[..., Path], tmp_path: Path, workers: int
) -> None:
    broken = replace(scenes[0], alpha=to_uint8(np.zeros((8, 8), np.float32)))
    config = replace(config, data=store(tmp_path / "shards", [broken, *scenes[1:]]), workers=workers)
    with pytest.raises(InputError) as caught:
        read(config)
    message = str(caught.value)
    assert "\n" not in message
    assert "composites-00000-of-00002.parquet: row group 0, row 0: image is (96, 96), alpha (8, 8)" in message


def test_the_digest_names_the_content(
    config: TrainConfig, scenes: list[Any], store: Callable[..., Path], tmp_path: Path
) -> None:
    same = store(tmp_path / "same", scenes)
    other = store(tmp_path / "other", scenes[::-1])
    digests = [open_dataset(replace(config, data=root)).digest for root in (config.data, same, other)]
    assert digests[0] == digests[1] != digests[2]


def test_large_groups_are_not_kept_for_ever(
    config: TrainConfig, scenes: list[Any], store: Callable[..., Path], tmp_path: Path
) -> None:
    many = [replace(scenes[0], name=f"copy{n}") for n in range(12)]
    dataset = open_dataset(replace(config, data=store(tmp_path, many, per_shard=1)))
    assert [dataset[0, n].sample_id for n in (*range(12), 3)] == [*(f"copy{n}/0" for n in range(12)), "copy3/0"]
    assert len(dataset._groups) == 8
    assert all(isinstance(group, pa.Table) for group in dataset._groups.values())
