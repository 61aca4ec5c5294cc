from __future__ import annotations

import re
from typing import Any

import pytest

from bg20k.rules import CurationRules
from bg20k.verdict import FLAGS
from rssn.errors import InputError


def test_the_papers_figures_are_the_defaults() -> None:
    rules = CurationRules()
    assert rules.min_side == 1080
    assert rules.train_share == 0.75


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("min_side", 0),
        ("max_pixels", 0),
        ("phash_distance", 16),
        ("phash_distance", -1),
        ("flat_std", -0.1),
        ("grey", 256),
        ("salient_cost", 0.0),
        ("look_cost", 1.1),
        ("creature_area", -0.1),
        ("object_area", float("nan")),
        ("train_share", 2),
    ],
)
def test_a_value_out_of_range_is_named(field: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"^{field} is {re.escape(str(value).lower())}; expected "):
        CurationRules(**{field: value})


def test_numbers_are_set_by_name() -> None:
    rules = CurationRules.parse(["phash_distance=8", "cosine=0.9"], min_side=720, ignored_classes=("car",))
    assert rules == CurationRules(phash_distance=8, cosine=0.9, min_side=720, ignored_classes=("car",))
    assert type(rules.phash_distance) is int


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "cosinus=1",
            r"--rule cosinus=1: there is no such rule; the rules are max_pixels, max_bytes, ",
        ),
        ("min_side=720", "--rule min_side=720: there is no such rule"),
        ("cosine", r"--rule cosine: give cosine=NUMBER, as cosine=0\.85"),
        ("phash_distance=1.5", "give phash_distance=NUMBER, as phash_distance=6"),
        ("upscaled=2", "upscaled is 2; expected a number from 0 to 1"),
        ("panorama=0.5", "panorama is 0.5; expected a number from 1 to inf"),
        ("shared_mark=2", "shared_mark is 2; expected a number from 3 to inf"),
        ("panorama=nan", r"thresholds\.panorama is nan; expected a finite number"),
        ("cosine=2", r"cosine is 2\.0; expected 1 or less"),
    ],
)
def test_a_rule_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        CurationRules.parse([text], min_side=1080)


def test_a_class_that_counts_nowhere_cannot_be_ignored() -> None:
    with pytest.raises(InputError, match="ignored_classes: bench is no COCO class that makes a subject"):
        CurationRules(ignored_classes=("bench",))


def test_limits_of_flags_are_set_by_the_flags_name() -> None:
    assert CurationRules().thresholds == {
        "upscaled": 0.76,
        "panorama": 3.0,
        "drawn_on": 0.05,
        "text": 4.0,
        "frame": 0.008,
        "collage": 0.7,
        "flat_graphic": 0.52,
        "shared_mark": 3.0,
    }
    assert CurationRules.parse(["panorama=4"]).thresholds == CurationRules().thresholds | {"panorama": 4.0}
    with pytest.raises(InputError, match=r"thresholds\.blurred: there is no such flag; known here: upscaled, panorama"):
        CurationRules(thresholds={"blurred": 1.0})


PLAIN = {
    "low_texture": False,
    "sharpness": 50.0,
    "upscaling_score": 0.75,
    "aspect_ratio": 4 / 3,
    "drawn_length": 0.0,
    "letters_in_line": 1.0,
    "border_share": 0.0,
    "seam_share": 0.3,
    "flat_share": None,
    "object_score": None,
}


def test_flags_come_with_the_value_that_raised_them() -> None:
    rules = CurationRules()
    assert rules.flags(PLAIN) == {}
    assert rules.flags(PLAIN | {"upscaling_score": 0.76}) == {"upscaled": 0.76}
    assert rules.flags(PLAIN | {"upscaling_score": None}) == {}
    assert rules.flags(PLAIN | {"aspect_ratio": 2.9999}) == {}
    assert rules.flags(PLAIN | {"aspect_ratio": 3.0}) == {"panorama": 3.0}
    both = PLAIN | {"aspect_ratio": 3.0, "upscaling_score": 1.0}
    assert list(rules.flags(both)) == ["upscaled", "panorama"]
    assert rules.flags(both | {"low_texture": True}) == {"empty_picture": 50.0}
    assert list(CurationRules(thresholds={"panorama": 3.5}).flags(both)) == ["upscaled"]
    drawn = PLAIN | {
        "drawn_length": 0.05,
        "letters_in_line": 3.9,
        "border_share": 0.1,
        "seam_share": 0.7,
        "flat_share": 0.6,
    }
    assert list(rules.flags(drawn)) == ["drawn_on", "frame", "collage", "flat_graphic"]
    drawn_flags = ("drawn_on", "text", "frame", "collage", "flat_graphic")
    assert ("empty_picture", "upscaled", "panorama", *drawn_flags, "shared_mark", "unsure") == FLAGS
    assert rules.flags(PLAIN | {"mark_pictures": 3.0, "mark_place": "top"}) == {"shared_mark": 3.0}
    assert rules.flags(PLAIN | {"mark_pictures": None, "mark_place": None}) == {}


def test_what_one_look_is_worth_is_unsure() -> None:
    rules = CurationRules(salient_cost=9.0, look_cost=0.45)
    assert rules.salient_limit == 0.1
    found = {score: rules.flags(PLAIN | {"object_score": score}) for score in (0.0, 0.0499, 0.05, 0.1, 0.5499, 0.5501)}
    assert [score for score, flags in found.items() if flags == {"unsure": score}] == [0.05, 0.1, 0.5499]
    assert CurationRules(refused_flags=("unsure",)).refused_flag(PLAIN | {"object_score": 0.2}) == ("unsure", 0.2)


def test_a_flag_rejects_where_the_rules_say_so() -> None:
    both = PLAIN | {"aspect_ratio": 3.0, "upscaling_score": 0.92}
    assert CurationRules().refused_flag(both) is None
    assert CurationRules(refused_flags=("panorama",)).refused_flag(both) == ("panorama", 3.0)
    assert CurationRules(refused_flags=("panorama", "upscaled")).refused_flag(both) == ("upscaled", 0.92)
    with pytest.raises(InputError, match="refused_flags: blurred: there is no such flag; choose from empty_picture, "):
        CurationRules(refused_flags=("blurred",))
