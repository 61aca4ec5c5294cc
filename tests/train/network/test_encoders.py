from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from rssn.errors import InputError
from rssn.vision import torchvision_models
from train.network.backbones import BACKBONES, backbone_named
from train.network.encoders import Encoder


@pytest.mark.parametrize("name", list(BACKBONES))
def test_stages_have_the_channels_and_resolutions_of_the_table(name: str) -> None:
    backbone = BACKBONES[name]
    with torch.inference_mode():
        features = Encoder(backbone).eval()(torch.rand(1, 3, 64, 96))
    shapes = [tuple(feature.shape[1:]) for feature in features]
    table = zip(backbone.channels, backbone.strides, strict=True)
    assert shapes == [(channels, 64 // stride, 96 // stride) for channels, stride in table]


def test_an_unknown_backbone_is_refused() -> None:
    for name in ("vgg", "timm:", "keras:resnet50"):
        with pytest.raises(
            InputError, match=f"--backbone {name}: unknown; choose one of r34, d121, r34_2b, r101, r50_8"
        ):
            backbone_named(name)


def save(state: dict[str, torch.Tensor], path: Path) -> Path:
    torch.save(state, path)
    return path


def test_resnet_weights_are_loaded(tmp_path: Path) -> None:
    model = torchvision_models().resnet34(weights=None)
    encoder = Encoder(BACKBONES["r34"], save(model.state_dict(), tmp_path / "r34.pth")).eval()
    model.eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        expected = model.maxpool(model.relu(model.bn1(model.conv1(image))))
        for layer in (model.layer1, model.layer2, model.layer3, model.layer4):
            expected = layer(expected)
        assert torch.equal(encoder(image)[-1], expected)


def test_densenet_weights_are_loaded_under_their_old_names_too(tmp_path: Path) -> None:
    """The published file says `denselayer1.norm.1.weight`, has no batch counters and no classifier here."""
    state = torchvision_models().densenet121(weights=None).state_dict()
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", name): tensor
        for name, tensor in state.items()
        if not name.endswith("num_batches_tracked") and not name.startswith("classifier")
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    encoder = Encoder(BACKBONES["d121"], save(old, tmp_path / "d121.pth"))
    loaded = encoder.state_dict()
    assert torch.equal(loaded["stages.0.0.weight"], state["features.conv0.weight"])
    name = "denselayer16.conv2.weight"
    assert torch.equal(loaded[f"stages.4.0.{name}"], state[f"features.denseblock4.{name}"])


def test_a_wrong_file_is_refused_with_the_difference(tmp_path: Path) -> None:
    state = torchvision_models().resnet34(weights=None).state_dict()
    del state["layer4.2.conv2.weight"]
    state["layer1.0.conv1.weight"] = torch.zeros(64, 64, 1, 1)
    state["extra"] = torch.zeros(1)
    path = save(state, tmp_path / "other.pth")
    with pytest.raises(InputError) as caught:
        Encoder(BACKBONES["r34"], path)
    message = str(caught.value)
    assert message.startswith(f"--weights {path}: not torchvision's resnet34: ")
    assert "lacks layer4.2.conv2.weight" in message
    assert "has an unknown extra" in message
    assert "layer1.0.conv1.weight is (64, 64, 1, 1), expected (64, 64, 3, 3)" in message


def test_weights_of_another_network_are_refused_in_one_short_line(tmp_path: Path) -> None:
    path = save(torchvision_models().resnet18(weights=None).state_dict(), tmp_path / "resnet18.pth")
    with pytest.raises(InputError, match=r"and [0-9]+ more$"):
        Encoder(BACKBONES["r34"], path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty; take another copy"),
        (b"not a state dict", "not a file that torch can load safely: damaged"),
        (b"PK\x03\x04 cut short", "damaged: File is not a zip file; take another copy"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"^--weights .*weights\.pth: {words}"):
        Encoder(BACKBONES["r34"], path)


def test_values_that_are_none_are_refused(tmp_path: Path) -> None:
    state = torchvision_models().resnet34(weights=None).state_dict()
    state["layer1.0.bn1.running_var"][3] = -1.0
    with pytest.raises(InputError, match=r"weights\.pth: layer1.0.bn1.running_var holds negative variances"):
        Encoder(BACKBONES["r34"], save(state, tmp_path / "weights.pth"))
    state["layer1.0.bn1.running_var"][3] = torch.inf
    with pytest.raises(InputError, match=r"weights\.pth: layer1.0.bn1.running_var holds values that are not finite"):
        Encoder(BACKBONES["r34"], save(state, tmp_path / "weights.pth"))


def test_code_in_a_weights_file_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"run": pytest.fail}, path)
    with pytest.raises(InputError, match="holds no state dict"):
        Encoder(BACKBONES["r34"], path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.pth: No such file"):
        Encoder(BACKBONES["r34"], tmp_path / "absent.pth")


def test_the_tiny_backbone_takes_no_weights(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tiny has no published weights"):
        Encoder(BACKBONES["tiny"], tmp_path / "any.pth")
