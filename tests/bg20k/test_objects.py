from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from bg20k.objects import VIEWS, Detection, look
from rssn.image.arrays import Pixels


def test_area_is_the_share_of_the_frame() -> None:
    assert Detection("cat", 0.5, (0.25, 0.5, 0.75, 0.6)).area == pytest.approx(0.05)
    assert Detection("cat", 0.5, (0.5, 0.5, 0.4, 0.9)).area == 0.0


def test_a_finding_is_stored_with_its_view() -> None:
    found = Detection("cat", 0.5, (0.25, 0.5, 0.75, 0.625), "centre")
    stored = {"label": "cat", "confidence": 0.5, "view": "centre", "x": 0.25, "y": 0.5, "width": 0.5, "height": 0.125}
    assert found.to_box() == stored
    assert Detection.of_box(stored) == found
    assert Detection.of_box({name: value for name, value in stored.items() if name != "view"}).view == "whole"


class WhiteFinder:
    """Finds the white pixels, in each image as a box of its own."""

    name = "white"
    batch = 2

    def __init__(self) -> None:
        self.batches: list[list[tuple[int, ...]]] = []

    def detect(self, images: Sequence[Pixels]) -> list[list[Detection]]:
        self.batches.append([image.shape for image in images])
        return [self._white(image) for image in images]

    @staticmethod
    def _white(image: Pixels) -> list[Detection]:
        rows, columns = np.nonzero(image[..., 0] == 255)
        if not rows.size:
            return []
        height, width = image.shape[:2]
        box = (columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height)
        return [Detection("cat", 0.5, box)]


def test_findings_in_the_centre_are_placed_in_the_whole_frame() -> None:
    middle, corner = np.zeros((99, 203, 3), np.uint8), np.zeros((60, 60, 3), np.uint8)
    middle[40:60, 90:140] = 255
    corner[:6, :6] = 255
    detector = WhiteFinder()
    in_both, in_one = look(detector, [middle, corner])
    assert [(each.view, each.label) for each in in_both] == [("whole", "cat"), ("centre", "cat")]
    for each in in_both:
        np.testing.assert_allclose(each.box, (90 / 203, 40 / 99, 140 / 203, 60 / 99), atol=1e-12)
    assert in_one == [Detection("cat", 0.5, (0.0, 0.0, 0.1, 0.1), "whole")]
    assert detector.batches == [[(99, 203, 3), (60, 60, 3)], [(59, 121, 3), (36, 36, 3)]]
    assert list(VIEWS) == ["whole", "centre"]
