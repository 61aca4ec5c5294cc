from __future__ import annotations

import weakref

import cv2
import numpy as np
import pytest
import torch

from rssn.errors import InputError, Rejected
from tests.train.seeded import seeded_gfm
from train.evaluation.inference import predict_alpha
from train.network.gfm import GFM
from train.network.strategy import Scales, Strategy
from train.targets.rosta import Rosta


@pytest.fixture(scope="module")
def network() -> GFM:
    return seeded_gfm("tiny", Rosta.FT, 1).eval()


def image_of(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).random((height, width, 3), dtype=np.float32)


def run(network: GFM, image: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
        return network(tensor).alpha[0, 0].numpy()


def test_sides_of_32_are_used_as_they_are(network: GFM) -> None:
    image = image_of(64, 96)
    np.testing.assert_array_equal(predict_alpha([network], image, Strategy(96)), run(network, image))


@pytest.mark.parametrize(("height", "width"), [(50, 70), (1, 33), (65, 31), (500, 2)])
def test_other_sides_are_stretched_to_the_nearest_and_back(network: GFM, height: int, width: int) -> None:
    image = image_of(height, width)
    size = tuple(max(1, round(side / 32)) * 32 for side in (width, height))
    shrunk = size[0] * size[1] < width * height
    seen = cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrunk else cv2.INTER_LINEAR)
    matte = run(network, seen)
    smaller = width * height < matte.size
    expected = cv2.resize(matte, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    np.testing.assert_allclose(predict_alpha([network], image, Strategy()), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("height", "width", "seen"),
    [(100, 300, (32, 64)), (300, 100, (64, 32)), (200, 200, (64, 64)), (500, 2, (64, 32)), (48, 60, (64, 64))],
)
def test_a_large_photograph_is_seen_small_and_keeps_its_size(
    network: GFM, height: int, width: int, seen: tuple[int, int]
) -> None:
    heard = []
    handle = network.register_forward_pre_hook(lambda _, inputs: heard.append(tuple(inputs[0].shape[2:])))
    alpha = predict_alpha([network], image_of(height, width), Strategy(64))
    handle.remove()
    assert heard == [seen]
    assert alpha.shape == (height, width)
    assert alpha.dtype == np.float32
    assert 0.0 <= alpha.min() <= alpha.max() <= 1.0


def test_a_whole_photograph_is_never_shrunk(network: GFM) -> None:
    image = image_of(32, 1664)
    np.testing.assert_array_equal(predict_alpha([network], image, Strategy(0)), run(network, image))


def test_by_default_each_network_sees_what_its_training_saw() -> None:
    networks = [seeded_gfm("tiny", Rosta.FT, seed).eval() for seed in (1, 2, 3)]
    networks[0].scales = Scales((0.2, 0.3), 256)
    networks[1].scales = Scales((0.5,), 256)
    heard = []
    for network in networks:
        network.register_forward_pre_hook(lambda _, inputs: heard.append(tuple(inputs[0].shape[2:])))
    image = image_of(160, 320)
    mattes = [predict_alpha([network], image) for network in networks]
    assert heard == [(32, 64), (64, 128), (160, 320)]
    np.testing.assert_array_equal(predict_alpha(networks, image), np.median(mattes, axis=0))


@pytest.mark.parametrize("strategy", [Strategy(64), Strategy(64, (0.5, 1.0))])
def test_the_photograph_is_let_go_of_before_networks_take_memory(network: GFM, strategy: Strategy) -> None:
    """Of 24 megapixels it takes 290 MB, when a network takes most of what there is."""
    held = [np.zeros((120, 200, 3), np.float32)]
    photograph, kept = weakref.ref(held[0]), []
    hook = network.register_forward_pre_hook(lambda *_: kept.append(photograph() is not None))
    predict_alpha([network], held.pop(), strategy)
    hook.remove()
    assert kept
    assert not any(kept)


def test_an_ensemble_is_the_median_of_its_mattes() -> None:
    networks = [seeded_gfm("tiny", rosta, 5).eval() for rosta in Rosta]
    image = image_of(64, 64)
    mattes = np.stack([run(each, image) for each in networks])
    assert np.ptp(mattes, axis=0).max() > 0.1
    np.testing.assert_array_equal(predict_alpha(networks, image, Strategy()), np.median(mattes, axis=0))


@pytest.mark.parametrize("rosta", list(Rosta))
def test_hybrid_takes_the_glance_of_one_size_and_the_focus_of_another(rosta: Rosta) -> None:
    network = seeded_gfm("tiny", rosta, 3).eval()
    image = image_of(192, 384)
    evidence = []
    for share in (3, 2):
        small = cv2.resize(image, (384 // share, 192 // share), interpolation=cv2.INTER_AREA)
        with torch.inference_mode():
            found = network.evidence(torch.from_numpy(small.transpose(2, 0, 1).copy())[None])
        evidence.append(found[share == 2][0].numpy().transpose(1, 2, 0))
    scores, focus = (cv2.resize(each, (384, 192), interpolation=cv2.INTER_LINEAR) for each in evidence)
    label = scores.argmax(axis=2)
    expected = {"TT": np.where(label == 1, focus, label == 2), "FT": label + focus, "BT": label - focus}[rosta]
    found = predict_alpha([network], image, Strategy.parse(0, ("1/3", "0.5")))
    differs = np.abs(found - np.clip(expected, 0, 1)) > 1e-4
    assert differs.mean() < 0.01  # a class may turn on the last digit of a score


def test_one_decoder_can_be_hybrid_too() -> None:
    network = seeded_gfm("tiny", Rosta.TT, 0, ablations=["single"]).eval()
    assert predict_alpha([network], image_of(64, 96), Strategy(0, (0.25, 0.5))).shape == (64, 96)


@pytest.mark.parametrize(
    ("hybrid", "message"),
    [
        (("1/2", "1/3"), "0 < D1 <= D2 <= 1"),
        (("0", "1/2"), "0 < D1"),
        (("a", "b"), "two shares"),
        (("1/0", "1"), "two"),
        (("1",), "two shares"),
    ],
)
def test_impossible_shares_are_refused(hybrid: tuple[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Strategy.parse(1600, hybrid)
    with pytest.raises(InputError, match="--max-side 16: must be 0, or from 32 to 65536"):
        Strategy(16)


@pytest.mark.parametrize("hybrid", [None, (0.5, 1.0)])
def test_what_is_no_number_becomes_no_matte(hybrid: tuple[float, float] | None) -> None:
    """NaN would be 0 throughout: it is larger than nothing, and no class."""
    network = seeded_gfm("tiny", Rosta.TT, 1).eval()
    with torch.no_grad():
        network.encoder.stages[0][0].weight.fill_(3e38)
    with pytest.raises(Rejected, match=r"not_finite: GFM-TT\(tiny\) gives values that are not finite"):
        predict_alpha([network], image_of(64, 64), Strategy(96, hybrid))
