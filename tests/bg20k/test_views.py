from __future__ import annotations

import numpy as np
import pytest

from bg20k.views import EDGES, MIRRORED, VIEWS, WHOLE, boxes, view_hashes
from rssn.image.arrays import Pixels
from tests.bg20k.conftest import Render


@pytest.fixture
def grey(render: Render) -> Pixels:
    return np.ascontiguousarray(render(1, 600, 400)[..., 1])


def apart(one: np.uint64, other: np.uint64) -> int:
    return (int(one) ^ int(other)).bit_count()


def test_boxes_lie_inside_the_frame_and_have_their_ratio() -> None:
    found = boxes(600, 400)
    assert len(found) == VIEWS - 1
    assert found[WHOLE] == found[MIRRORED] == (0, 0, 1, 1)
    assert all(min(box) >= 0 and box[0] + box[2] <= 1 and box[1] + box[3] <= 1 for box in found)
    assert found[2] == pytest.approx((0, (1 - 337.5 / 400) / 2, 1, 337.5 / 400))
    assert found[5] == pytest.approx((1 / 6, 0, 2 / 3, 1))


@pytest.mark.parametrize("view", range(2, VIEWS - 1))
def test_the_whole_of_a_crop_looks_like_a_view_of_the_original(grey: Pixels, view: int) -> None:
    left, top, width, height = np.array(boxes(600, 400)[view]) * [600, 400, 600, 400]
    crop = grey[round(top) : round(top + height), round(left) : round(left + width)]
    assert apart(view_hashes(crop, 1.0)[WHOLE], view_hashes(grey, 1.0)[view]) <= 4


def test_a_mirror_image_and_a_negative_are_seen(grey: Pixels) -> None:
    original, mirrored, negative = (view_hashes(each, 1.0) for each in (grey, grey[:, ::-1].copy(), 255 - grey))
    assert apart(original[MIRRORED], mirrored[WHOLE]) <= 2
    assert apart(original[EDGES], negative[EDGES]) <= 2
    assert apart(original[WHOLE], negative[WHOLE]) > 50


def test_a_plain_view_has_no_hash(grey: Pixels) -> None:
    half = grey.copy()
    half[:, :370] = 90
    found = view_hashes(half, 1.0)
    assert [place for place, one in enumerate(found) if one == 0] == [7, 8]  # the corners on the left
    assert not view_hashes(np.full((40, 60), 90, np.uint8), 1.0).any()
