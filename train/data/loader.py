"""The loader: shards in, batches out, the same ones for the same (seed, step).

A map-style dataset over Parquet row groups. The order comes from `data.order`, a sample's crop from the seed and its
key; no sample depends on the number of loader processes, and a resumed run needs no loader state. A row group is
fetched once for all its rows, which come near each other: from a bucket 1.04 times what the samples have, footers
included, where a group of four for each sample was 3.3 times as much; a test counts it at the server.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace
from itertools import groupby
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from rssn.errors import InputError, Rejected, first_line
from rssn.storage.files import content_id
from rssn.storage.location import Location
from train.batch import Batch, Sample, collate
from train.config import TrainConfig
from train.data.augmentation import Augmentation, make_sample
from train.data.memo import KnownRows, loader_processes
from train.data.order import START, Key, Mixture, Place, lanes, step_keys
from train.data.prefetch import exit_with_trainer, prefetch
from train.data.shards import open_set, read_group
from train.network.strategy import Scales
from train.signals import NEVER, Stop

_WHOLE = 1 << 16
"""Side of a crop that only the picture limits, px."""


class ShardDataset(Dataset[Sample]):
    """Every row of every marked shard of one or several sets.

    Args:
        config: Names the sets and how crops are cut.

    Raises:
        InputError: If one of the sets is no finished data set of composites.
    """

    def __init__(self, config: TrainConfig) -> None:
        colours = config.reads_colours
        pictures = ("image", "alpha", "foreground", "background") if colours else ("image", "alpha")
        sets = [open_set(root, ("sample_id", *pictures)) for root in config.data]
        self.places = [place for each in sets for place in each.places]
        lengths, groups = (tuple(len(each.places) for each in sets), tuple(each.groups for each in sets))
        self.mixture = Mixture(lengths, config.mixture, config.seed, groups, config.step_size)
        self._count = sum(map(len, groups))
        self._open_groups = lanes(config.step_size, self._count) * config.rank_size // config.step_size
        self.digest = sets[0].digest if len(sets) == 1 else content_id(*(each.digest.encode() for each in sets))
        sizes = [size for each in sets for size in each.sizes]
        self.scales = Scales.of_crops(config.crop_sizes, config.input_size, sizes)
        self._augmentation = Augmentation(config.rosta, config.crop_sizes, config.input_size, colours=colours)
        self._seed = config.seed
        self._columns = ["sample_id", *(f"{name}.bytes" for name in pictures)]
        self._groups: OrderedDict[tuple[Location, int], dict[int, dict[str, Any]]] = OrderedDict()
        self._known = KnownRows(config.keep_decoded * 10**6)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, key: Key) -> Sample:
        visit, index = key
        place = self.places[index]
        # index + 1: numpy pads seeds with zeros, so [seed, visit, 0] would be the dice of an order
        rng = np.random.default_rng([self._seed, visit, index + 1])
        try:
            row, memo = self._known.find(index, lambda: self._row(index))
            return make_sample(row, self._augmentation, rng, memo)
        except (Rejected, InputError, OSError) as error:
            where = f"{place.path}: row group {place.group}, row {place.row}"
            raise InputError(f"{where}: {first_line(error)}; `rssn inspect` finds what else is damaged") from error

    def keep_order(self, order_size: int) -> None:
        """Let samples come in an order that was made for steps of this size, as that of a run which had such ones."""
        if order_size not in (0, self.mixture.step_size):
            self.mixture = replace(self.mixture, step_size=order_size)
            self._open_groups = max(self._open_groups, lanes(order_size, self._count))

    def seeing(self, *, whole: bool, context: bool) -> ShardDataset:
        """The same rows, of which each sample sees the largest square that its picture has, or such a one, too."""
        seen = copy(self)
        sizes = (_WHOLE,) if whole else self._augmentation.crop_sizes
        seen._augmentation = replace(self._augmentation, crop_sizes=sizes, context=context)
        seen._groups = OrderedDict()
        return seen

    def _row(self, index: int) -> dict[str, Any]:
        """A row, taken out of its group, of which the others are kept: they come soon, see `train.data.order`."""
        place = self.places[index]
        key, first = (place.path, place.group), index - place.row
        if place.row not in self._groups.get(key, ()):
            group = enumerate(read_group(place, self._columns).to_pylist())
            self._groups[key] = {at: row for at, row in group if first + at not in self._known}
        rows = self._groups[key]
        row = rows.pop(place.row)
        if not rows:
            del self._groups[key]
        while len(self._groups) > self._most_groups():
            self._groups.popitem(last=False)
        return row

    def _most_groups(self) -> int:
        """That this loader process keeps; they take turns, so each has its part of those that are being used."""
        return -(-self._open_groups // loader_processes())


def count_rows(data: Sequence[str]) -> int:
    """The rows of all sets together, without opening a picture.

    Raises:
        InputError: As `train.data.shards.open_set` does.
    """
    return sum(len(open_set(root, ("sample_id",)).places) for root in data)


class StepSampler(Sampler[list[Key]]):
    """The keys of a rank's batches, from where the run is to a step, by default its last."""

    def __init__(
        self, mixture: Mixture, config: TrainConfig, place: Place = START, rank: int = 0, end: int | None = None
    ) -> None:
        self._mixture = mixture
        size = config.step_size
        steps = max(0, (config.max_steps if end is None else end) - place.step)
        self._starts = range(place.position, place.position + steps * size, size)
        self._part = slice(rank * config.rank_size, (rank + 1) * config.rank_size)

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[list[Key]]:
        return step_keys(self._mixture, self._starts, self._part)


