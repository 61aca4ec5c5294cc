from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from rssn.dataset.schema import BACKGROUNDS, picture
from rssn.dataset.shards import DatasetFolder, write_shard
from rssn.errors import InputError
from rssn.image.arrays import encode_png, to_uint8
from rssn.storage.files import write_json
from tests.bucket import Store
from tests.train.conftest import Scene
from train.batch import Batch
from train.config import TrainConfig
from train.data.loader import ShardDataset, StepSampler, batches
from train.data.order import START, Mixture, Place
from train.data.shards import open_set


def read(config: TrainConfig, place: Place = START) -> list[Batch]:
    return list(batches(ShardDataset(config), config, place))


def assert_equal(one: Batch, other: Batch) -> None:
    assert one.sample_ids == other.sample_ids
    for name in Batch._fields[:-1]:
        assert torch.equal(getattr(one, name), getattr(other, name)), name


def test_every_row_is_found_and_comes_once_an_epoch(config: TrainConfig) -> None:
    dataset = ShardDataset(config)
    assert len(dataset) == 4
    assert len({place.path for place in dataset.places}) == 2
    for batch in read(config):
        assert sorted(batch.sample_ids) == [f"scene{n}/0" for n in range(4)]


def test_order_changes_with_the_epoch_and_the_seed(config: TrainConfig) -> None:
    orders = [
        [index for keys in StepSampler(Mixture((50,), (), seed), replace(config, max_steps=25)) for _, index in keys]
        for seed in (0, 1)
    ]
    first, second = orders[0][:50], orders[0][50:]
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert orders[0] != orders[1]


def test_batches_run_on_across_the_end_of_an_epoch(config: TrainConfig) -> None:
    keys = list(StepSampler(Mixture((4,), (), 0), replace(config, batch_size=3, max_steps=4)))
    assert [len(each) for each in keys] == [3, 3, 3, 3]
    assert sorted(key for each in keys for key in each) == [(e, i) for e in range(3) for i in range(4)]


def test_a_later_start_gives_the_tail(config: TrainConfig) -> None:
    config = replace(config, batch_size=3)
    for whole, tail in zip(read(config)[2:], read(config, Place(2, 6)), strict=True):
        assert_equal(whole, tail)


@pytest.mark.slow
def test_loader_processes_change_nothing(config: TrainConfig) -> None:
    for here, elsewhere in zip(read(config), read(replace(config, workers=2)), strict=True):
        assert_equal(here, elsewhere)


def test_drawing_batches_leaves_the_networks_dice_alone(config: TrainConfig) -> None:
    """A resumed run starts the loader once more than an unbroken one did."""
    before = torch.get_rng_state()
    read(replace(config, max_steps=1))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_stops_a_whole_process_group_does_not_stop_the_loader(config: TrainConfig, number: signal.Signals) -> None:
    def strike() -> None:
        while not stopped.wait(0.01):
            for child in multiprocessing.active_children():
                os.kill(int(child.pid or 0), number)  # from its first moment on

    stopped = threading.Event()
    thread = threading.Thread(target=strike)
    thread.start()
    try:
        found = read(replace(config, workers=1, max_steps=2))
    finally:
        stopped.set()
        thread.join()
    assert [each.sample_ids for each in found] == [each.sample_ids for each in read(replace(config, max_steps=2))]


LEAVING = """
import pickle, sys
from train.data.loader import ShardDataset, batches
if __name__ == "__main__":
    config = pickle.loads(bytes.fromhex(sys.argv[1]))
    kept = batches(ShardDataset(config), config)
    sys.modules["kept"] = kept
    next(kept)
"""


