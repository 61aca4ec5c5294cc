from __future__ import annotations

import cv2
import numpy as np
import pytest

from bg20k.frames import border_share, seam_share
from rssn.image.arrays import Pixels, encode_jpeg
from rssn.image.decoding import decode_pixels


def grey(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


@pytest.mark.parametrize(("top", "left"), [(30, 0), (0, 12), (20, 20)])
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (20, 200, 90)])
def test_a_border_is_as_wide_as_it_was_made(top: int, left: int, colour: tuple[int, int, int], render) -> None:
    framed = cv2.copyMakeBorder(render(1, 400, 300), top, top, left, left, cv2.BORDER_CONSTANT, value=colour)
    stored = decode_pixels(encode_jpeg(np.asarray(framed, np.uint8), 85))
    height, width = stored.shape[:2]
    assert border_share(stored) == pytest.approx(max(top / height, left / width), abs=0.011)


def test_a_border_at_one_side_alone_counts(render) -> None:
    pixels = render(2, 400, 300)
    pixels[-40:] = 255
    assert border_share(pixels) == pytest.approx(40 / 300)


def test_photographs_and_night_skies_have_no_border(render) -> None:
    assert [border_share(render(seed, 400, 300)) for seed in range(5)] == [0.0] * 5
    night = np.zeros((300, 400, 3), np.uint8)
    hill = np.add.outer(np.arange(300), np.arange(400)) > 400
    night[hill] = render(3, 400, 300)[hill]
    night[np.random.default_rng(0).random((300, 400)) < 0.001] = 220
    assert border_share(night) == 0.0


def test_a_seam_covers_its_whole_line(render) -> None:
    both = np.hstack([render(4, 200, 300), 255 - render(5, 200, 300)])
    gutter = both.copy()
    gutter[:, 195:205] = 255
    assert seam_share(grey(gutter)) > 0.9
    assert seam_share(grey(both)) > 0.7
    assert seam_share(grey(np.ascontiguousarray(both.transpose(1, 0, 2)))) > 0.7
    assert seam_share(grey(render(4, 400, 300))) < 0.2


def test_half_a_seam_counts_half(render) -> None:
    pixels = render(6, 400, 300)
    pixels[:150, 200:] = 255 - pixels[:150, 200:]
    assert 0.3 < seam_share(grey(pixels)) <= 0.55


def test_a_sliver_has_no_seam() -> None:
    assert seam_share(np.zeros((20, 20), np.uint8)) == 0.0
