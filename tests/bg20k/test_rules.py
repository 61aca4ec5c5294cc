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
        ("confidence", 1.1),
        ("creature_area", -0.1),
        ("object_area", float("nan")),
        ("train_share", 2),
    ],
)
def test_a_value_out_of_range_is_named(field: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"^{field} = {re.escape(str(value))}: must lie between"):
        CurationRules(**{field: value})
