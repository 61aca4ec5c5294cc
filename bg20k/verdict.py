"""What the curation says about a photograph: kept or not, by which stage, for which reason, in words.

The reasons are stable names that people filter by in `rejects/`; `REASONS` explains each in one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from bg20k.rules import EMPTY, PANORAMA, UPSCALED
from rssn.errors import Rejected

STAGES: Final = ("read", "resolution", "duplicates", "salience", "split", "review")
"""The stages in the order in which they judge. A kept photograph has passed them all: its stage is `split`, or `review`
where a person overruled an earlier stage.
"""

TOO_SMALL: Final = "too_small"
TOO_LONG: Final = "too_long"
DUPLICATE: Final = "duplicate"
SALIENT_OBJECT: Final = "salient_object"
KNOWN: Final = "known"
SIMILAR: Final = "similar"
SALIENT_REGION: Final = "salient_region"
KEPT: Final = "kept"
KEPT_UNSCREENED: Final = "kept_unscreened"
KEPT_INSTEAD: Final = "kept_instead"
KEPT_HUMAN: Final = "kept_human"
HUMAN: Final = "human"

REASONS: Final[Mapping[str, str]] = {
    "unreadable": "the file is missing or may not be read",
    "missing_value": "the table's row names no file",
    "missing_file": "the file that the table names is not there",
    "surplus_cells": "the table's row has more cells than columns",
    "unsafe_path": "the name leads out of its archive, or is not UTF-8",
    "not_a_file": "a pipe, a device or a socket; in an archive also a link",
    "loop": "a link to a folder in which it lies itself",
    "needs_package": "of a format for which a package is not installed",
    "encrypted": "an encrypted member of an archive",
    "damaged_archive": "an archive that cannot be read to its end",
    "too_many_bytes": "more bytes than the limit",
    "empty": "the file has no bytes",
    "not_an_image": "no picture of a supported format and kind, or its header is broken",
    "animated": "a moving picture, or several pages in one file",
    "too_many_pixels": "more pixels than the limit",
    "truncated": "the picture data end early",
    "damaged": "the file is damaged inside, though much of it may be decoded",
    TOO_SMALL: "the shorter side is below the limit",
    TOO_LONG: "a strip that no JPEG can hold at the size it would get",
    "transparent": "parts of it are transparent, so that it is no photograph, or what lies behind is not known",
    EMPTY: "of one brightness all over",
    UPSCALED: "hardly any detail at its own resolution",
    PANORAMA: "so long that little of it can be used",
    KNOWN: "the same picture as one of the set that it was checked against",
    DUPLICATE: "the same picture as another one that is kept or judged in its place",
    SIMILAR: "by its deep embedding the same picture as another one that is kept or judged in its place",
    SALIENT_OBJECT: "a person, an animal or a large thing stands out",
    SALIENT_REGION: "something stands out that no class was found for",
    KEPT: "passed every stage",
    KEPT_UNSCREENED: "passed every stage, but no detector looked for salient objects",
    KEPT_INSTEAD: "passed every stage, in the place of a copy that a person rejected",
    KEPT_HUMAN: "kept by a person, against an earlier stage",
    HUMAN: "rejected by a person, against every earlier stage",
}
"""Every reason of a verdict, explained."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on one photograph.

    Attributes:
        keep: Whether it belongs to the background set.
        stage: The stage that decided, one of `STAGES`.
        reason: A stable name, one of `REASONS`.
        message: What was found, in one sentence.
        score: Stage `resolution`: the flag's. Stage `duplicates`: bits by which the perceptual hashes differ, None for
            equal bytes; for `similar` the cosine of the embeddings. Reason `salient_region`: its saliency. Else in the
            stages `salience` and `split`: the salience, 0 nothing found to 1; None where no detector looked. Stage
            `review`: None.
        duplicate_of: Content id of the keeper, for duplicates only; of reason `known`, in the set that stands.
        split: `train` or `validation`, for kept photographs only.
    """

    keep: bool
    stage: str
    reason: str
    message: str
    score: float | None = None
    duplicate_of: str | None = None
    split: str | None = None

    @classmethod
    def refused(cls, error: Rejected) -> Self:
        """The verdict on a photograph that could not be examined."""
        return cls(keep=False, stage=error.stage, reason=error.reason, message=error.message)
