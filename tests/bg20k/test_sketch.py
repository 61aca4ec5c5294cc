from __future__ import annotations

import numpy as np
import pytest

from bg20k.sketch import CODES, SIDE, Sketch
from rssn.image.arrays import Pixels
from tests.bg20k.conftest import Render


@pytest.fixture
def grey(render: Render) -> Pixels:
    return np.ascontiguousarray(render(1, 720, 480)[..., 1])


def test_features_are_the_largest_first_in_a_frame_of_one_size(grey: Pixels) -> None:
    found = Sketch.of(grey)
    assert (found.width, found.height, found.picture.shape) == (SIDE, 320, (107, 160))
    assert 50 < len(found.places) <= 400
    assert found.places.min() >= 0
    assert (found.places < [SIDE, 320]).all()
    small = Sketch.of(grey[:90, :120])
    assert (small.width, small.height) == (SIDE, 360)


def test_a_sketch_survives_storage(grey: Pixels) -> None:
    found = Sketch.of(grey)
    data = found.to_bytes()
    again = Sketch.from_bytes(data)
    assert (again.width, again.height) == (found.width, found.height)
    np.testing.assert_array_equal(again.descriptors, found.descriptors)
    np.testing.assert_allclose(again.places, found.places, atol=1 / 128)
    assert np.abs(again.picture.astype(int) - found.picture).mean() < 4
    assert len(data) < 6 + 68 * 400 + 20_000
    np.testing.assert_array_equal(again.codes(), found.codes())


def test_codes_of_a_mirror_image_are_the_same(grey: Pixels) -> None:
    found, mirrored = Sketch.of(grey), Sketch.of(np.ascontiguousarray(grey[:, ::-1]))
    near = np.bitwise_count(found.codes()[:, None] ^ mirrored.codes()) <= 4
    assert near.any(axis=1).sum() > CODES / 2
    np.testing.assert_allclose(found.mirrored.mirrored.places, found.places, rtol=1e-5)
    np.testing.assert_array_equal(found.mirrored.mirrored.descriptors, found.descriptors)


def test_a_plain_picture_has_neither_features_nor_codes() -> None:
    found = Sketch.of(np.full((100, 150), 90, np.uint8))
    assert found.places.shape == (0, 2)
    assert found.descriptors.shape == (0, 128)
    assert not found.codes().any()
    assert Sketch.from_bytes(found.to_bytes()).places.shape == (0, 2)
