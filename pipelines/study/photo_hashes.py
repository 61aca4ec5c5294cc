"""Hashes of photographs: what tells a photograph, or a matte, from every other one, whatever file it lies in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from bg20k.measures import hash_picture
from bg20k.rules import CurationRules
from bg20k.verdict import SALIENT_OBJECT
from pipelines.curate.rows import verdicts_path
from rssn.dataset.rows import iter_rows
from rssn.dataset.shards import DatasetFolder
from rssn.errors import DamagedError, InputError, Rejected
from rssn.image.arrays import Pixels, resize_area, to_uint8
from rssn.image.decoding import decode_pixels
from rssn.progress import progressing
from rssn.sources.backgrounds import background_bytes, find_backgrounds
from rssn.sources.layouts import find_pairs
from rssn.sources.mattes import stored_matte
from rssn.sources.matting import load_matte
from rssn.storage.files import content_id
from rssn.storage.location import Location

RULES = CurationRules()
"""Near is what a curation calls a duplicate."""

OVERLAP = 0.95
"""Share of two mattes that they must have in common to be the same one. Measured on the 22 of the small study: mattes
resized to a half, a third or a quarter share 0.97 and more with their originals, different ones 0.79 and less."""

_OUTLINE_SIDE = 64


@dataclass(frozen=True)
class PhotoHash:
    """What tells a picture from another.

    Attributes:
        name: For people.
        content: Content id: of a photograph's file, of a matte's values.
        phash: Perceptual hash, see `bg20k.measures.hash_picture`.
        flat: The hash means nothing.
        mirrored: The hash of the mirrored picture, where it was taken.
        outline: A matte, 64 x 64 px; None for a photograph.
    """

    name: str
    content: str
    phash: int
    flat: bool
    mirrored: int | None = None
    outline: Pixels | None = None


def same_pictures(evaluated: Iterable[PhotoHash], given: Sequence[PhotoHash]) -> Iterator[tuple[str, str]]:
    """Names of what is the same in both: equal content, or hashes near each other, the evaluated one's mirrored or not.

    Mattes are compared with mattes alone. Their hashes know the pose only, so near ones must overlap as well.
    """
    contents = np.array([each.content for each in given], dtype=np.str_)
    hashes = np.array([each.phash for each in given], dtype=np.uint64)
    clear = np.array([not each.flat for each in given], dtype=np.bool_)
    for one in evaluated:
        found = contents == one.content
        if not one.flat:
            found |= clear & (_is_near(hashes, one.phash) | _is_near(hashes, one.mirrored))
        for other in (given[number] for number in np.flatnonzero(found).tolist()):
            if one.content == other.content or _have_one_outline(one, other):
                yield one.name, other.name


def evaluation_hashes(root: Location, alpha_scale: float | None = None) -> Iterator[PhotoHash]:
    """Of an evaluation set: a matting data set, with the value that means opaque in its mattes, or shards.

    Raises:
        InputError: If it is neither.
    """
    if (root / "manifest.json").is_file():
        return _shard_hashes(DatasetFolder(root))
    return matting_hashes(root, alpha_scale)


def matting_hashes(root: Location, alpha_scale: float | None = None) -> Iterator[PhotoHash]:
    """Of a matting data set: every photograph, every foreground, every matte that can be read.

    Raises:
        InputError: If it is none.
    """
    pairs = find_pairs(root, alpha_scale=alpha_scale).pairs
    for pair in progressing(pairs, len(pairs), "pairs", f"leaks: {root.name}"):
        for ref in pair.colours:
            with suppress(Rejected):  # it will be a row of the rejects
                yield _photograph(ref.where, ref.read())
        with suppress(Rejected):
            yield _matte(pair.alpha.where, to_uint8(load_matte(pair).alpha))


def background_hashes(place: Location) -> Iterator[PhotoHash]:
    """Of a background set.

    Raises:
        InputError: If it is none.
    """
    found = find_backgrounds(place)[0]
    for background in progressing(found, len(found), "photos", f"leaks: {place.name}"):
        with suppress(Rejected):
            yield _photograph(background.source, background_bytes(background))


def salient_hashes(curated: Location) -> Iterator[PhotoHash]:
    """Of the photographs that a curation rejected for a salient object, of which crops are taken, as it noted them."""
    for row in iter_rows(verdicts_path(curated), ["source", "background_id", "reason", "phash", "low_texture"]):
        if row["reason"] == SALIENT_OBJECT:
            yield PhotoHash(row["source"], row["background_id"], row["phash"], row["low_texture"])


def _shard_hashes(folder: DatasetFolder) -> Iterator[PhotoHash]:
    names = ("sample_id", "foreground_source", "image", "alpha")
    marks = folder.all_marks()
    for mark in progressing(marks, len(marks), "shards", f"leaks: {folder.root.name}"):
        path = folder.data(mark.name)
        try:
            for row in iter_rows(path, names):
                yield from _row_hashes(f"{path}, {row['sample_id']} ({row['foreground_source']})", row)
        except (DamagedError, ValueError, LookupError, TypeError) as error:
            raise InputError(f"{path}: no photographs with mattes in it: {error}; run `rssn pack` again") from error


def _row_hashes(name: str, row: dict[str, Any]) -> Iterator[PhotoHash]:
    with suppress(Rejected):
        yield _photograph(name, row["image"]["bytes"])
    with suppress(Rejected):
        yield _matte(f"the matte of {name}", stored_matte(row["alpha"]["bytes"]))


def _photograph(name: str, data: bytes) -> PhotoHash:
    grey = np.asarray(cv2.cvtColor(decode_pixels(data), cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    return PhotoHash(name, content_id(data), *_hashes(grey))


def _matte(name: str, values: Pixels) -> PhotoHash:
    if values.max() == 0 or values.min() == 255:
        raise Rejected("read", "alpha_flat", "nothing is matted, or everything")
    content = content_id(str(values.shape).encode(), values.tobytes())
    return PhotoHash(name, content, *_hashes(values), resize_area(values, _OUTLINE_SIDE, _OUTLINE_SIDE))


def _hashes(grey: Pixels) -> tuple[int, bool, int]:
    mirrored = np.asarray(cv2.flip(grey, 1), dtype=np.uint8)
    return *hash_picture(grey, RULES), hash_picture(mirrored, RULES)[0]


def _is_near(hashes: npt.NDArray[np.uint64], one: int | None) -> npt.NDArray[np.bool_]:
    if one is None:
        return np.zeros(hashes.shape, np.bool_)
    return np.asarray(np.bitwise_count(hashes ^ np.uint64(one)) <= RULES.phash_distance)


def _have_one_outline(one: PhotoHash, other: PhotoHash) -> bool:
    """Whether two photographs, or two mattes that overlap; the hashes of all of them are near each other."""
    if one.outline is None or other.outline is None:
        return one.outline is other.outline
    return any(_overlap(mine, other.outline) >= OVERLAP for mine in (one.outline, one.outline[:, ::-1]))


def _overlap(one: Pixels, other: Pixels) -> float:
    return float(np.minimum(one, other).sum() / max(np.maximum(one, other).sum(), 1))
