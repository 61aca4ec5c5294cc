from __future__ import annotations

from dataclasses import replace

import pytest

from bg20k.flags import FLAGS, aspect, flags_of
from bg20k.rules import CurationRules
from bg20k.verdict import REASONS
from tests.bg20k.test_decide import record

RULES = CurationRules()


def test_flags_come_with_the_score_that_raised_them() -> None:
    plain = replace(record("a", 1), source_width=4000, source_height=3000, detail=0.05)
    assert flags_of(plain, RULES) == {}
    assert flags_of(replace(plain, detail=0.0499), RULES) == {"upscaled": 0.0499}
    assert flags_of(replace(plain, detail=None), RULES) == {}
    assert flags_of(replace(plain, source_width=9000), RULES) == {"panorama": 3.0}
    assert flags_of(replace(plain, source_width=1000), RULES) == {"panorama": 3.0}
    assert list(flags_of(replace(plain, source_width=9000, detail=0.0), RULES)) == ["upscaled", "panorama"]
    assert flags_of(replace(plain, source_width=9000, detail=0.0, flat=True), RULES) == {"empty_picture": 50.0}
    assert [*FLAGS] == ["empty_picture", "upscaled", "panorama"]


def test_aspect_does_not_know_which_side_is_longer() -> None:
    wide = record("a", 1, width=4000)
    assert aspect(wide) == aspect(replace(wide, source_width=3000, source_height=4000)) == pytest.approx(4 / 3)


def test_every_flag_is_explained_as_a_reason_too() -> None:
    assert set(FLAGS) <= set(REASONS)
