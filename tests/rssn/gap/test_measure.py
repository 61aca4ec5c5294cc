"""The meter on rendered pictures: nothing is found where there is nothing, and what was made is found and named."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest
from scipy.stats import kstest

from rssn.gap.cues import LETTERS, Letter
from rssn.gap.measure import Joint, measure_gap
from rssn.gap.pictures import Measured, Pictures
from rssn.image.arrays import Image, encode_jpeg, resize_area, to_float, to_uint8
from rssn.image.decoding import decode_pixels
from tests.rssn.gap.rendered import SHOTS, SIZE, Change, background, measured, pictures

pytest.importorskip("sklearn")

BACKGROUNDS = 16
SETS = 50


@cache
def composite(foreground: int, behind: int) -> Measured:
    return measured(foreground, background(behind), f"{behind:02d}")


def halves(seed: int, together: bool) -> tuple[Pictures, Pictures]:
    """Two halves of one recipe: of each foreground, or of foregrounds that differ."""
    dice = np.random.default_rng(seed)
    order = dice.permutation(SHOTS)
    drawn = {int(f): dice.permutation(BACKGROUNDS)[:4].tolist() for f in order}
    if together:
        sides = [[(f, b) for f in drawn for b in drawn[f][part]] for part in (slice(3), slice(3, 4))]
    else:
        sides = [[(f, b) for f in half for b in drawn[int(f)][:2]] for half in (order[:5].tolist(), order[5:].tolist())]
    one, other = (Pictures.of(composite(f, b) for f, b in side) for side in sides)
    return one, other


@pytest.mark.slow
@pytest.mark.parametrize("together", [True, False])
def test_two_halves_of_one_recipe_are_not_told_apart(together: bool) -> None:
    """p is uniform over 50 sets, and areas are 0.5 on average: with few foregrounds, too."""
    ps, areas = [], []
    for seed in range(SETS):
        joint, dice = Joint.of(*halves(seed, together)), np.random.default_rng(seed)
        area = joint.area()
        larger = sum(joint.area(joint.shuffled(dice)) >= area for _ in range(99))
        ps.append((1 + larger) / 100)
        areas.append(area)
    assert kstest(ps, "uniform").pvalue > 0.05
    assert abs(np.mean(areas) - 0.5) < 3 * np.std(areas) / np.sqrt(SETS)


def noisy(foreground: Image, behind: Image) -> tuple[Image, Image]:
    dice = np.random.default_rng(int(1e6 * behind.mean()))
    return foreground, behind + dice.normal(0, 5 / 255, behind.shape).astype(np.float32)


def enlarged(foreground: Image, behind: Image) -> tuple[Image, Image]:
    small = resize_area(to_uint8(behind), SIZE[0] // 3, SIZE[1] // 3)
    return foreground, to_float(np.asarray(cv2.resize(small, SIZE, interpolation=cv2.INTER_CUBIC), np.uint8))


def compressed(foreground: Image, behind: Image) -> tuple[Image, Image]:
    return foreground, to_float(decode_pixels(encode_jpeg(to_uint8(behind), 70)))


def blurred(foreground: Image, behind: Image) -> tuple[Image, Image]:
    return foreground, np.asarray(cv2.blur(behind, (15, 15)), np.float32)


def brighter(foreground: Image, behind: Image) -> tuple[Image, Image]:
    return np.clip(foreground * np.float32(1.5), 0, 1), behind


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "letter", "remedy"),
    [
        (noisy, "noise", "denoise"),
        (enlarged, "resolution", "max_upscale"),
        (compressed, "compression", "jpeg"),
        (blurred, "sharpness", "blur"),
        (brighter, "light and colour", "harmonise"),
    ],
)
def test_a_known_discrepancy_is_found_named_and_ranked_first(change: Change, letter: Letter, remedy: str) -> None:
    found = measure_gap({"changed": pictures(change, name="changed")}, pictures(name="photograph"), permutations=99)
    one = found.sets[0]
    assert one.cues[0].cue.letter == letter
    assert remedy in one.cues[0].remedy
    assert one.letters[letter].low > 0.7
    if letter != "light and colour":
        assert one.distance.area.low > 0.7
        assert one.distance.p <= 0.03
        assert one.strength.value > found.strength.value, "one more cue tells F from B"


@pytest.mark.slow
def test_sets_are_compared_in_pairs() -> None:
    photographs, same = pictures(name="photograph"), pictures(blurred, name="a")
    sets = {"one": same, "again": same, "noisy": pictures(noisy, name="n"), "as photographed": pictures(name="p")}
    found = measure_gap(sets, photographs, permutations=1)
    changes = {(each.first, each.second, each.figure): each for each in found.differences}
    assert len(changes) == 6 * (2 + len(LETTERS))
    for figure in {figure for _, _, figure in changes}:
        alike = changes["one", "again", figure]
        assert (alike.change.value, alike.change.low, alike.change.high) == (0, 0, 0)
        assert not alike.differs
    assert changes["one", "as photographed", "distance"].differs
    assert changes["one", "as photographed", "distance"].change.value < -0.3
    assert found.sets[3].distance.area.value == pytest.approx(0.5), "each photograph has a twin"


@pytest.mark.slow
def test_neither_order_nor_names_of_sets_change_a_figure() -> None:
    photographs, one, other = pictures(name="photograph"), pictures(blurred, name="a"), pictures(noisy, name="b")
    first = measure_gap({"a": one, "b": other}, photographs, permutations=9)
    second = measure_gap({"y": other, "x": one}, photographs, permutations=9)
    for here, there in ((0, 1), (1, 0)):
        assert first.sets[here].distance.area == second.sets[there].distance.area
        assert first.sets[here].strength == second.sets[there].strength
        assert first.sets[here].distance.p == second.sets[there].distance.p


def test_labels_change_places_within_a_foreground_that_has_both_and_whole_ones_otherwise() -> None:
    groups = ("a", "a", "a", "b", "b", "c", "c", "a", "d", "e")
    composed = np.array([True] * 7 + [False] * 3)
    joint, dice = Joint(np.zeros((10, 1)), groups, composed), np.random.default_rng(0)
    seen = set()
    for _ in range(200):
        labels = joint.shuffled(dice)
        of = {
            group: [bool(label) for label, name in zip(labels, groups, strict=True) if name == group]
            for group in "abcde"
        }
        assert sum(of["a"]) == 3
        assert all(len(set(of[group])) == 1 for group in "bcde")
        assert sum(of[group][0] for group in "bcde") == 2
        seen.add(tuple(labels.tolist()))
    assert len(seen) == 4 * 6, "every way is met"
