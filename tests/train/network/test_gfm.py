from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from train.network.backbones import BACKBONES
from train.network.gfm import GFM, fuse, seeded_gfm
from train.rosta import Rosta

PUBLISHED = {"r34": 55_286_316, "d121": 46_961_772}
"""Parameters of the released TT networks, their ImageNet classifiers included."""

UNUSED = {"r34": 512 * 1000 + 1000, "d121": 1024 * 1000 + 1000 + 2 * 1024}
"""Of those, the ones that the released networks never use: the classifier, and for d121 the norm before it."""


@pytest.mark.parametrize("backbone", ["r34", "d121"])
def test_parameter_counts_equal_the_published_ones(backbone: str) -> None:
    count = sum(parameter.numel() for parameter in GFM(backbone, Rosta.TT).parameters())
    assert count == PUBLISHED[backbone] - UNUSED[backbone]


def test_the_tiny_network_is_tiny() -> None:
    assert sum(parameter.numel() for parameter in GFM("tiny", Rosta.TT).parameters()) < 15_000


def released_name(name: str) -> str:
    """Where the released state dicts keep a tensor of ours."""
    part, kind, rest = name.split(".", 2)
    if part == "encoder":
        level, rest = rest.split(".", 1)
        return f"encoder{level}.{rest}"
    if kind == "pooling":
        return f"psp_module.{rest}"
    if kind == "bridge":
        return f"bridge_block.{rest}"
    level, rest = rest.split(".", 1)
    return f"psp{int(level) + 1}.{rest}" if kind == "context" else f"decoder{level}_{part[0]}.{rest}"


@pytest.mark.parametrize("rosta", ["TT", "FT"])
@pytest.mark.parametrize("backbone", ["r34", "d121"])
def test_every_released_tensor_has_its_place(backbone: str, rosta: str, shared: Path) -> None:
    stored = json.loads((shared / "published/gfm_state_dicts.json").read_text())
    published = dict(stored[f"{backbone}_TT"])
    if rosta != "TT":
        published.update(stored[f"{backbone}_{rosta}"]["changed_or_added"])
    published = {name: shape for name, shape in published.items() if not name.startswith(("resnet.", "densenet."))}
    state = GFM(backbone, Rosta(rosta)).state_dict()
    assert {released_name(name): list(tensor.shape) for name, tensor in state.items()} == published


@pytest.mark.parametrize("rosta", list(Rosta))
@pytest.mark.parametrize("backbone", list(BACKBONES))
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