def batches(
    dataset: ShardDataset,
    config: TrainConfig,
    place: Place = START,
    rank: int = 0,
    stop: Stop = NEVER,
    end: int | None = None,
) -> Iterator[Batch]:
    """A rank's batches from where the run is to a step, by default its last; none any more once a stop is asked for.

    Raises:
        InputError: If a row cannot be read; one line, also when another process met it.
        RssnError: If a loader process dies.
    """
    dataset.keep_order(place.order_size)
    keys = StepSampler(dataset.mixture, config, place, rank, end)
    try:
        if config.workers:
            yield from prefetch(_loader(dataset, keys, config.workers), stop)
        else:
            yield from _here(dataset, keys, stop)
    except InputError as error:
        raise InputError(str(error).rpartition("InputError: ")[2].strip()) from error


def staged_batches(
    dataset: ShardDataset, config: TrainConfig, place: Place = START, rank: int = 0, stop: Stop = NEVER
) -> Iterator[Batch]:
    """As `batches`, each stage of the run with the crops that it wants."""
    for (whole, context), spans in groupby(config.spans, lambda span: (span.stage.whole, span.stage.context)):
        end = list(spans)[-1].end
        if place.step < end:
            yield from batches(dataset.seeing(whole=whole, context=context), config, place, rank, stop, end)
            place = Place(end, place.position + (end - place.step) * config.step_size, place.order_size)
        if stop.received:
            return


def _loader(dataset: ShardDataset, keys: StepSampler, workers: int) -> DataLoader[Any]:
    return DataLoader(
        dataset,
        batch_sampler=keys,
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_prepare,
        generator=torch.Generator(),  # torch's own belongs to the network, whose dice a resumed run takes up again
        # a forked process inherits OpenCV's and torch's pools without their threads, and waits for them for ever
        multiprocessing_context="spawn",
    )


def _here(dataset: ShardDataset, keys: StepSampler, stop: Stop) -> Iterator[Batch]:
    """The batches prepared in this process; a stop is noticed before each sample."""
    for step in keys:
        samples: list[Sample] = []
        for key in step:
            if stop.received:
                return
            samples.append(dataset[key])
        yield collate(samples)


def _prepare(_: int) -> None:
    cv2.setNumThreads(1)
    exit_with_trainer()
