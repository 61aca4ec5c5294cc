"""What is measured on a photograph: one row of `MEASURES` for each number or name.

A row is all that a measure needs: the columns of the stored tables, the verdicts, the dataset card and the report
follow from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final, Generic, TypeVar

import cv2
import imagehash
import numpy as np
import pyarrow as pa
from PIL import Image as PillowImage

from bg20k.candidates import Candidate, hash_square
from bg20k.flatness import flat_share
from bg20k.frames import border_share, seam_share
from bg20k.overlays import drawn_length, letters_in_line
from bg20k.records import Record
from bg20k.rules import CurationRules
from bg20k.upscaling import upscaling_score
from rssn.image.arrays import Pixels, resize_area
from rssn.image.photograph import CONVERSIONS

_COLOUR_SIDE = 64  # px; of what is looked through for colours

_BOX = pa.struct(
    [(name, pa.string()) for name in ("label", "view")]
    + [(name, pa.float32()) for name in ("confidence", "x", "y", "width", "height")]
)
_SALIENCY = pa.struct([(name, pa.float32()) for name in ("confidence", "area", "compactness")])


_Subject = TypeVar("_Subject")


@dataclass(frozen=True, slots=True)
class Measure(Generic[_Subject]):
    """One number or name that is stored for every photograph.

    Attributes:
        name: Of its column, in snake case.
        type: Of its column. The report shows histograms of floats, and counts truth values and texts.
        compute: Its value for a photograph, after the networks have looked, or for its record, after the whole crawl
            was looked at; None where there is none.
        meaning: One line for people, with range and unit.
    """

    name: str
    type: pa.DataType
    compute: Callable[[_Subject], Any]
    meaning: str


def hash_picture(grey: Pixels, rules: CurationRules) -> tuple[int, bool]:
    """The perceptual hash of a grey H x W picture, and whether its texture is so low that the hash means nothing."""
    square = hash_square(grey)
    return perceptual_hash(square), is_low_texture(square, rules)


def is_low_texture(square: Pixels, rules: CurationRules) -> bool:
    """Whether the hash of a `Candidate.square` means nothing, see `CurationRules.flat_std`."""
    return float(resize_area(square, 32, 32).std()) < rules.flat_std


def perceptual_hash(grey: Pixels) -> int:
    """The 64-bit pHash of a grey H x W picture: signs of its low DCT coefficients against their median."""
    bits = imagehash.phash(PillowImage.fromarray(grey), hash_size=8).hash
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def sharpness(photo: Candidate) -> float:
    """Variance of the Laplacian; comparable, because all photographs are resized to the same shorter side."""
    _, deviation = cv2.meanStdDev(cv2.Laplacian(photo.grey, cv2.CV_16S))
    return float(deviation[0, 0]) ** 2


def is_grey(photo: Candidate) -> bool:
    """Whether there are no colours, even where the file has three channels; see `CurationRules.grey`."""
    small = resize_area(photo.thumbnail, _COLOUR_SIDE, _COLOUR_SIDE)
    return float(np.ptp(small, axis=2).max()) < photo.rules.grey


def aspect_ratio(photo: Candidate) -> float:
    """The longer side over the shorter one, 1 or more."""
    shorter, longer = sorted((photo.source_width, photo.source_height))
    return longer / shorter


MEASURES: Final[tuple[Measure[Candidate], ...]] = (
    Measure("source_width", pa.int32(), lambda photo: photo.source_width, "of the source as a viewer shows it, px"),
    Measure("source_height", pa.int32(), lambda photo: photo.source_height, "of the source as a viewer shows it, px"),
    Measure("aspect_ratio", pa.float64(), aspect_ratio, "longer side of the source over its shorter one"),
    Measure(
        "phash",
        pa.uint64(),
        lambda photo: perceptual_hash(photo.square),
        "64-bit perceptual hash of imagehash, first bit most significant",
    ),
    Measure("sharpness", pa.float64(), sharpness, "variance of the Laplacian of the picture, squared 8-bit units"),
    Measure(
        "low_texture",
        pa.bool_(),
        lambda photo: is_low_texture(photo.square, photo.rules),
        "nearly constant: the perceptual hash means nothing",
    ),
    Measure(
        "bits_per_pixel",
        pa.float64(),
        lambda photo: 8 * photo.size / (photo.source_width * photo.source_height),
        "of the source file: of two copies of the same size the more compressed one has fewer",
    ),
    Measure("grey", pa.bool_(), is_grey, "without colours, even where the file has three channels"),
    Measure(
        "upscaling_score",
        pa.float64(),
        lambda photo: upscaling_score(photo.tiles),
        "how surely it was enlarged by about 1.4 or more, 0 to 1; null: too small to tell",
    ),
    Measure(
        "drawn_length",
        pa.float64(),
        lambda photo: drawn_length(photo.strokes, min(photo.grey.shape)),
        "length of all strokes that look drawn (logos, letters, lines), in shorter sides",
    ),
    Measure(
        "letters_in_line",
        pa.float64(),
        lambda photo: letters_in_line(photo.strokes),
        "letters in the clearest line of text, each weighted by how clean it is, 0 to 1",
    ),
    Measure(
        "border_share",
        pa.float64(),
        lambda photo: border_share(photo.pixels),
        "width of the widest border of one colour, as a share of the side that it narrows",
    ),
    Measure(
        "seam_share",
        pa.float64(),
        lambda photo: seam_share(photo.grey),
        "how much of its line the longest straight seam covers, upright or level, 0 to 1",
    ),
    Measure(
        "flat_share",
        pa.float64(),
        lambda photo: flat_share(photo.grey),
        "share of blocks of 8 px without any grain, black and white ones left out; null: all are",
    ),
    Measure("format", pa.string(), lambda photo: photo.format, "what the source's bytes are: JPEG, PNG, ..."),
    Measure(
        "converted",
        pa.list_(pa.string()),
        lambda photo: list(photo.converted),
        f"what decoding changed: {', '.join(CONVERSIONS)}",
    ),
    Measure(
        "boxes",
        pa.list_(_BOX),
        lambda photo: None if photo.detections is None else [found.to_box() for found in photo.detections],
        "findings of the detector, by the view that showed them; x, y, width, height as shares of the upright frame; "
        "null: none looked",
    ),
    Measure(
        "saliency",
        _SALIENCY,
        lambda photo: None if photo.saliency is None else asdict(photo.saliency),
        "largest part of the class-free network's mask: confidence, area, compactness; null: none looked",
    ),
)
"""Everything that is measured on a photograph alone, in the order of the columns."""

CRAWL_MEASURES: Final[tuple[Measure[Record], ...]] = (
    Measure(
        "mark_pictures",
        pa.float64(),
        lambda record: None if record.mark is None else float(record.mark.pictures),
        "different pictures of its source with the same mark at the same place, itself included; null: no mark",
    ),
    Measure(
        "mark_place",
        pa.string(),
        lambda record: None if record.mark is None else record.mark.place,
        "where that mark stands; null: no mark",
    ),
)
"""What is measured on a whole crawl."""


def measured(photo: Candidate) -> dict[str, Any]:
    """The value of every measure, by name."""
    return {measure.name: measure.compute(photo) for measure in MEASURES}


def measured_in_crawl(record: Record) -> dict[str, Any]:
    """The value of every measure on the whole crawl, by name."""
    return {measure.name: measure.compute(record) for measure in CRAWL_MEASURES}
