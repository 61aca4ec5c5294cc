from __future__ import annotations

import pytest
import torch

from tests.train.seeded import seeded_gfm
from train.network.backbones import BACKBONES
from train.network.gfm import GFM, Ablation, fuse
from train.targets.rosta import Rosta


def test_the_tiny_network_is_tiny() -> None:
    assert sum(parameter.numel() for parameter in GFM("tiny", Rosta.TT).parameters()) < 15_000


@pytest.mark.parametrize("rosta", list(Rosta))
@pytest.mark.parametrize("backbone", [name for name in BACKBONES if name != "r101"])
def test_shapes_and_ranges(backbone: str, rosta: Rosta) -> None:
    network = seeded_gfm(backbone, rosta, 0).eval()
    with torch.inference_mode():
        prediction = network(torch.rand(1, 3, 64, 96))
    assert prediction.glance.shape == (1, rosta.classes, 64, 96)
    assert prediction.focus.shape == prediction.alpha.shape == (1, 1, 64, 96)
    assert 0.0 <= float(prediction.alpha.min()) <= float(prediction.alpha.max()) <= 1.0


def test_input_is_normalised_inside() -> None:
    network = seeded_gfm("tiny", Rosta.TT, 0).eval()
    seen = []
    network.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        network(torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1).expand(1, 3, 32, 32))
    torch.testing.assert_close(seen[0], torch.zeros(1, 3, 32, 32), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("rosta", "labels", "expected"),
    [
        (Rosta.TT, [0, 1, 2], [0.0, 0.25, 1.0]),
        (Rosta.FT, [0, 1, 1], [0.25, 1.0, 1.0]),
        (Rosta.BT, [0, 1, 1], [0.0, 0.75, 0.75]),
    ],
)
def test_fusion_rules_of_section_3_5(rosta: Rosta, labels: list[int], expected: list[float]) -> None:
    fused = fuse(torch.tensor(labels).view(1, 1, 1, 3), torch.full((1, 1, 1, 3), 0.25), rosta)
    assert fused.flatten().tolist() == expected


def test_starting_values_depend_on_the_seed_alone() -> None:
    torch.manual_seed(7)
    first = seeded_gfm("tiny", Rosta.TT, 3).state_dict()
    untouched = torch.rand(1)
    torch.manual_seed(7)
    assert torch.equal(untouched, torch.rand(1))
    again, other = (seeded_gfm("tiny", Rosta.TT, seed).state_dict() for seed in (3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["focus.bridge.0.weight"], other["focus.bridge.0.weight"])


def test_both_decoders_and_the_encoder_learn() -> None:
    network = seeded_gfm("tiny", Rosta.TT, 0).train()
    prediction = network(torch.rand(2, 3, 64, 64))
    torch.autograd.backward(prediction.glance.square().mean() + prediction.focus.square().mean())
    assert all(parameter.grad is not None for parameter in network.parameters())


def parameters(**options: object) -> int:
    with torch.device("meta"):
        return sum(each.numel() for each in GFM("r34", Rosta.TT, **options).parameters())


def test_ablations_take_their_parts_away_and_nothing_else() -> None:
    whole = parameters()
    pooling = 3 * 512 * 512 + 2048 * 512 + 512  # the module itself
    branches = sum(512 * width * 9 + 3 * width for width in (64, 64, 128, 256))
    inputs = 9 * (64 * 64 + 64 * 64 + 128 * 128 + 256 * 256 + 512 * 512)  # half of what each first convolution saw
    assert whole - parameters(ablations=[Ablation.NO_PPM]) == pooling + branches + inputs
    bridge = 3 * (512 * 512 * 9 + 3 * 512)
    assert whole - parameters(ablations=["no-bb"]) == bridge + 9 * 512 * 512
    with torch.device("meta"):
        glance = GFM("r34", Rosta.TT).glance
    assert glance is not None
    assert whole - parameters(ablations=["single"]) == sum(each.numel() for each in glance.parameters())


@pytest.mark.parametrize("ablation", list(Ablation))
def test_ablated_networks_predict(ablation: Ablation) -> None:
    network = seeded_gfm("tiny", Rosta.TT, 0, ablations=[ablation]).eval()
    with torch.inference_mode():
        prediction = network(torch.rand(1, 3, 64, 96))
    assert prediction.alpha.shape == (1, 1, 64, 96)
    if ablation is Ablation.SINGLE:
        assert prediction.glance.shape == (1, 0, 64, 96)
        assert torch.equal(prediction.alpha, prediction.focus.sigmoid())
