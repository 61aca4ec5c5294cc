from __future__ import annotations

import cv2
import numpy as np
import pytest

from bg20k.flatness import flat_share
from rssn.image.arrays import to_uint8
from rssn.synthetic.backgrounds import render_background


def test_half_a_picture_without_grain_is_a_half() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (160, 160), dtype=np.uint8)
    picture[:, :80] = 90
    assert flat_share(picture) == pytest.approx(0.5, abs=0.06)  # the Laplacian reaches over the border


def test_black_and_white_say_nothing() -> None:
    picture = np.zeros((160, 160), np.uint8)
    picture[:, :40] = 255
    assert flat_share(picture[:, 40:]) is None
    picture[:80, 80:] = 128
    assert flat_share(picture) == pytest.approx(0.8, abs=0.2)
    assert flat_share(picture[:5, :5]) is None


@pytest.mark.parametrize("seed", range(4))
def test_grain_tells_a_photograph_from_a_poster(seed: int) -> None:
    photograph = to_uint8(render_background(seed, 640, 480))
    poster = cv2.GaussianBlur(photograph, (0, 0), 12) // 64 * 64 + 32
    found = [flat_share(np.asarray(cv2.cvtColor(one, cv2.COLOR_RGB2GRAY), np.uint8)) for one in (photograph, poster)]
    assert found[0] == pytest.approx(0.0, abs=0.05)
    assert (found[1] or 0.0) > 0.5
