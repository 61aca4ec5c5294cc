from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tests.benchmarks.bench_strategies import BORDERS, sad, table
from tests.train.seeded import seeded_gfm
from train.evaluation.examples import Truth
from train.evaluation.inference import predict_alpha
from train.network.gfm import GFM
from train.network.strategy import Scales, Strategy
from train.targets.rosta import Rosta


@pytest.fixture
def network() -> GFM:
    return seeded_gfm("tiny", Rosta.TT, 1).eval()


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).random((height, width, 3), dtype=np.float32)


@pytest.mark.parametrize("border", BORDERS)
def test_borders_differ_only_where_there_is_something_to_pad(network: GFM, border: str) -> None:
    with torch.inference_mode():
        exact = BORDERS[border](network, picture(64, 96))
        own = network.evidence(torch.from_numpy(picture(64, 96).transpose(2, 0, 1).copy())[None])
        odd = BORDERS[border](network, picture(50, 70))
        replicated = BORDERS["replicate"](network, picture(50, 70))
    for found, expected in zip(exact, own, strict=True):
        torch.testing.assert_close(found, expected)
    assert odd[1].shape == (1, 1, 50, 70)
    assert (border == "replicate") == torch.equal(odd[1], replicated[1])


def test_masked_padding_is_zero_to_every_convolution(network: GFM) -> None:
    seen = []
    for each in network.modules():
        if isinstance(each, nn.Conv2d):
            each.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    with torch.inference_mode():
        BORDERS["masked"](network, picture(48, 64))
    first = next(each for each in seen if each.shape[2:] == (64, 64) and each.shape[1] == 3)
    assert not first[:, :, 48:].any()
    assert first[:, :, :48].any()


def test_the_first_row_is_the_defaults(network: GFM) -> None:
    network.scales = Scales((0.5, 1.0), 100)
    truth = Truth(picture(48, 80), np.full((48, 80), 0.5, np.float32))
    heading, first, *rest = table({"raw": network}, {"set": [truth]})
    assert heading.split() == ["weights", "border", "scale", "set"]
    expected = sad(predict_alpha([network], truth.picture), truth.alpha)
    assert first.split() == ["raw", "stretch", "0.75", "of", "100", "px", f"{expected:.1f}"]
    assert Strategy.as_trained(network.scales) == Strategy(100, share=0.75)
    assert len(rest) > 20
