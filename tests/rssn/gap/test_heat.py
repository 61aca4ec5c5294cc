from __future__ import annotations

import numpy as np

from rssn.gap.classifiers import Linear
from rssn.gap.cues import CUES, LOW_LEVEL
from rssn.gap.heat import heat_picture, patch_heat
from rssn.gap.pictures import Named, Pictures, measure_picture
from tests.rssn.gap.test_pictures import picture

DETAIL = [cue.name for cue in CUES].index("detail")


def test_the_patches_that_are_off_are_hot() -> None:
    pixels, alpha = picture()
    photographs = Pictures.of([measure_picture(pixels, alpha, Named("a", "g"))])
    weights = np.zeros((2, len(LOW_LEVEL)))
    weights[:, LOW_LEVEL.index(DETAIL)] = 0.5  # F with detail looks like a composite, and so does B without
    model = Linear(weights.reshape(1, -1), np.zeros(1))
    flat = pixels.copy()
    flat[:32, :32] = 128
    flat[160:, 160:] = 128
    heat, places = patch_heat(flat, alpha, model, photographs)
    of = {tuple(place): value for place, value in zip(places.astype(int).tolist(), heat, strict=True)}
    foreground, background = photographs.sides[0, :, 0, DETAIL]
    nothing = np.log(1 / 48) / 2
    assert abs(of[0, 0] - (nothing - foreground)) < 0.01
    assert abs(of[5, 5] - (background - nothing)) < 0.01
    assert max(abs(value) for place, value in of.items() if place not in {(0, 0), (5, 5)}) < 0.2


def test_hot_patches_are_red_cold_ones_blue_and_others_as_they_were() -> None:
    grey = np.full((64, 96, 3), 100, np.uint8)
    shown = heat_picture(grey, np.array([3.0, -3.0]), np.array([[0.0, 0.0], [1.0, 2.0]]))
    red, blue = shown[10, 10].astype(int), shown[50, 80].astype(int)
    assert red[0] > 160
    assert red[1] < 100
    assert blue[2] > 160
    assert blue[0] < 100
    assert (shown[:32, 32:] == 100).all()
