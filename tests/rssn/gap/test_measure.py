"""The meter on rendered pictures: nothing is found where there is nothing, and what was made is found and named."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
from scipy.stats import kstest

from rssn.errors import InputError
from rssn.gap.cues import CUES, LOW_LEVEL, Letter
from rssn.gap.measure import Joint, _Blocks, _reach, measure_gap
from rssn.gap.pictures import Measured, Named, Pictures
from rssn.gap.ranking import rank_cues
from rssn.image.arrays import Image, encode_jpeg, resize_area, to_float, to_uint8
from rssn.image.decoding import decode_pixels
from tests.rssn.gap.fewer import fit_fewer
from tests.rssn.gap.rendered import SHOTS, SIZE, Change, background, measured, pictures

pytest.importorskip("sklearn")

BACKGROUNDS = 16
SETS = 50


@pytest.fixture(autouse=True)
def _fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    fit_fewer(monkeypatch)


@cache
def composite(foreground: int, behind: int) -> Measured:
    return measured(foreground, background(behind), f"{behind:02d}")


def composite_on(foreground: int, behind: int) -> Measured:
    """One whose background is known to be another's as well."""
    one = composite(foreground, behind)
    return replace(one, of=replace(one.of, background_id=f"{behind}"))


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
        one, other = halves(seed, together)
        joint = Joint.of([one], other)
        ps.append(joint.chance(np.random.default_rng(seed), 49))
        areas.append(joint.area(joint.everything))
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
    found = measure_gap({"changed": pictures(change, name="changed")}, pictures(name="photograph"))
    one = found.sets[0]
    assert one.cues[0].cue.letter == letter
    assert remedy in one.cues[0].remedy(["blur", "denoise"])
    composites, photographs = pictures(change, name="changed"), pictures(name="photograph")
    assert rank_cues(one.cues, composites, photographs).largest == one.cues[0], "it stands out"
    assert one.letters[letter].low > 0.7
    if letter != "light and colour":
        assert one.distance.area.low > 0.7
        assert one.distance.p <= 0.03
        assert one.strength.value > found.strength.value, "one more cue tells F from B"


WORLDS, FOREGROUNDS, POOL = 30, 13, 28


def world(seed: int, gaps: tuple[float, float] = (1.0, 1.0)) -> tuple[Pictures, Pictures, Pictures]:
    """Two sets that share foregrounds and a pool of backgrounds, and photographs: some cues are off by a known gap."""
    dice = np.random.default_rng(seed)
    fronts, pool, own = (dice.normal(size=(count, len(CUES))) for count in (FOREGROUNDS, POOL, FOREGROUNDS))
    shift = np.isin(np.arange(len(CUES)), LOW_LEVEL[:2])

    def one(number: int, k: int, behind: int, off: float) -> Measured:
        sides = np.stack([fronts[number] + off * shift, own[number] if behind < 0 else pool[behind]])
        sides = (sides[:, None] + 0.3 * dice.normal(size=(2, 2, len(CUES)))).astype(np.float32)
        named = Named(f"{number:02d}/{k}", f"{number:02d}", f"{behind}" if behind >= 0 else "")
        nothing = np.zeros((0, len(CUES)), np.float32)
        return Measured(named, (99, 99), (1, 1), sides, (nothing, nothing))

    def drawn(off: float) -> Pictures:
        rows = [(n, k, int(b)) for n in range(FOREGROUNDS) for k, b in enumerate(dice.permutation(POOL)[:5])]
        return Pictures.of(one(*row, off) for row in rows)

    return drawn(gaps[0]), drawn(gaps[1]), Pictures.of(one(number, 0, -1, 0) for number in range(FOREGROUNDS))


@pytest.mark.slow
def test_intervals_hold_what_they_promise_though_each_model_is_fitted_to_few_foregrounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 60 sets."""
    monkeypatch.setattr("rssn.gap.measure.DEALS", 6)
    blocks = _Blocks({f"{number:02d}": number for number in range(FOREGROUNDS)}, FOREGROUNDS)
    found = []
    for seed in range(WORLDS):
        *sets, photographs = world(seed)
        joints = [Joint.of([one], photographs) for one in sets]
        found += [blocks.jackknifed(joint.groups, joint.area).estimate() for joint in joints]
    mean = np.mean([each.value for each in found])
    assert 0.6 < mean < 0.9
    assert sum(each.low <= mean <= each.high for each in found) >= 0.88 * len(found)


@pytest.mark.slow
def test_sets_of_one_law_are_hardly_ever_called_different_and_others_are() -> None:
    """Of 30 pairs each."""
    differ = []
    for gaps in ((1.0, 1.0), (2.0, 0.5)):
        called = 0
        for seed in range(WORLDS):
            first, second, photographs = world(seed, gaps)
            areas = [(joint := Joint.of([one], photographs)).area(joint.everything, 5) for one in (first, second)]
            called += abs(areas[1] - areas[0]) > _reach((first, second), photographs, seed)
        differ.append(called)
    assert differ[0] <= 4
    assert differ[1] >= 0.8 * WORLDS


def test_composites_that_share_all_their_backgrounds_are_refused() -> None:
    composites = Pictures.of(composite_on(number, behind) for number in range(6) for behind in (0, 1))
    photographs = Pictures.of(measured(number, background(number)) for number in range(6))
    with pytest.raises(InputError, match=r"few: its composites share 2 backgrounds, .*; compose with more backgrounds"):
        measure_gap({"few": composites}, photographs)


@pytest.mark.slow
def test_sets_are_compared_in_pairs() -> None:
    photographs, same = pictures(name="photograph"), pictures(blurred, name="a")
    sets = {"one": same, "again": same, "noisy": pictures(noisy, name="n"), "as photographed": pictures(name="p")}
    found = measure_gap(sets, photographs)
    changes = {(each.first, each.second, each.figure): each for each in found.differences}
    assert sorted({figure for _, _, figure in changes}) == ["cue strength", "distance"]
    assert len(changes) == 6 * 2
    for figure in ("cue strength", "distance"):
        alike = changes["one", "again", figure]
        assert (alike.change.value, alike.change.low, alike.change.high) == (0, 0, 0)
        assert not alike.differs
    assert changes["one", "as photographed", "distance"].differs
    assert changes["one", "as photographed", "distance"].change.value < -0.3
    assert found.sets[3].distance.area.value == pytest.approx(0.5), "each photograph has a twin"


@pytest.mark.slow
def test_neither_order_nor_names_of_sets_change_a_figure() -> None:
    photographs, one, other = pictures(name="photograph"), pictures(blurred, name="a"), pictures(noisy, name="b")
    first = measure_gap({"a": one, "b": other}, photographs)
    second = measure_gap({"y": other, "x": one}, photographs)
    for here, there in ((0, 1), (1, 0)):
        assert first.sets[here].distance.area == second.sets[there].distance.area
        assert first.sets[here].strength == second.sets[there].strength
        assert first.sets[here].distance.p == second.sets[there].distance.p


def test_labels_change_places_within_a_foreground_that_has_both_and_whole_ones_otherwise() -> None:
    groups = ("a", "a", "a", "b", "b", "c", "c", "a", "d", "e")
    composed = np.array([True] * 7 + [False] * 3)
    joint, dice = Joint(np.zeros((10, 1)), groups, composed, np.full(10, -1)), np.random.default_rng(0)
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
