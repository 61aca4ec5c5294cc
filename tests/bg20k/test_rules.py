from __future__ import annotations

import re
from typing import Any

import pytest

from bg20k.rules import CurationRules
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
        ("confidence", 1.1),
        ("creature_area", -0.1),
        ("object_area", float("nan")),
        ("train_share", 2),
    ],
)
def test_a_value_out_of_range_is_named(field: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"^{field} = {re.escape(str(value))}: must lie between"):
        CurationRules(**{field: value})


def test_numbers_are_set_by_name() -> None:
    rules = CurationRules.parse(["phash_distance=8", "cosine=0.9"], min_side=720, ignored_classes=["car"])
    assert rules == CurationRules(phash_distance=8, cosine=0.9, min_side=720, ignored_classes=("car",))
    assert type(rules.phash_distance) is int


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cosinus=1", r"--rule cosinus=1: there is no such rule; the rules are max_pixels, max_bytes, detail, "),
        ("min_side=720", "--rule min_side=720: there is no such rule"),
        ("cosine", r"--rule cosine: give cosine=NUMBER, as cosine=0\.85"),
        ("phash_distance=1.5", "give phash_distance=NUMBER, as phash_distance=6"),
        ("cosine=2", "cosine = 2.0: must lie between 0 and 1"),
    ],
)
def test_a_rule_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        CurationRules.parse([text], min_side=1080)


def test_a_class_that_counts_nowhere_cannot_be_ignored() -> None:
    with pytest.raises(InputError, match="ignored_classes: bench: counts nowhere"):
        CurationRules(ignored_classes=("bench",))
