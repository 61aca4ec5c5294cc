from __future__ import annotations

import pytest

from bg20k.rules import CurationRules
from bg20k.verdict import REASONS, Threshold, Verdict, explain
from rssn.errors import Rejected
from rssn.image.arrays import encode_png
from rssn.image.decoding import decode_pixels


def test_a_refusal_becomes_a_verdict() -> None:
    verdict = Verdict.refused(Rejected("resolution", "too_small", "800 x 600 px"))
    assert verdict == Verdict(keep=False, stage="resolution", reason="too_small", message="800 x 600 px")
    assert (verdict.score, verdict.duplicate_of, verdict.split) == (None, None, None)


def test_every_reason_of_the_reader_is_explained(render) -> None:
    png = encode_png(render(0, 60, 40))
    broken = {"empty": b"", "not_an_image": b"text", "truncated": png[:-200]}
    for reason, data in broken.items():
        with pytest.raises(Rejected) as caught:
            decode_pixels(data)
        assert caught.value.reason == reason
        assert reason in REASONS
    with pytest.raises(Rejected) as caught:
        decode_pixels(png, max_pixels=2399)
    assert caught.value.reason == "too_many_pixels"
    assert caught.value.reason in REASONS


def test_a_threshold_that_is_no_limit_on_a_measure_is_a_rule() -> None:
    rules = {reason.threshold for reason in REASONS.values() if isinstance(reason.threshold, str)}
    assert all(isinstance(getattr(CurationRules(), name), int | float) for name in rules)


def test_below_means_below_and_from_means_from() -> None:
    assert [Threshold("sharpness", "<", 1.0).is_crossed(value, 2.0) for value in (1.9, 2.0)] == [True, False]
    assert [Threshold("sharpness", ">=", 1.0).is_crossed(value, 2.0) for value in (1.9, 2.0)] == [False, True]


def test_what_is_no_reason_of_ours_is_an_unexpected_error() -> None:
    assert explain("kept") == "passed every stage"
    assert explain("ZeroDivisionError") == "unexpected error"
