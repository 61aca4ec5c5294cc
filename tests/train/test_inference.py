from __future__ import annotations

import numpy as np
import pytest
import torch

from train.inference import predict_alpha
from train.network.gfm import GFM, seeded_gfm
from train.rosta import Rosta


@pytest.fixture(scope="module")
def network() -> GFM:
    return seeded_gfm("tiny", Rosta.BT, 1).eval()


def image_of(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).random((height, width, 3), dtype=np.float32)


def run(network: GFM, image: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
        return network(tensor).alpha[0, 0].numpy()


def test_sides_of_32_are_used_as_they_are(network: GFM) -> None:
    image = image_of(64, 96)
    np.testing.assert_array_equal(predict_alpha(network, image, 96), run(network, image))


@pytest.mark.parametrize(("height", "width"), [(50, 70), (1, 33), (65, 31)])
def test_other_sides_are_padded_and_cut_not_distorted(network: GFM, height: int, width: int) -> None:
    image = image_of(height, width)
    padded = np.pad(image, ((0, -height % 32), (0, -width % 32), (0, 0)), mode="edge")
    np.testing.assert_array_equal(predict_alpha(network, image, 1600), run(network, padded)[:height, :width])


@pytest.mark.parametrize(("height", "width"), [(100, 300), (300, 100), (200, 200), (500, 2)])
def test_a_large_photograph_keeps_its_size(network: GFM, height: int, width: int) -> None:
    seen = []
    handle = network.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape[2:])))
    alpha = predict_alpha(network, image_of(height, width), 64)
    handle.remove()
    assert alpha.shape == (height, width)
    assert alpha.dtype == np.float32
    assert 0.0 <= alpha.min() <= alpha.max() <= 1.0
    assert max(seen[0]) == 64
