"""Small crops of photographs that hold salient objects: what COCO is as a background set, where COCO is not at hand.

A crop is as large as COCO's pictures and lies around a salient object of a curated set's rejected photograph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click
import numpy as np

from bg20k.verdict import SALIENT_OBJECT
from pipelines.curate.rows import candidates_folder, verdicts_path
from rssn.dataset.rows import iter_rows
from rssn.dataset.shards import DatasetFolder
from rssn.errors import InputError, RssnError
from rssn.image.arrays import Pixels, encode_png
from rssn.image.decoding import decode_pixels
from rssn.storage.atomic import write_bytes
from rssn.storage.location import Location
from train.commands.options import PLACE
from train.commands.typed import argument, option, takes


@dataclass(frozen=True)
class CropsJob:
    """Which crops are taken, and where they go; see `salient_crops`."""

    curated: Location = argument(type=PLACE)
    size: tuple[int, int] = option(
        "--size", nargs=2, type=click.IntRange(min=16), default=(640, 480), help="Width and height of a crop, px."
    )
    each: int = option("--each", type=click.IntRange(min=1), default=6, help="Crops of a photograph.")
    out: Location = option("--out", type=PLACE, required=True, help="Folder for the crops.")


def salient_crops(curated: Location, size: tuple[int, int], each: int) -> Iterator[tuple[str, Pixels]]:
    """Crops of the photographs that a curation rejected for a salient object, with a name for each.

    Args:
        curated: A `build-bg20k` output.
        size: Width and height of a crop, px; photographs that are smaller give none.
        each: Crops of a photograph, spread evenly over the places that show the centre of its surest object.
    """
    wanted = {
        row["source"]: row["candidate_shard"]
        for row in iter_rows(verdicts_path(curated), ["source", "candidate_shard", "reason"])
        if row["reason"] == SALIENT_OBJECT
    }
    folder = candidates_folder(DatasetFolder(curated))
    for shard in sorted(set(wanted.values())):
        for row in iter_rows(folder.data(shard), ["source", "background_id", "image", "boxes"]):
            if row["source"] in wanted:
                pixels = decode_pixels(row["image"]["bytes"])
                for number, (left, top) in enumerate(_places(row, pixels, size, each)):
                    crop = pixels[top : top + size[1], left : left + size[0]]
                    yield f"{row['background_id']}-{number}", np.ascontiguousarray(crop)


def _places(row: Mapping[str, Any], pixels: Pixels, size: tuple[int, int], each: int) -> list[tuple[int, int]]:
    height, width = pixels.shape[:2]
    if width < size[0] or height < size[1]:
        return []
    box = max(row["boxes"], key=lambda found: found["confidence"])
    centre = ((box["x"] + box["width"] / 2) * width, (box["y"] + box["height"] / 2) * height)
    shares = np.random.default_rng(int(row["background_id"], 16)).random((each, 2))
    ranges = [
        (max(0.0, middle - length), min(middle, whole - length))
        for middle, length, whole in zip(centre, size, (width, height), strict=True)
    ]
    return [
        (round(x[0] + share[0] * (x[1] - x[0])), round(y[0] + share[1] * (y[1] - y[0])))
        for share in shares
        for x, y in [ranges]
    ]


def write_crops(job: CropsJob) -> None:
    """Write the crops as PNG files.

    Raises:
        InputError: If there are none.
    """
    count = 0
    for name, pixels in salient_crops(job.curated, job.size, job.each):
        write_bytes(job.out / f"{name}.png", encode_png(pixels), durable=False, only_writer=True)
        count += 1
    if not count:
        width, height = job.size
        raise InputError(f"{job.curated}: no photograph of at least {width} x {height} px with a salient object")


@click.command()
@takes(CropsJob)
def crops(job: CropsJob) -> None:
    """Write crops of the salient photographs of CURATED as PNG files."""
    try:
        write_crops(job)
    except RssnError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    crops()
