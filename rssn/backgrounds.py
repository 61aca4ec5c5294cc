"""Background sets: a curated bg20k output, or any folder of pictures (COCO is one)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from rssn.errors import InputError, Rejected
from rssn.images import Image, decode_image, list_images, picture_size, read_bytes
from rssn.matting import Problem
from rssn.rows import places, read_row
from rssn.schema import BACKGROUNDS
from rssn.shards import DatasetFolder, check_shard, content_id


@dataclass(frozen=True)
class Background:
    """Where a background is, without its pixels."""

    background_id: str  # content id
    source: str  # path below the folder, or what the curated set recorded
    licence: str  # empty where nobody said
    width: int
    height: int
    path: str  # a picture file, or a Parquet file of the curated set
    row_group: int  # -1 for a picture file
    row: int


def find_backgrounds(root: Path, split: str = "train") -> tuple[list[Background], list[Problem]]:
    """Find the backgrounds below a folder, in order of content id; equal files count once.

    Args:
        root: A curated set (it has marks) or a folder of pictures.
        split: Which part of a curated set, `train` or `validation`.

    Raises:
        InputError: If there is no such folder, or no background in it.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give a bg20k output or a folder of pictures")
    folder = DatasetFolder(root)
    found, problems = _curated(folder, split) if folder.manifest.is_file() else _pictures(root)
    unique = {background.background_id: background for background in found}
    if not unique:
        raise InputError(f"{root}: no backgrounds found in it")
    return [unique[key] for key in sorted(unique)], problems


def load_background(background: Background) -> Image:
    """Decode a background to H x W x 3 float32 in [0, 1].

    Raises:
        Rejected: stage `read`, see `rssn.images.decode_pixels`.
    """
    path = Path(background.path)
    if background.row_group < 0:
        return decode_image(read_bytes(path))
    try:
        row = read_row(path, (background.row_group, background.row), ["background_id", "image"])
    except (OSError, IndexError, ValueError) as error:
        raise Rejected("read", "unreadable", f"{path}: {error}") from error
    if row["background_id"] != background.background_id:
        raise Rejected("read", "changed", f"{path}: row {background.row} is another picture than planned")
    return decode_image(row["image"]["bytes"])


def _curated(folder: DatasetFolder, split: str) -> tuple[list[Background], list[Problem]]:
    found: list[Background] = []
    for mark in folder.marks():
        if not mark.name.startswith(f"{split}-") or not mark.rows:
            continue
        problem = check_shard(folder, mark)
        if problem:
            raise InputError(f"{folder.root}: {problem}; run rssn build-bg20k again, it repairs what is damaged")
        found.extend(_shard_backgrounds(folder.data(mark.name)))
    return found, []


def _shard_backgrounds(path: Path) -> list[Background]:
    columns = ["background_id", "source", "licence", "width", "height"]
    if not pq.read_schema(path).equals(BACKGROUNDS):
        raise InputError(f"{path}: these are not the columns of a bg20k output")
    rows = pq.read_table(path, columns=columns).to_pylist()
    return [
        Background(**(row | {"licence": row["licence"] or ""}), path=str(path), row_group=group, row=number)
        for row, (group, number) in zip(rows, places(path), strict=True)
    ]


def _pictures(root: Path) -> tuple[list[Background], list[Problem]]:
    found: list[Background] = []
    problems: list[Problem] = []
    for path in list_images(root):
        try:
            data = read_bytes(path)
            width, height = picture_size(data)
        except Rejected as error:
            problems.append(Problem(path, error.reason, error.message))
            continue
        source = path.relative_to(root).as_posix()
        found.append(Background(content_id(data), source, "", width, height, str(path), -1, -1))
    return found, problems
