"""What `train eval` evaluates on: photographs with their mattes, from a folder data set or from shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

from rssn.dataset.rows import iter_rows, places, read_row
from rssn.dataset.shards import DatasetFolder, check_shard
from rssn.errors import InputError, Rejected
from rssn.image.arrays import Alpha, Image, Pixels, read_bytes, to_float
from rssn.image.decoding import decode_image
from rssn.sources.folder_walk import list_pictures
from rssn.sources.layouts import find_pairs
from rssn.sources.mattes import decode_trimap, stored_matte
from rssn.sources.matting import Pair, load_pair
from rssn.sources.names import composed
from rssn.storage.location import Location


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


def find_examples(data: Path, without: Path | None = None, alpha_scale: float | None = None) -> ExampleSet:
    """Look for examples.

    Args:
        data: A matting data set as `rssn compose` reads it, or the output of `rssn compose` or `rssn pack`.
        without: A folder that does not count, wherever it lies: where results go.
        alpha_scale: The value of the data set's mattes that means opaque; None goes by the values of each.

    Raises:
        InputError: If it is neither, or a scale is given for shards, whose mattes have one.
    """
    if (data / "manifest.json").is_file():
        if alpha_scale is not None:
            words = "holds shards, whose mattes need none; leave it out for them"
            raise InputError(f"--alpha-scale {alpha_scale:g}: {data} {words}")
        return ExampleSet(_stored(DatasetFolder(data)), [])
    found = find_pairs(data, without=without, alpha_scale=alpha_scale)
    failures = [Failure(problem.source, f"{problem.reason}: {problem.message}") for problem in found.problems]
    return ExampleSet([Example(pair.name, partial(_load_pair, pair)) for pair in found.pairs], failures, found.unread)


def read_trimap(folder: Path, name: str) -> Pixels:
    """The trimap that a data set ships for an example, see `rssn.sources.mattes.decode_trimap`.

    Raises:
        Rejected: If there is none, or it cannot be read.
    """
    wanted = composed(Path(name).name)
    found = [path for path in _pictures_in(folder) if composed(path.stem) == wanted]
    if not found:
        raise Rejected("read", "no_trimap", f"no picture {wanted}.* in {folder}")
    return decode_trimap(read_bytes(found[0]))


@lru_cache(maxsize=1)
def _pictures_in(folder: Path) -> list[Path]:
    return [path for path in list_pictures(folder).pictures if path.parent == folder]


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


def _stored(folder: DatasetFolder) -> list[Example]:
    examples = []
    for mark in folder.all_marks():
        path, problem = folder.data(mark.name), check_shard(folder, mark)
        if problem:
            raise InputError(f"--data {folder.root}: {problem}; run the command that made it again, it repairs it")
        rows = zip(places(path), iter_rows(path, ["sample_id"]), strict=True) if mark.rows else ()
        examples += [Example(row["sample_id"], partial(_load_row, path, place)) for place, row in rows]
    if not examples:
        raise InputError(f"--data {folder.root}: its shards hold no rows")
    return examples


def _load_row(path: Location, place: tuple[int, int]) -> Truth:
    row = read_row(path, place, ["image.bytes", "alpha.bytes"])
    image, alpha = decode_image(row["image"]["bytes"]), to_float(stored_matte(row["alpha"]["bytes"]))
    if image.shape[:2] != alpha.shape:
        raise Rejected("read", "size_mismatch", f"image is {image.shape[:2]}, alpha {alpha.shape}")
    return Truth(image, alpha)
