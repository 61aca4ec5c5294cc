"""What the curation says about a photograph: kept or not, at which stage, for which reason, in words.

A reason is one row of `REASONS`: a stable name that people filter by in `rejects/`, its explanation, and its threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Self

from rssn.errors import Rejected

STAGES: Final = ("read", "resolution", "duplicates", "salience", "split", "review")
"""The stages in the order in which they judge. A kept photograph has passed them all: its stage is `split`, or `review`
where a person overruled an earlier stage.
"""

TOO_SMALL: Final = "too_small"
TOO_LONG: Final = "too_long"
EMPTY: Final = "empty_picture"
DUPLICATE: Final = "duplicate"
KNOWN: Final = "known"
ALTERED: Final = "altered"
SIMILAR: Final = "similar"
SALIENT_OBJECT: Final = "salient_object"
SALIENT_REGION: Final = "salient_region"
SHARED_MARK: Final = "shared_mark"
UNSURE: Final = "unsure"
KEPT: Final = "kept"
KEPT_UNSCREENED: Final = "kept_unscreened"
KEPT_INSTEAD: Final = "kept_instead"
KEPT_HUMAN: Final = "kept_human"
HUMAN: Final = "human"


@dataclass(frozen=True, slots=True)
class Threshold:
    """A limit on a measure; `--rule REASON=NUMBER` sets another one.

    Attributes:
        measure: A number of `bg20k.measures.MEASURES` or `CRAWL_MEASURES`; where a photograph has none, the limit does
            not apply.
        sign: Whether values below the limit are flagged, or the limit and what lies above.
        limit: The default.
        lowest: The smallest limit that makes sense.
        highest: The largest one.
    """

    measure: str
    sign: Literal["<", ">="]
    limit: float
    lowest: float = 0.0
    highest: float = float("inf")

    def is_crossed(self, value: float, limit: float) -> bool:
        """Whether a value is flagged, given the limit of the rules."""
        return value < limit if self.sign == "<" else value >= limit


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a photograph is kept, rejected or flagged.

    Attributes:
        name: Stable, in snake case.
        explanation: One line for people.
        threshold: A limit on a measure: what is beyond it is flagged, and rejected where `refused_flags` asks for it.
            Or the name of the rule that holds the threshold. None where nothing is compared.
    """

    name: str
    explanation: str
    threshold: Threshold | str | None = None


