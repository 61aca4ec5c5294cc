"""Pictures that several test packages make."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import ImageCms

from rssn.image.arrays import encode_png

TURNS = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.rot90(p, 2).swapaxes(0, 1),
    8: lambda p: np.rot90(p, 1),
}
"""What a viewer does with pixels, by EXIF orientation."""


def write_masks(root: Path, values: tuple[int, ...] = (1, 1)) -> Path:
    """A matting set of photographs whose hard masks have these values inside."""
    for number, value in enumerate(values):
        for folder, pixels in (
            ("original", np.random.default_rng(number).integers(0, 256, (48, 64, 3), dtype=np.uint8)),
            ("mask", np.pad(np.full((30, 30), value, np.uint8), ((18, 0), (17, 17)))),
        ):
            (root / folder).mkdir(parents=True, exist_ok=True)
            (root / folder / f"{number}.png").write_bytes(encode_png(pixels))
    return root


def wide_profile() -> bytes:
    """sRGB's own profile with its red and green primaries exchanged, so that colours must move."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    assert b"rXYZ" in profile
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


def nearly_srgb_profile() -> bytes:
    """sRGB's profile with a red that is a little stronger, as rounding leaves it: colours move by one step at most."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    entry = profile.index(b"rXYZ")
    place = int.from_bytes(profile[entry + 4 : entry + 8], "big") + 8  # behind the type's name
    red = int.from_bytes(profile[place : place + 4], "big")
    profile[place : place + 4] = (red + 20).to_bytes(4, "big")
    return bytes(profile)


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a table of tabs with a heading, such as `labels.tsv`."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def group_of(row: Mapping[str, str]) -> str:
    """What the copies of a photograph have in common; the file's name where `labels.tsv` names no copies."""
    return row.get("duplicate_group") or row.get("group") or row["file"]
