from __future__ import annotations

import numpy as np

from rssn.gap.classifiers import Linear
from rssn.gap.cues import CUES
from rssn.gap.heat import heat_picture, patch_heat
from rssn.gap.pictures import Named, Pictures, measure_picture
from tests.rssn.gap.test_pictures import picture

LIGHT = [cue.name for cue in CUES].index("light")


def test_the_patches_that_are_off_are_hot() -> None:
    pixels, alpha = picture()
    photographs = Pictures.of([measure_picture(pixels, alpha, Named("a", "g"))])
    weights = np.zeros((2, len(CUES)))
    weights[:, LIGHT] = 0.5  # bright F looks like a composite, and so does dark B
    model = Linear(weights.ravel(), np.zeros(2 * len(CUES)), 0.0)
    bright = pixels.copy()
    bright[:32, :32] = 255
    bright[160:, 160:] = 0
    heat, places = patch_heat(bright, alpha, model, photographs)
    of = {tuple(place): value for place, value in zip(places.astype(int).tolist(), heat, strict=True)}
    middle = photographs.sides[0, :, 0, LIGHT]
    assert abs(of[0, 0] - (255 - middle[0])) < 0.01
    assert abs(of[5, 5] - middle[1]) < 0.01
    assert max(abs(value) for place, value in of.items() if place not in {(0, 0), (5, 5)}) < 10


def test_hot_patches_are_red_cold_ones_blue_and_others_as_they_were() -> None:
    grey = np.full((64, 96, 3), 100, np.uint8)
    shown = heat_picture(grey, np.array([3.0, -3.0]), np.array([[0.0, 0.0], [1.0, 2.0]]))
    red, blue = shown[10, 10].astype(int), shown[50, 80].astype(int)
    assert red[0] > 160
    assert red[1] < 100
    assert blue[2] > 160
    assert blue[0] < 100
    assert (shown[:32, 32:] == 100).all()
