from __future__ import annotations

import pytest

from rssn.errors import InputError
from train.network.strategy import PAPER_SCALES, Scales, Strategy


def test_scales_are_those_of_the_crops_that_the_pictures_allow() -> None:
    sizes = [(1080, 1620), (1080, 1440), (1080, 1944)]
    assert Scales.of_crops((1280, 640, 960), 320, sizes) == Scales((320 / 1080, 1 / 3, 1 / 2), 1620)
    assert Scales.of_crops((640,), 320, [(160, 200)]) == Scales((2.0,), 200)


def test_they_survive_a_checkpoint_and_others_are_refused() -> None:
    assert Scales.from_plain(PAPER_SCALES.to_plain()) == PAPER_SCALES
    assert Scales.from_plain({}) is None
    for wrong in (
        {"shares": [1]},
        {"shares": [], "side": 3},
        {"shares": [-1.0], "side": 3},
        {"shares": "a", "side": 3},
    ):
        with pytest.raises(InputError, match="no scales of a training"):
            Scales.from_plain(wrong)


def test_a_photograph_is_seen_as_the_crops_showed_it() -> None:
    own = Strategy.as_trained(PAPER_SCALES)
    assert own == Strategy(1620, share=pytest.approx((320 / 1080 + 1 / 3 + 1 / 2) / 3))
    assert own.seen(1620, 1080) == [(608, 416)]
    assert own.seen(800, 600) == [(288, 224)]  # no larger, as if it were sharper than it is
    assert own.seen(6000, 4000) == [(608, 416)]  # as the training's, whose subjects had no more px
    assert Strategy.as_trained(Scales((2.0,), 200)).seen(100, 64) == [(192, 128)]  # which training enlarged, too
    assert Strategy.as_trained(None) == Strategy()


@pytest.mark.parametrize(
    ("strategy", "size", "seen"),
    [
        (Strategy(480), (1620, 1080), [(480, 320)]),
        (Strategy(480), (1080, 1620), [(320, 480)]),
        (Strategy(480), (400, 300), [(384, 288)]),  # never enlarged
        (Strategy(0), (1080, 1920), [(1088, 1920)]),
        (Strategy(0), (3, 5), [(32, 32)]),
        (Strategy(0, (1 / 3, 1 / 2)), (1620, 1080), [(544, 352), (800, 544)]),
        (Strategy(810, (1 / 3, 1 / 2)), (1620, 1080), [(256, 192), (416, 256)]),
    ],
)
def test_sides_are_rounded_to_multiples_of_32(
    strategy: Strategy, size: tuple[int, int], seen: list[tuple[int, int]]
) -> None:
    assert strategy.seen(*size) == seen


def test_nothing_asked_for_is_no_strategy() -> None:
    assert Strategy.parse(None, None) is None
    assert Strategy.parse(0, None) == Strategy(0)
    assert Strategy.parse(None, ("1/3", "0.5")) == Strategy(0, (1 / 3, 0.5))
    assert Strategy.parse(900, ("1/3", "0.5")) == Strategy(900, (1 / 3, 0.5))


def test_words_say_what_is_seen() -> None:
    assert Strategy(480).describe() == "longer side at most 480 px"
    assert Strategy(0, (1 / 3, 1 / 2)).describe() == "whole, hybrid d1 0.333, d2 0.5"
    assert Strategy(1620, share=0.377).describe() == "longer side at most 1620 px, 0.377 of its sides"
