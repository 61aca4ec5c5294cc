"""The loader: shards on disk in, batches out, the same ones for the same (seed, step).

A map-style dataset over Parquet row groups. The order of an epoch comes from (seed, epoch), a sample's crop from
(seed, epoch, index); nothing depends on the number of loader processes, and a resumed run needs no loader state.
"""

from __future__ import annotations

import signal
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from torch.utils.data import DataLoader, Dataset, Sampler

from rssn.errors import InputError, Rejected
from rssn.shards import DatasetFolder, Mark, content_id
from train.batch import Batch, Sample, collate
from train.config import TrainConfig
from train.crops import Augmentation, make_sample

Key: TypeAlias = tuple[int, int]
"""Epoch and index: together with the seed they name one crop of one row."""

_PICTURES = ("image", "alpha", "foreground", "background")
_COLUMNS = ["sample_id", *(f"{name}.bytes" for name in _PICTURES)]
_CACHED_GROUPS = 8


@dataclass(frozen=True)
class Location:
    """Where a row is stored."""

    path: Path
    group: int
    row: int


class ShardDataset(Dataset[Sample]):
    """Every row of every marked shard.

    Args:
        root: A folder that `rssn compose` made.
        augmentation: How crops are cut.
        seed: Of all randomness.

    Raises:
        InputError: If the folder is no finished data set of composites.
    """

    def __init__(self, root: Path, augmentation: Augmentation, seed: int) -> None:
        folder = DatasetFolder(root)
        marks = [mark for mark in _marks(folder) if mark.rows]
        self.locations = [place for mark in marks for place in _locations(folder, mark)]
        if not self.locations:
            raise InputError(f"--data {root}: its shards hold no rows")
        self.digest = content_id(*(mark.sha256.encode() for mark in marks))
        self._augmentation = augmentation
        self._seed = seed
        self._groups: OrderedDict[tuple[Path, int], pa.Table] = OrderedDict()

    def __len__(self) -> int:
        return len(self.locations)

    def __getitem__(self, key: Key) -> Sample:
        epoch, index = key
        place = self.locations[index]
        # index + 1: numpy pads seeds with zeros, so [seed, epoch, 0] would be the dice of the epoch's order
        rng = np.random.default_rng([self._seed, epoch, index + 1])
        try:
            return make_sample(self._row(place), self._augmentation, rng)
        except (Rejected, InputError) as error:
            where = f"{place.path}: row group {place.group}, row {place.row}"
            raise InputError(f"{where}: {error}; `rssn inspect` finds what else is damaged") from error

    def _row(self, place: Location) -> dict[str, Any]:
        key = (place.path, place.group)
        if key not in self._groups:
            with pq.ParquetFile(place.path) as file:
                self._groups[key] = file.read_row_group(place.group, columns=_COLUMNS)
            if len(self._groups) > _CACHED_GROUPS:
                self._groups.popitem(last=False)
        self._groups.move_to_end(key)
        row: dict[str, Any] = self._groups[key].slice(place.row, 1).to_pylist()[0]
        return row


class StepSampler(Sampler[list[Key]]):
    """The keys of each step's batch, from step `start` to `stop`; batches run on across the end of an epoch."""

    def __init__(self, length: int, config: TrainConfig, start: int) -> None:
        self._length = length
        self._seed = config.seed
        self._batch = config.batch_size
        self._steps = range(start, config.max_steps)

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[list[Key]]:
        epoch, order = -1, np.empty(0, dtype=np.int64)
        for step in self._steps:
            keys: list[Key] = []
            for position in range(step * self._batch, (step + 1) * self._batch):
                if position // self._length != epoch:
                    epoch = position // self._length
                    order = np.random.default_rng([self._seed, epoch]).permutation(self._length)
                keys.append((epoch, int(order[position % self._length])))
            yield keys


def open_dataset(config: TrainConfig) -> ShardDataset:
    """The dataset of a run; see `ShardDataset`."""
    augmentation = Augmentation(config.rosta, config.crop_sizes, config.input_size)
    return ShardDataset(config.data, augmentation, config.seed)


def batches(dataset: ShardDataset, config: TrainConfig, start: int) -> Iterator[Batch]:
    """The batches of the steps `start` to `config.max_steps`.

    Raises:
        InputError: If a row cannot be read; one line, also when another process met it.
    """
    loader = DataLoader(
        dataset,
        batch_sampler=StepSampler(len(dataset), config, start),
        num_workers=config.workers,
        collate_fn=collate,
        worker_init_fn=_start_worker,
        # a forked process inherits OpenCV's and torch's pools without their threads, and waits for them for ever
        multiprocessing_context="spawn" if config.workers else None,
    )
    try:
        yield from loader
    except InputError as error:
        raise InputError(str(error).rpartition("InputError: ")[2].strip()) from error


def _start_worker(_: int) -> None:
    """One thread per process; Ctrl-C reaches the whole process group, and the trainer alone answers it."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _marks(folder: DatasetFolder) -> list[Mark]:
    if not folder.root.is_dir():
        raise InputError(f"--data {folder.root}: no such folder; `rssn compose` makes one")
    if not folder.manifest.is_file():
        raise InputError(f"--data {folder.root}: no manifest.json; give the folder that `rssn compose` wrote")
    marks = folder.marks()
    if not marks:
        raise InputError(f"--data {folder.root}: no finished shard (marks/ is empty); run `rssn compose` again")
    return marks


def _locations(folder: DatasetFolder, mark: Mark) -> list[Location]:
    """The rows of a shard, from its footer, if size, row count and columns are what its mark and the contract say."""
    path = folder.data(mark.name)
    again = "run `rssn compose` again, it repairs what is damaged"
    try:
        size, footer = path.stat().st_size, pq.read_metadata(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: its mark says it is finished, but it cannot be read: {again}") from error
    if size != mark.bytes or footer.num_rows != mark.rows:
        found = f"{size} bytes and {footer.num_rows} rows, its mark says {mark.bytes} and {mark.rows}"
        raise InputError(f"{path}: {found}; {again}")
    missing = {"sample_id", *_PICTURES} - set(footer.schema.to_arrow_schema().names)
    if missing:
        raise InputError(f"{path}: no column {', '.join(sorted(missing))}; training needs composites, not backgrounds")
    groups = range(footer.num_row_groups)
    return [Location(path, group, row) for group in groups for row in range(footer.row_group(group).num_rows)]
