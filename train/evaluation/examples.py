"""What `train eval` evaluates on: photographs with their mattes, from a folder data set or from shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from rssn.dataset.dataset import open_dataset
from rssn.dataset.rows import iter_rows, own_parquet, places, read_row
from rssn.errors import InputError, Rejected
from rssn.image.arrays import Alpha, Image, Pixels, to_float
from rssn.image.decoding import decode_image
from rssn.sources.layouts import find_pairs
from rssn.sources.mattes import decode_trimap, stored_matte
from rssn.sources.matting import Pair, load_pair
from rssn.sources.names import composed
from rssn.sources.picture_ref import PictureRef
from rssn.sources.tree import list_tree
from rssn.storage.location import BucketPath, Location
from rssn.storage.remote import contents
from train.validation_sets import ValidationSet

_PICTURES = ["image.bytes", "alpha.bytes"]


@dataclass(frozen=True)
class Truth:
    """A photograph with its matte."""

    picture: Image
    alpha: Alpha
    flags: tuple[str, ...] = ()  # of the matte, see `rssn.image.matte_flags`; those of shards stand in their rows


@dataclass(frozen=True)
class Example:
    """A photograph with its matte, not read yet."""

    name: str
    load: Callable[[], Truth]  # raises Rejected


@dataclass(frozen=True)
class Failure:
    """A photograph that could not be evaluated, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class ExampleSet:
    """The examples of a data set, in order of name or as stored, and what in it is none."""

    examples: list[Example]
    failures: list[Failure]
    unread: Counter[str] = field(default_factory=Counter)  # files that are no pictures, by suffix


def find_examples(data: Location, without: Location | None = None, alpha_scale: float | None = None) -> ExampleSet:
    """Look for examples.

    Args:
        data: A matting data set as `rssn compose` reads it, or the output of `rssn compose` or `rssn pack`; here or in
            a bucket.
        without: A folder that does not count, wherever it lies: where results go.
        alpha_scale: The value of the data set's mattes that means opaque; None goes by the values of each.

    Raises:
        InputError: If it is neither, or a scale is given for shards, whose mattes have one.
    """
    if next(contents([data / "manifest.json"])) is not None:
        if alpha_scale is not None:
            words = "holds shards, whose mattes need none; leave it out for them"
            raise InputError(f"--alpha-scale {alpha_scale:g}: {data} {words}")
        return ExampleSet(_stored(data), [])
    found = find_pairs(data, without=without, alpha_scale=alpha_scale)
    failures = [Failure(problem.source, f"{problem.reason}: {problem.message}") for problem in found.problems]
    return ExampleSet([Example(pair.name, partial(_load_pair, pair)) for pair in found.pairs], failures, found.unread)


def find_validation(sets: Sequence[ValidationSet], without: Location) -> dict[str, ExampleSet]:
    """The examples of a run's validation sets by their names, each looked for once; see `find_examples`."""
    return {each.name: find_examples(each.path, without, each.alpha_scale) for each in sets}


def read_trimap(folder: Location, name: str) -> Pixels:
    """The trimap that a data set ships for an example, see `rssn.sources.mattes.decode_trimap`.

    Raises:
        Rejected: If there is none, or it cannot be read.
    """
    wanted = composed(Path(name).name)
    found = next((ref for stem, ref in _pictures_in(folder) if composed(stem) == wanted), None)
    if not found:
        raise Rejected("read", "no_trimap", f"no picture {wanted}.* in {folder}")
    return decode_trimap(found.read())


@lru_cache(maxsize=1)
def _pictures_in(folder: Location) -> list[tuple[str, PictureRef]]:
    return [(Path(name).stem, ref) for name, ref in list_tree(folder).pictures.items() if "/" not in name]


def _load_pair(pair: Pair) -> Truth:
    if pair.image is None:
        words = "the data set ships the foreground only; nothing to predict from"
        raise Rejected(
            "read",
            "no_photograph",
            f"{words}; name the folders original/ and mask/ if fg/ holds photographs",
        )
    sample = load_pair(pair)
    return Truth(sample.picture, sample.alpha, sample.flags)


def _stored(root: Location) -> list[Example]:
    examples = []
    try:
        data = open_dataset(root, "composites")
        for mark in data.checked_marks():
            path = data.data(mark.name)
            rows = zip(places(path), iter_rows(path, ["sample_id"]), strict=True)
            examples += [Example(row["sample_id"], partial(_load_row, path, place)) for place, row in rows]
    except InputError as error:
        raise type(error)(f"--data {error}") from error
    if not examples:
        raise InputError(f"--data {root}: its shards hold no rows")
    return examples


@lru_cache(maxsize=1)
def _bucket_rows(path: BucketPath, group: int) -> list[dict[str, Any]]:
    """The row group that one row after the other is read from."""
    with own_parquet(path) as file:
        rows: list[dict[str, Any]] = file.read_row_group(group, columns=_PICTURES).to_pylist()
    return rows


def _load_row(path: Location, place: tuple[int, int]) -> Truth:
    remote = isinstance(path, BucketPath)
    row = _bucket_rows(path, place[0])[place[1]] if remote else read_row(path, place, _PICTURES)
    image, alpha = decode_image(row["image"]["bytes"]), to_float(stored_matte(row["alpha"]["bytes"]))
    if image.shape[:2] != alpha.shape:
        raise Rejected("read", "size_mismatch", f"image is {image.shape[:2]}, alpha {alpha.shape}")
    return Truth(image, alpha)
