"""What `train eval` judges: photographs with their mattes, from a folder data set or from shards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from rssn.decoding import decode_alpha, decode_image
from rssn.errors import InputError, Rejected
from rssn.images import Alpha, Image, Pixels, read_bytes, to_uint8
from rssn.layouts import find_pairs
from rssn.matting import Pair, load_pair
from rssn.shards import DatasetFolder


@dataclass(frozen=True)
class Example:
    """A photograph with its matte, not read yet."""

    name: str
    load: Callable[[], tuple[Image, Alpha]]  # raises Rejected


@dataclass(frozen=True)
class Failure:
    """A photograph that could not be judged, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class ExampleSet:
    """The examples of a data set, in order of name or as stored, and what in it is none."""

    examples: list[Example]
    failures: list[Failure]


def find_examples(data: Path) -> ExampleSet:
    """Look for examples.

    Args:
        data: A matting data set as `rssn compose` reads it, or the output of `rssn compose` or `rssn pack`.

    Raises:
        InputError: If it is neither.
    """
    if (data / "manifest.json").is_file():
        return ExampleSet(_stored(DatasetFolder(data)), [])
    found = find_pairs(data)
    failures = [Failure(problem.source, f"{problem.reason}: {problem.message}") for problem in found.problems]
    return ExampleSet([Example(pair.name, partial(_load_pair, pair)) for pair in found.pairs], failures)


def read_trimap(folder: Path, name: str) -> Pixels:
    """The trimap that a data set ships for an example: 0 and 255 are known, whatever lies between is unknown.

    Raises:
        Rejected: If there is none, or it cannot be read.
    """
    found = [path for path in sorted(folder.glob(f"{Path(name).stem}.*")) if path.is_file()]
    if not found:
        raise Rejected("read", "no_trimap", f"no file {Path(name).stem}.* in {folder}")
    values = to_uint8(decode_alpha(read_bytes(found[0])))
    return np.where((values == 0) | (values == 255), values, 128).astype(np.uint8)


def _load_pair(pair: Pair) -> tuple[Image, Alpha]:
    if pair.image is None:
        raise Rejected(
            "read", "no_photograph", "the data set ships the foreground only; there is nothing to predict from"
        )
    sample = load_pair(pair)
    return sample.picture, sample.alpha


def _stored(folder: DatasetFolder) -> list[Example]:
    examples = []
    for mark in folder.marks():
        path = folder.data(mark.name)
        if mark.rows:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    names = file.read_row_group(group, columns=["sample_id"])["sample_id"].to_pylist()
                    examples += [Example(name, partial(_load_row, path, group, at)) for at, name in enumerate(names)]
    if not examples:
        raise InputError(f"--data {folder.root}: its shards hold no rows")
    return examples


def _load_row(path: Path, group: int, row: int) -> tuple[Image, Alpha]:
    with pq.ParquetFile(path) as file:
        table = file.read_row_group(group, columns=["image.bytes", "alpha.bytes"]).slice(row, 1)
    found = table.to_pylist()[0]
    image, alpha = decode_image(found["image"]["bytes"]), decode_alpha(found["alpha"]["bytes"])
    if image.shape[:2] != alpha.shape:
        raise Rejected("read", "size_mismatch", f"image is {image.shape[:2]}, alpha {alpha.shape}")
    return image, alpha