@pytest.mark.slow
def test_a_process_that_ends_while_its_loader_works_does_not_wait_for_it(config: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "leaving.py").write_text(LEAVING)
    words = [
        sys.executable,
        str(tmp_path / "leaving.py"),
        pickle.dumps(replace(config, workers=1, max_steps=900)).hex(),
    ]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    ended = subprocess.run(words, env=environment, timeout=120, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_crop_differs_between_epochs(config: TrainConfig) -> None:
    dataset = ShardDataset(config)
    assert not torch.equal(dataset[0, 0].image, dataset[1, 0].image)
    assert torch.equal(dataset[1, 0].image, dataset[1, 0].image)


def test_ranks_share_the_batches_of_one_process(config: TrainConfig) -> None:
    dataset = ShardDataset(config)
    pairs = replace(config, batch_size=2, world_size=2)
    halves = [list(batches(dataset, pairs, START, rank)) for rank in (0, 1)]
    for whole, one, other in zip(read(config), *halves, strict=True):
        assert whole.sample_ids == one.sample_ids + other.sample_ids
        assert torch.equal(whole.image, torch.cat([one.image, other.image]))


def test_a_bucket_gives_them_too_and_a_url_with_a_secret_is_refused(
    config: TrainConfig, s3: Store, bucket: str
) -> None:
    root = Path(config.data[0])
    for path in root.rglob("*.*"):
        s3.put(f"{bucket}/shards/{path.relative_to(root).as_posix()}", path.read_bytes())
    for here, there in zip(read(config), read(replace(config, data=(f"{bucket}/shards",))), strict=True):
        assert_equal(here, there)
    with pytest.raises(InputError, match=f"--data {bucket}/absent: no data set here"):
        ShardDataset(replace(config, data=(f"{bucket}/absent",)))
    with pytest.raises(InputError, match="--data nothing://a: unknown storage"):
        ShardDataset(replace(config, data=("nothing://a",)))
    with pytest.raises(InputError, match="no user, key or signature belongs in a URL") as error:
        ShardDataset(replace(config, data=("s3://me:hush@bucket/shards",)))
    assert "hush" not in str(error.value)


def test_several_sets_are_mixed_by_their_shares(
    config: TrainConfig, scenes: list[Any], store: Callable[..., Path], tmp_path: Path
) -> None:
    other = [replace(scene, name=f"other{number}") for number, scene in enumerate(scenes[:2])]
    both = replace(config, data=(*config.data, str(store(tmp_path, other))), max_steps=12)
    plain = [name for batch in read(both) for name in batch.sample_ids]
    assert sum(name.startswith("other") for name in plain) == 12 * 4 / 3
    mixed = [name for batch in read(replace(both, mixture=(1.0, 2.0))) for name in batch.sample_ids]
    assert sum(name.startswith("other") for name in mixed) == 12 * 4 * 2 / 3
    assert ShardDataset(both).digest != ShardDataset(config).digest


def test_without_composition_loss_neither_layer_is_needed(config: TrainConfig, tmp_path: Path) -> None:
    root = tmp_path / "shards"
    shutil.copytree(config.data[0], root)
    for path in (root / "data").iterdir():
        table = pq.read_table(path).drop_columns(["foreground", "background"])
        pq.write_table(table, path, compression="none")
        mark = root / "marks" / f"{path.stem}.json"
        write_json(mark, {**json.loads(mark.read_text()), "bytes": path.stat().st_size})
    config = replace(config, data=(str(root),))
    with pytest.raises(InputError, match="no column background, foreground"):
        ShardDataset(config)
    batch = read(replace(config, losses={"composition": 0.0}))[0]
    assert (batch.foreground.numel(), batch.background.numel()) == (0, 0)
    assert batch.image.shape == (4, 3, 64, 64)


def test_a_missing_folder_and_a_folder_without_manifest_are_refused(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent: no data set here \(manifest.json is missing\)"):
        ShardDataset(replace(config, data=(str(tmp_path / "absent"),)))
    with pytest.raises(InputError, match=r"no data set here \(manifest\.json is missing\)"):
        ShardDataset(replace(config, data=(str(tmp_path),)))


def test_only_marked_shards_count(
    config: TrainConfig, scenes: list[Any], store: Callable[..., Path], tmp_path: Path
) -> None:
    folder = DatasetFolder(store(tmp_path / "shards", scenes))
    config = replace(config, data=(str(folder.root),))
    first, second = folder.marks()
    folder.mark(first.name).unlink()
    assert len(ShardDataset(config)) == 2
    assert {place.path for place in ShardDataset(config).places} == {folder.data(second.name)}
    folder.mark(second.name).unlink()
    with pytest.raises(InputError, match="no finished shard"):
        ShardDataset(config)


def test_a_shard_that_differs_from_its_mark_is_refused(
    config: TrainConfig, scenes: list[Any], store: Callable[..., Path], tmp_path: Path
) -> None:
    folder = DatasetFolder(store(tmp_path / "shards", scenes))
    config = replace(config, data=(str(folder.root),))
    mark = folder.marks()[0]
    path = folder.data(mark.name)
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    with pytest.raises(InputError, match="cannot be read: run `rssn compose` again"):
        ShardDataset(config)
    path.write_bytes(content)
    write_json(folder.mark(mark.name), {**json.loads(folder.mark(mark.name).read_text()), "rows": 9})
    with pytest.raises(InputError, match=r"2 rows, its mark says [0-9]+ and 9"):
        ShardDataset(config)


def test_backgrounds_are_no_training_set(config: TrainConfig, tmp_path: Path) -> None:
    folder = DatasetFolder(tmp_path)
    row = {"background_id": "b", "image": picture(encode_png(np.zeros((4, 4, 3), np.uint8)), "b.png")}
    write_shard(folder, "backgrounds-00000-of-00001", BACKGROUNDS, [row], [])
    write_json(folder.manifest_path, {"plan": {"kind": "composites"}})
    with pytest.raises(InputError, match="no column alpha, background, foreground, sample_id"):
        ShardDataset(replace(config, data=(str(tmp_path),)))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_picture_is_named_in_one_line(
    config: TrainConfig, scenes: list[Any], store: Callable[..., Path], tmp_path: Path, workers: int
) -> None:
    broken = replace(scenes[0], alpha=to_uint8(np.zeros((8, 8), np.float32)))
    data = (str(store(tmp_path / "shards", [broken, *scenes[1:]])),)
    config = replace(config, data=data, workers=workers)
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
    digests = [ShardDataset(replace(config, data=(str(root),))).digest for root in (config.data[0], same, other)]
    assert digests[0] == digests[1] != digests[2]


def test_groups_are_not_kept_for_ever_nor_rows_that_were_taken(
    config: TrainConfig, scenes: list[Any], store: Callable[..., Path], tmp_path: Path
) -> None:
    many = [replace(scenes[0], name=f"copy{n}") for n in range(24)]
    dataset = ShardDataset(replace(config, data=(str(store(tmp_path, many)),)))  # twelve groups of two
    assert dataset._open_groups == 12
    assert [dataset[0, n].sample_id for n in (*range(12), 3)] == [*(f"copy{n}/0" for n in range(12)), "copy3/0"]
    assert [[*rows] for rows in dataset._groups.values()] == [[0]]
    dataset._open_groups = 3
    for n in range(12, 24, 2):
        assert dataset[0, n].sample_id == f"copy{n}/0"
    assert [[*rows] for rows in dataset._groups.values()] == [[1]] * 3


def noise(number: int) -> Scene:
    rng = np.random.default_rng(number)
    image, foreground, background = rng.integers(0, 256, (3, 192, 192, 3), dtype=np.uint8)
    return Scene(f"n{number}", image, rng.integers(0, 256, (192, 192), dtype=np.uint8), foreground, background)


@pytest.fixture
def stored(
    s3: Store, bucket: str, store: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, int]:
    """The URL of 96 rows of 0.4 MB, in groups of four and shards of 24; and the bytes of all their pictures."""
    scenes = [noise(number) for number in range(96)]
    monkeypatch.setattr("rssn.storage.files.ROW_GROUP_ROWS", 4)
    folder = DatasetFolder(store(tmp_path / "shards", scenes, per_shard=24))
    files = [
        folder.manifest_path,
        *(path for mark in folder.marks() for path in (folder.data(mark.name), folder.mark(mark.name))),
    ]
    for path in files:
        s3.put(f"{bucket}/shards/{path.relative_to(folder.root).as_posix()}", path.read_bytes())
    assert pq.read_metadata(files[1]).row_group(0).num_rows == 4
    rows = pq.read_table(files[1:][0].parent).to_pylist()
    names = ("image", "alpha", "foreground", "background")
    return f"{bucket}/shards", sum(len(row[name]["bytes"]) for row in rows for name in names)


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "ranks"), [(0, 1), (2, 1), (0, 2)])
def test_a_bucket_sends_little_more_than_what_the_samples_have(
    config: TrainConfig, s3: Store, stored: tuple[str, int], workers: int, ranks: int
) -> None:
    """Counted at the server, footers included; four times as much came when each sample fetched a group of four."""
    url, has = stored
    config = replace(config, data=(url,), batch_size=2 // ranks, world_size=ranks, max_steps=48, workers=workers)
    names: list[str] = []
    for rank in range(ranks):
        dataset = ShardDataset(config)
        s3.sent.clear()
        for batch in batches(dataset, config, rank=rank):
            names += batch.sample_ids
        assert 1.0 < s3.sent.total() / (has / ranks) < 1.3
    assert sorted(names) == sorted(f"n{number}/0" for number in range(96))


def test_a_damaged_manifest_names_a_remedy_that_works(shards: Path, tmp_path: Path) -> None:
    """`rssn compose` does not go on in a folder of which nobody knows what was made there."""
    shutil.copytree(shards, tmp_path / "set")
    (tmp_path / "set" / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"manifest.json: .*; restore a copy of it, or choose another --out$"):
        open_set(str(tmp_path / "set"), ("sample_id",))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_a_shard_that_is_removed_under_way_is_named(config: TrainConfig, tmp_path: Path, workers: int) -> None:
    shutil.copytree(config.data[0], tmp_path / "shards")
    dataset = ShardDataset(replace(config, data=(str(tmp_path / "shards"),)))
    shutil.rmtree(tmp_path / "shards")
    with pytest.raises(InputError, match=r"^[^\n]*\.parquet: row group 0, row \d: [^\n]*No such file[^\n]*$"):
        next(batches(dataset, replace(config, workers=workers)))


class After:
    """A stop that comes after so many looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    @property
    def received(self) -> signal.Signals | None:
        self.looks -= 1
        return signal.SIGTERM if self.looks < 0 else None


def test_a_stop_is_heard_within_a_batch(config: TrainConfig) -> None:
    looks = After(3)
    assert list(batches(ShardDataset(config), replace(config, batch_size=1000), stop=looks)) == []
    assert looks.looks == -1
