"""Step strips: the stored steps of a composite side by side, and what the blend of them does not explain.

Floor 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.counting import spread
from pipelines.sheets import draw_words, original_of, parts
from rssn.images import Pixels, decode_alpha, decode_pixels, fit_inside, to_float
from rssn.report import Tile, contact_sheet
from rssn.shards import DatasetFolder, Mark

STRIP_SIDE = 480  # px
GAIN = 8  # the difference is shown this many times brighter
_BAND = 256  # rows of pixels at a time, so that big pictures need little memory


@dataclass(frozen=True)
class Difference:
    """The composite minus the blend of what is stored with it."""

    pixels: Pixels  # absolute difference times `GAIN`
    mean: float  # 8-bit units
    deviation: float  # standard deviation, 8-bit units


def step_strips(folder: DatasetFolder, marks: Sequence[Mark], originals: Path | None, samples: int) -> Iterator[Pixels]:
    """A strip per sample: original, alpha, F, B, composite, difference; samples are spread evenly.

    Args:
        folder: A data set of composites.
        marks: Its trusted marks.
        originals: Root of the matting data set, for the original photographs; None where nobody knows it.
        samples: How many strips.
    """
    for row in spread(folder, marks, samples):
        tiles = _strip_tiles(row, originals)
        yield contact_sheet(list(parts(tiles, 3)), side=STRIP_SIDE)


def blend_difference(composite: Pixels, alpha_png: bytes, foreground: Pixels, background: Pixels) -> Difference:
    """How a composite differs from alpha F + (1 - alpha) B (equation 1): by its noise, and by what the codecs lost.

    Args:
        composite: H x W x 3 uint8.
        alpha_png: The encoded alpha, H x W.
        foreground: F, H x W x 3 uint8.
        background: B, H x W x 3 uint8.
    """
    alpha = decode_alpha(alpha_png)[..., None]
    shown = np.empty_like(composite)
    total = squares = 0.0
    for top in range(0, composite.shape[0], _BAND):
        band = slice(top, top + _BAND)
        blend = alpha[band] * to_float(foreground[band]) + (1 - alpha[band]) * to_float(background[band])
        difference = 255 * (to_float(composite[band]) - blend).astype(np.float64)
        total += float(difference.sum())
        squares += float(np.square(difference).sum())
        shown[band] = np.minimum(np.rint(GAIN * np.abs(difference)), 255).astype(np.uint8)
    mean = total / composite.size
    return Difference(shown, mean, max(0.0, squares / composite.size - mean**2) ** 0.5)


def _strip_tiles(row: dict[str, Any], originals: Path | None) -> list[Tile]:
    names = {"foreground": "foreground F, as blended", "background": "background B, as blended", "image": "composite"}
    stored = {name: decode_pixels(row[name]["bytes"]) for name in names}
    alpha_png = row["alpha"]["bytes"]
    difference = blend_difference(stored["image"], alpha_png, stored["foreground"], stored["background"])
    words = (
        f"composite minus blend of the stored layers, times {GAIN}: mean {difference.mean:+.2f}, "
        f"deviation {difference.deviation:.2f} of 255 (noise, JPEG)"
    )
    original = original_of(row, originals)
    return [
        _tile(original, "original" if original is not None else f"original not found: {row['foreground_source']}"),
        _tile(decode_pixels(alpha_png), "alpha"),
        *(_tile(stored[name], words) for name, words in names.items() if name != "image"),
        _tile(stored["image"], f"composite\n{draw_words(row)}"),
        _tile(difference.pixels, words),
    ]


def _tile(pixels: Pixels | None, caption: str) -> Tile:
    return Tile(None if pixels is None else fit_inside(pixels, STRIP_SIDE), caption)
