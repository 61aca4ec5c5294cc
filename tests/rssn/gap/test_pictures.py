from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from rssn.errors import Rejected
from rssn.gap.cues import CUES
from rssn.gap.patches import cut_patches
from rssn.gap.pictures import Measured, Named, Pictures, measure_picture, patch_values, shrink
from rssn.image.arrays import Pixels


def picture(seed: int = 0) -> tuple[Pixels, Pixels]:
    """Noise, with 3 x 6 patches of F above as many of B."""
    pixels = np.random.default_rng(seed).integers(0, 256, (192, 192, 3), dtype=np.uint8)
    return pixels, np.repeat(np.uint8([255, 0]), 96)[:, None].repeat(192, axis=1)


def test_a_side_is_the_mean_and_the_quantile_of_its_patches() -> None:
    pixels, alpha = picture()
    found = measure_picture(pixels, alpha, Named("a", "g"))
    patches = cut_patches(pixels, alpha)
    values = patch_values(patches)
    for side, inside in enumerate((patches.in_foreground, ~patches.in_foreground)):
        assert np.allclose(found.sides[side, 0], values[inside].mean(0), atol=1e-4)
        assert np.allclose(found.sides[side, 1], np.quantile(values[inside], 0.2, axis=0), atol=1e-4)
    assert (found.counts, found.size) == ((18, 18), (192, 192))


def test_a_sample_of_patches_follows_the_name() -> None:
    one, again, other = (measure_picture(*picture(), Named(name, "g"), 5) for name in ("a", "a", "b"))
    assert one.sampled[0].shape == one.sampled[1].shape == (5, len(CUES))
    assert np.array_equal(one.sampled[0], again.sampled[0])
    assert not np.array_equal(one.sampled[0], other.sampled[0])


@pytest.mark.parametrize(("value", "side"), [(255, "background"), (0, "foreground"), (128, "foreground")])
def test_a_picture_without_a_patch_of_a_side_is_refused(value: int, side: str) -> None:
    with pytest.raises(Rejected, match=f"no patch of 32 x 32 px lies wholly in its {side}"):
        measure_picture(picture()[0], np.full((192, 192), value, np.uint8), Named("a", "g"))


def test_shrinking_takes_alpha_along() -> None:
    pixels, alpha = shrink(*picture(), Fraction(1, 3))
    assert pixels.shape == (64, 64, 3)
    assert (alpha == np.repeat(np.uint8([255, 0]), 32)[:, None]).all()
    assert pixels.std() < picture()[0].std() / 2, "areas are averaged"


def measured(number: int) -> Measured:
    return measure_picture(*picture(number), Named(f"p{number}", f"g{number % 2}"), 3 + number)


def test_pictures_do_not_depend_on_the_order_they_come_in() -> None:
    rows = [measured(number) for number in range(4)]
    one, other = Pictures.of(rows), Pictures.of(rows[::-1])
    assert one.names == other.names == ("p0", "p1", "p2", "p3")
    assert np.array_equal(one.patches, other.patches)


def test_shifts_are_means_of_f_less_those_of_b() -> None:
    one = measured(0)
    bright = replace(one, sides=one.sides + np.float32([[[7], [5]], [[0], [0]]]))
    before, after = (Pictures.of([each]) for each in (one, bright))
    assert np.allclose(after.shifts - before.shifts, 7, atol=1e-4)
    assert np.allclose((after.differences([3, 1]) - before.differences([3, 1]))[:, 2:], 5, atol=1e-4)
