from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from bg20k.alignment import Comparison, compare
from bg20k.lookalikes import lookalikes, print_of, unpacked
from bg20k.rules import CurationRules
from bg20k.sketch import Sketch
from bg20k.views import VIEWS
from rssn.image.arrays import Pixels
from tests.bg20k.conftest import Render

AGREEMENT = CurationRules().agreement
LOGO = np.random.default_rng(0).integers(0, 2, (6, 6)).astype(np.uint8).repeat(12, 0).repeat(12, 1) * 255


def laid(one: Pixels, other: Pixels) -> Comparison:
    sketches = [Sketch.of(each) for each in (one, other)]
    prints = [unpacked(print_of(grey, each, 1.0))[0, :VIEWS] for grey, each in zip((one, other), sketches, strict=True)]
    return compare(sketches[0], sketches[1], (prints[0], prints[1]))


def are_candidates(one: Pixels, other: Pixels) -> bool:
    prints = [print_of(grey, Sketch.of(grey), 1.0) for grey in (one, other)]
    return lookalikes(unpacked(b"".join(prints)), np.zeros(2, np.bool_)).tolist() == [[0, 1]]


def with_logo(grey: Pixels) -> Pixels:
    out = grey.copy()
    out[180:252, 300:372] = LOGO
    return out


@pytest.fixture
def grey(render: Render) -> Pixels:
    return np.ascontiguousarray(render(1, 720, 480)[..., 1])


CHANGES: dict[str, Callable[[Pixels], Pixels]] = {
    "corner": lambda grey: grey[:288, :432],
    "any part": lambda grey: grey[60:430, 90:600],
    "16:9": lambda grey: grey[37:442],
    "mirrored": lambda grey: np.ascontiguousarray(grey[:, ::-1]),
    "mirrored part": lambda grey: np.ascontiguousarray(grey[60:430, 90:600][:, ::-1]),
    "dark": lambda grey: (255 * (grey / 255.0) ** 1.8).astype(np.uint8),
    "negative": lambda grey: 255 - grey,
    "logo": with_logo,
    "border": lambda grey: np.pad(grey, 30, constant_values=255),
    "blurred": lambda grey: np.asarray(cv2.GaussianBlur(grey, (0, 0), 2.0), np.uint8),
    "small": lambda grey: np.asarray(cv2.resize(grey, (360, 240), interpolation=cv2.INTER_AREA), np.uint8),
}


@pytest.mark.parametrize("change", CHANGES)
def test_copies_are_found_and_verified(grey: Pixels, change: str) -> None:
    copy = CHANGES[change](grey)
    assert are_candidates(grey, copy)
    found = laid(grey, copy)
    assert found.is_copy(AGREEMENT)
    assert found.mirrored == change.startswith("mirrored")
    assert laid(copy, grey).is_copy(AGREEMENT)


def test_strangers_are_no_copies_though_they_carry_the_same_logo(render: Render) -> None:
    photos = [np.ascontiguousarray(render(seed, 720, 480)[..., 1]) for seed in range(8)]
    for row, one in enumerate(photos):
        for other in photos[:row]:
            assert not laid(one, other).is_copy(AGREEMENT)
            stamped = laid(with_logo(one), with_logo(other))
            assert not stamped.is_copy(AGREEMENT)
            assert stamped.evidence < 0.5


def test_the_same_logo_on_two_skies_makes_no_copies() -> None:
    rows = np.linspace(0, 1, 480)[:, None] * np.ones(720)
    grain = np.random.default_rng(4).normal(0, 4, (2, 30, 45))
    one, other = (
        np.clip(40 + slope * rows + cv2.resize(each, (720, 480), interpolation=cv2.INTER_CUBIC), 0, 255)
        for slope, each in zip((170, 150), grain, strict=True)
    )
    found = laid(with_logo(one.astype(np.uint8)), with_logo(other.astype(np.uint8)))
    assert found.agreement > AGREEMENT
    assert not found.is_copy(AGREEMENT)


def test_a_crop_shows_less_and_a_border_nothing(grey: Pixels) -> None:
    assert laid(grey, CHANGES["corner"](grey)).cropped == (False, True)
    assert laid(CHANGES["16:9"](grey), grey).cropped == (True, False)
    assert laid(grey, CHANGES["border"](grey)).cropped == (False, False)
    covered = laid(grey, CHANGES["corner"](grey)).covered
    assert covered == pytest.approx((0.36, 1.0), abs=0.03)


def test_plain_pictures_are_copies_of_nothing(grey: Pixels) -> None:
    plain = np.full((480, 720), 90, np.uint8)
    assert not laid(plain, plain).is_copy(AGREEMENT)
    assert not laid(plain, grey).is_copy(AGREEMENT)


def test_an_alignment_without_features_has_to_agree_more() -> None:
    found = Comparison(agreement=0.7, structure=1.0, covered=(1.0, 1.0))
    assert (found.evidence, found.is_copy(0.6)) == (pytest.approx(0.4), False)
    assert Comparison(agreement=0.7, details=0.5, structure=1.0, covered=(1.0, 1.0), inliers=8).is_copy(0.6)
    assert not Comparison(agreement=0.9, details=0.4, structure=1.0, covered=(1.0, 1.0), inliers=8).is_copy(0.6)
    assert not Comparison(agreement=0.9, details=0.9, structure=1.0, covered=(0.5, 0.5), inliers=99).is_copy(0.6)


def test_crops_that_overlap_need_many_features(grey: Pixels) -> None:
    found = laid(grey[:, :560], grey[:, 160:])
    assert found.covered == pytest.approx((400 / 560, 400 / 560), abs=0.03)
    assert found.is_copy(AGREEMENT)
    assert not replace(found, inliers=29).is_copy(AGREEMENT)
