"""The pictures that the benchmarks work on: the caller's, or those that the project renders where there are none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from rssn.image.arrays import Image, Pixels, encode_jpeg, encode_png, to_uint8
from rssn.image.decoding import decode_image, decode_pixels
from rssn.sources.backgrounds import background_bytes, find_backgrounds
from rssn.sources.layouts import find_pairs
from rssn.sources.mattes import read_matte
from rssn.synthetic import SyntheticPlan, write_synthetic
from tests.benchmarks.table import command_cost

Pair: TypeAlias = tuple[Path, Path]
"""A photograph and its matte."""

CROP_SIDE = 512


@dataclass(frozen=True)
class Pictures:
    """Where the pictures are.

    Attributes:
        matting: A matting data set with photographs.
        backgrounds: What `rssn compose --backgrounds` takes.
        words: What they are.
    """

    matting: Path
    backgrounds: Path
    words: str

    @property
    def pairs(self) -> list[Pair]:
        """Photograph and matte of each foreground."""
        found = find_pairs(self.matting).pairs
        return [(Path(pair.image.path), Path(pair.alpha.path)) for pair in found if pair.image is not None]

    def one_background(self, work: Path) -> Path:
        """A file with the first background of the set."""
        path = work / "background.jpg"
        path.write_bytes(encode_jpeg(decode_pixels(background_bytes(find_backgrounds(self.backgrounds)[0][0]))))
        return path


def open_pictures(matting: Path, photos: Path, work: Path, plan: SyntheticPlan | None = None) -> Pictures:
    """The data set and a curated background set of the photographs; rendered pictures where either is absent.

    Args:
        matting: A matting data set.
        photos: A folder of photographs; curated without a detector.
        work: A folder for what is made here.
        plan: How synthetic pictures are rendered, where they have to be.
    """
    if matting.is_dir() and photos.is_dir():
        curated = work / "bg20k"
        command_cost(["-m", "pipelines.cli", "build-bg20k", str(photos), "--out", str(curated), "--workers", "0"])
        return Pictures(matting, curated, f"{matting}, on {photos} as rssn build-bg20k leaves them")
    write_synthetic(work / "synthetic", plan or SyntheticPlan(shot_size=(960, 720), photo_side=800))
    for broken in (work / "synthetic" / "photos").glob("broken_*"):
        broken.unlink()
    words = f"rendered pictures, because {matting} or {photos} is absent"
    return Pictures(work / "synthetic" / "matting", work / "synthetic" / "photos", words)


def picture_bytes(path: Path, side: int | None, *, alpha: bool = False) -> bytes:
    """A file as it is, or the PNG of its middle, `side` px in each direction."""
    data = path.read_bytes()
    if side is None:
        return data
    return encode_png(middle(to_uint8(read_matte(data).alpha) if alpha else decode_pixels(data), side))


def photograph(path: Path, side: int | None) -> Image:
    """A photograph or its middle, H x W x 3 float32 in [0, 1]."""
    return decode_image(picture_bytes(path, side))


def middle(pixels: Pixels, side: int) -> Pixels:
    """The middle of a picture, at most `side` px in each direction."""
    top, left = (max(0, (length - side) // 2) for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


def extent(side: int | None) -> str:
    """What part of a picture is used, in words."""
    return "whole" if side is None else f"{side} x {side} px"