REASONS: Final[Mapping[str, Reason]] = {
    reason.name: reason
    for reason in (
        Reason("unreadable", "the file is missing or may not be read"),
        Reason("missing_value", "the table's row names no file"),
        Reason("missing_file", "the file that the table names does not exist"),
        Reason("surplus_cells", "the table's row has more cells than columns"),
        Reason("unsafe_path", "the name leads out of its archive, or is not UTF-8"),
        Reason("not_a_file", "a pipe, a device or a socket; in an archive also a link"),
        Reason("loop", "a link to a folder that contains the link itself"),
        Reason("needs_package", "of a format for which a package is not installed"),
        Reason("encrypted", "an encrypted member of an archive"),
        Reason("damaged_archive", "an archive that cannot be read to its end"),
        Reason("too_many_bytes", "more bytes than the limit"),
        Reason("empty", "the file has no bytes"),
        Reason("not_an_image", "no image of a supported format and kind, or its header is broken"),
        Reason("animated", "an animation, or several pages in one file"),
        Reason("too_many_pixels", "more pixels than the limit"),
        Reason("truncated", "the image data end early"),
        Reason("damaged", "the file is damaged inside, though much of it may be decoded"),
        Reason(TOO_SMALL, "the shorter side is below the limit", "min_side"),
        Reason(TOO_LONG, "so elongated that no JPEG can hold it at the size to which it would be resized"),
        Reason("transparent", "parts of it are transparent: no photograph, or what lies behind is unknown"),
        Reason(EMPTY, "of one brightness all over: black, white or nothing in it", "flat_std"),
        # On photographs left out of the fit (bench_upscaling): flagged are 0 of 34 photographs as they are and 1 of 79
        # of a crawl; none of 372 clean ones stored as JPEG, 2.8 % of shrunk, 1.9 % of defocused ones; 71 % of those
        # enlarged by 1.25, 96 % by 1.5 (JPEG 75: 93 %), 95 % by 2 (JPEG 75: 92 %; of sharp sources shrunk before 83 %),
        # 99 % by 3, 93 % by 4. To find 93 % of the 83 %, a limit on high frequencies beside it flags 24 % of defocused.
        Reason(
            "upscaled",
            "its pixels were interpolated: enlarged by about 1.4 or more",
            Threshold("upscaling_score", ">=", 0.76, highest=1.0),
        ),
        Reason(
            "panorama",
            "so elongated that most of it is cut off when it is fitted behind a foreground",
            Threshold("aspect_ratio", ">=", 3.0, lowest=1.0),
        ),
        # Of 59 photographs with nothing put on them (bench_flags): 1 is `drawn_on` (star trails), 2 are a `collage`
        # (level horizons), none is flagged otherwise. Of 23 with text 23 are `drawn_on`, 15 `text`; of 15 with a logo
        # alone 9; of 23 graphics 15 are a `flat_graphic`. What is drawn across texture is mostly missed.
        Reason(
            "drawn_on",
            "something is drawn on it: a logo, a watermark, letters or lines",
            Threshold("drawn_length", ">=", 0.05),
        ),
        Reason("text", "a line of text stands in it", Threshold("letters_in_line", ">=", 4.0)),
        Reason(
            "frame",
            "it has a border of one colour",
            Threshold("border_share", ">=", 0.008, highest=1.0),
        ),
        Reason(
            "collage",
            "a straight seam runs through it: put together from several pictures, or a level horizon",
            Threshold("seam_share", ">=", 0.7, highest=1.0),
        ),
        Reason(
            "flat_graphic",
            "much of it has no grain at all: a drawing or a graphic",
            Threshold("flat_share", ">=", 0.52, highest=1.0),
        ),
        Reason(
            SHARED_MARK,
            "the same mark stands at the same place in other pictures of its source: a watermark, a logo, a date",
            Threshold("mark_pictures", ">=", 3.0, lowest=3.0),
        ),
        Reason(KNOWN, "the same picture as one of the set named by --against", "phash_distance"),
        Reason(DUPLICATE, "the same picture as another one that is kept or judged in its place", "phash_distance"),
        Reason(
            ALTERED,
            "a crop of another one that is kept or judged in its place, mirrored, recoloured or drawn over",
            "agreement",
        ),
        Reason(SIMILAR, "by its deep embedding the same picture as another one, kept or judged in its place", "cosine"),
        Reason(SALIENT_OBJECT, "a person, an animal or a large thing stands out", "salient_limit"),
        Reason(SALIENT_REGION, "something stands out that is of no known class", "salient_limit"),
        Reason(UNSURE, "it may show a salient object: a person should look", "look_cost"),
        Reason(KEPT, "passed every stage", "salient_limit"),
        Reason(KEPT_UNSCREENED, "passed every stage, but no detector looked for salient objects"),
        Reason(KEPT_INSTEAD, "passed every stage, in the place of a copy that a person rejected"),
        Reason(KEPT_HUMAN, "kept by a person, against an earlier stage"),
        Reason(HUMAN, "rejected by a person, against every earlier stage"),
    )
}
"""Every reason of a verdict, by name."""

THRESHOLDS: Final[Mapping[str, Threshold]] = {
    name: reason.threshold for name, reason in REASONS.items() if isinstance(reason.threshold, Threshold)
}
"""The limits on measures, by reason."""

FLAGS: Final = (EMPTY, *THRESHOLDS, UNSURE)
"""Reasons that flag a photograph without rejecting it, unless `refused_flags` asks for it."""


def explain(reason: str) -> str:
    """A reason in words; what is no reason of ours is an error in the program."""
    return REASONS[reason].explanation if reason in REASONS else "unexpected error"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on one photograph.

    Attributes:
        keep: Whether it belongs to the background set.
        stage: The stage that decided, one of `STAGES`.
        reason: A stable name, one of `REASONS`.
        message: What was found, in one sentence.
        score: Stage `resolution`: the value that raised the flag. Stage `duplicates`: bits by which the perceptual
            hashes differ, None for equal bytes; for `altered` the agreement of the aligned pictures, for
            `similar` the cosine of the embeddings. In the stages `salience` and `split`: the object score; None where
            no network looked. Stage `review`: None.
        duplicate_of: Content id of the keeper, for duplicates only; of reason `known` in the existing set, of
            `altered` and `similar` there where the message says so.
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
