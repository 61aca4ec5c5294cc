"""What is odd about a photograph but no reason to refuse it, unless the rules say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bg20k.candidates import Fingerprint
from bg20k.rules import EMPTY, PANORAMA, UPSCALED, CurationRules

FLAGS: Final[Mapping[str, str]] = {
    EMPTY: "of one brightness all over: black, white or nothing in it",
    UPSCALED: "hardly any detail at its own resolution: enlarged, or out of focus everywhere",
    PANORAMA: "so long that most of it is cut off when it is fitted behind a foreground",
}
"""Every flag, explained."""


def aspect(photograph: Fingerprint) -> float:
    """The longer side over the shorter one, 1 or more."""
    shorter, longer = sorted((photograph.source_width, photograph.source_height))
    return longer / shorter


def flags_of(photograph: Fingerprint, rules: CurationRules) -> dict[str, float]:
    """The flags of a photograph with the score that raised each: detail for `upscaled`, aspect for `panorama`.

    An empty one has no other flag; its score is its sharpness.
    """
    if photograph.flat:
        return {EMPTY: photograph.sharpness}
    found: dict[str, float] = {}
    if photograph.detail is not None and photograph.detail < rules.detail:
        found[UPSCALED] = photograph.detail
    if aspect(photograph) >= rules.panorama:
        found[PANORAMA] = aspect(photograph)
    return found
