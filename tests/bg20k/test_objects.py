from __future__ import annotations

import pytest

from bg20k.objects import CREATURES, OBJECTS, Detection, object_score
from bg20k.rules import CurationRules

RULES = CurationRules(creature_area=0.01, object_area=0.25)


def found(label: str, confidence: float, side: float) -> Detection:
    """A square of `side` shares of the frame."""
    return Detection(label, confidence, (0.0, 0.0, side, side))


def test_area_is_the_share_of_the_frame() -> None:
    assert Detection("cat", 0.5, (0.25, 0.5, 0.75, 0.6)).area == pytest.approx(0.05)
    assert Detection("cat", 0.5, (0.5, 0.5, 0.4, 0.9)).area == 0.0


def test_nothing_found_scores_nothing() -> None:
    assert object_score([], RULES) == (0.0, None)


def test_the_surest_detection_that_counts_gives_the_score() -> None:
    unsure, sure = found("cat", 0.3, 0.5), found("dog", 0.8, 0.2)
    far = found("person", 0.99, 0.09)
    assert object_score([unsure, far, sure], RULES) == (0.8, sure)


@pytest.mark.parametrize("label", sorted(CREATURES))
def test_creatures_count_when_small(label: str) -> None:
    assert object_score([found(label, 0.9, 0.125)], RULES)[0] == 0.9
    assert object_score([found(label, 0.9, 0.0625)], RULES) == (0.0, None)


@pytest.mark.parametrize("label", sorted(OBJECTS))
def test_things_count_when_large(label: str) -> None:
    assert object_score([found(label, 0.9, 0.5)], RULES)[0] == 0.9
    assert object_score([found(label, 0.9, 0.4375)], RULES) == (0.0, None)


@pytest.mark.parametrize("label", ["bench", "traffic light", "couch", "bed", "potted plant", "book", "lizard"])
def test_scenery_never_counts(label: str) -> None:
    assert object_score([found(label, 1.0, 1.0)], RULES) == (0.0, None)


def test_equal_confidences_are_settled_by_area() -> None:
    small, large = found("cat", 0.5, 0.25), found("bird", 0.5, 0.5)
    assert object_score([small, large], RULES) == object_score([large, small], RULES) == (0.5, large)


def test_an_ignored_class_never_counts() -> None:
    rules = CurationRules(ignored_classes=("car",))
    car, dog = Detection("car", 0.9, (0.0, 0.0, 1.0, 1.0)), Detection("dog", 0.6, (0.0, 0.0, 0.5, 0.5))
    assert object_score([car, dog], rules) == (0.6, dog)
    assert object_score([car], rules) == (0.0, None)
