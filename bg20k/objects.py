"""What a detector must offer, and how it looks at a photograph: at the whole frame, and at its centre enlarged.

A background may show a city with far-away people or a furnished room, but no subject: an unlabelled person or animal
would teach a matting network that foregrounds are background (section 4.1). `bg20k.evidence` says what the findings
mean together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, Self, TypeAlias

import numpy as np

from rssn.image.arrays import Pixels

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom as shares of the frame's width and height, 0 to 1."""

WHOLE: Final = "whole"

VIEWS: Final[Mapping[str, Box]] = {WHOLE: (0.0, 0.0, 1.0, 1.0), "centre": (0.2, 0.2, 0.8, 0.8)}
"""The parts of a photograph at which a detector looks. A subject is found in both, most false alarms in one of them
alone; more parts cost more and find hardly more, see `tests/benchmarks/bench_salient.py`.
"""


@dataclass(frozen=True, slots=True)
class Detection:
    """One finding of a detector.

    Attributes:
        label: Name of the COCO class.
        confidence: 0 to 1.
        box: Its place in the whole frame.
        view: The part of `VIEWS` in which it was found.
    """

    label: str
    confidence: float
    box: Box
    view: str = WHOLE

    @classmethod
    def of_box(cls, box: Mapping[str, Any]) -> Self:
        """A detection as `to_box` stores it."""
        left, top = box["x"], box["y"]
        corners = (left, top, left + box["width"], top + box["height"])
        return cls(box["label"], box["confidence"], corners, box.get("view") or WHOLE)

    def to_box(self) -> dict[str, Any]:
        """Label, confidence, view, and x, y, width, height as shares of the frame, as the column `boxes` has it."""
        left, top, right, bottom = self.box
        place = {"x": left, "y": top, "width": right - left, "height": bottom - top}
        return {"label": self.label, "confidence": self.confidence, "view": self.view} | place

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


def look(detector: Detector, images: Sequence[Pixels], views: Mapping[str, Box] = VIEWS) -> list[list[Detection]]:
    """What a detector finds in all views of photographs, in batches of one view.

    Args:
        detector: Any.
        images: H x W x 3 uint8 RGB each, of any sizes.
        views: The parts of each.

    Returns:
        The findings in each photograph, placed in its whole frame.
    """
    found: list[list[Detection]] = [[] for _ in images]
    for view, part in views.items():
        crops = [_cropped(image, part) for image in images]
        detections = detector.detect([pixels for pixels, _ in crops])
        for findings, (_, frame), seen in zip(found, crops, detections, strict=True):
            findings += [replace(one, box=_placed(one.box, frame), view=view) for one in seen]
    return found


def _cropped(image: Pixels, part: Box) -> tuple[Pixels, Box]:
    """The pixels of a part of an image, and the box that they are to the last pixel."""
    height, width = image.shape[:2]
    left, top, right, bottom = (round(share * side) for share, side in zip(part, (width, height) * 2, strict=True))
    pixels = np.ascontiguousarray(image[top:bottom, left:right])
    return pixels, (left / width, top / height, right / width, bottom / height)


def _placed(box: Box, frame: Box) -> Box:
    """A box in a part of the frame, as one in the whole frame."""
    left, top, width, height = frame[0], frame[1], frame[2] - frame[0], frame[3] - frame[1]
    return left + box[0] * width, top + box[1] * height, left + box[2] * width, top + box[3] * height
