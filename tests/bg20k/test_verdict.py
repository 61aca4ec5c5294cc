from __future__ import annotations

import pytest

from bg20k.verdict import REASONS, Verdict
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
