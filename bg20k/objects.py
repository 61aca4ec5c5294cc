"""Salient objects: what a detector must offer, and which of its findings disqualify a background.

A background may show a city with far-away people or a furnished room, but no subject: an unlabelled person or animal
would teach a matting network that foregrounds are background (section 4.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from bg20k.classes import CREATURES, OBJECTS
from bg20k.rules import CurationRules
from rssn.image.arrays import Pixels


@dataclass(frozen=True, slots=True)
class Detection:
    """One finding of a detector.

    Attributes:
        label: Name of the COCO class.
        confidence: 0 to 1.
        box: Left, top, right, bottom as shares of the frame's width and height, 0 to 1.
    """

    label: str
    confidence: float
    box: tuple[float, float, float, float]

    @classmethod
    def of_box(cls, box: Mapping[str, Any]) -> Self:
        """A detection as `to_box` stores it."""
        left, top = box["x"], box["y"]
        return cls(box["label"], box["confidence"], (left, top, left + box["width"], top + box["height"]))

    def to_box(self) -> dict[str, Any]:
        """Label, confidence, and x, y, width, height as shares of the frame, as the column `boxes` has it."""
        left, top, right, bottom = self.box
        place = {"x": left, "y": top, "width": right - left, "height": bottom - top}
        return {"label": self.label, "confidence": self.confidence} | place

    @property
    def area(self) -> float:
        """Share of the frame that the box covers, 0 to 1."""
        left, top, right, bottom = self.box
        return max(right - left, 0.0) * max(bottom - top, 0.0)


class Detector(Protocol):
    """Finds objects of the COCO classes in photographs; the curation works with any implementation."""

    @property
    def name(self) -> str:
        """What goes into the column `screened_by`."""

    @property
    def batch(self) -> int:
        """How many photographs it works on at once."""

    def detect(self, images: Sequence[Pixels]) -> list[list[Detection]]:
        """Find objects.

        Args:
            images: H x W x 3 uint8 RGB each, of any sizes.

        Returns:
            The findings in each image, uncertain ones included: the rules choose.
        """


def object_score(detections: Sequence[Detection], rules: CurationRules) -> tuple[float, Detection | None]:
    """How likely a photograph shows a salient object.

    The score is the highest confidence among the people and animals that cover `creature_area` of the frame or more
    and the things that cover `object_area` or more. The photograph is rejected when it reaches `confidence`.

    Returns:
        The score, 0 where nothing counts to 1, and the detection that gives it.
    """
    counted = [d for d in detections if d.area >= _least_area(d.label, rules)]
    strongest = max(counted, key=lambda d: (d.confidence, d.area, d.label), default=None)
    return (strongest.confidence, strongest) if strongest else (0.0, None)


def _least_area(label: str, rules: CurationRules) -> float:
    if label in rules.ignored_classes:
        return float("inf")
    if label in CREATURES:
        return rules.creature_area
    return rules.object_area if label in OBJECTS else float("inf")
