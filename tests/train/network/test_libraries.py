from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rssn.errors import DependencyError, InputError
from rssn.vision import torchvision_models
from tests.train.seeded import seeded_gfm
from train.network.gfm import GFM
from train.network.libraries import synchronised
from train.targets.rosta import Rosta


@pytest.fixture(autouse=True)
def _torchvision() -> None:
    """timm imports it, and it may need help."""
    torchvision_models()


@pytest.mark.parametrize(
    ("name", "channels", "strides"),
    [
        ("torchvision:resnet18", (64, 64, 128, 256, 512), (2, 4, 8, 16, 32)),
        ("torchvision:mobilenet_v3_small", (16, 72, 96, 288, 512), (2, 4, 8, 16, 32)),
        ("timm:resnet10t", (64, 64, 128, 256, 512), (2, 4, 8, 16, 32)),
        ("timm:convnext_atto", (40, 80, 160, 320), (4, 8, 16, 32)),  # begins at a quarter
    ],
)
def test_a_library_backbone_becomes_an_encoder(name: str, channels: tuple[int, ...], strides: tuple[int, ...]) -> None:
    if name.startswith("timm:"):
        pytest.importorskip("timm")
    network = seeded_gfm(name, Rosta.TT, 0).eval()
    assert (network.encoder.backbone.channels, network.encoder.backbone.strides) == (channels, strides)
    image = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        shapes = [tuple(feature.shape) for feature in network.encoder(image)]
        assert shapes == [(1, c, 64 // s, 96 // s) for c, s in zip(channels, strides, strict=True)]
        assert network(image).alpha.shape == (1, 1, 64, 96)


def test_features_of_a_torchvision_resnet_are_those_of_its_layers() -> None:
    network = seeded_gfm("torchvision:resnet18", Rosta.TT, 0).eval()
    model = torchvision_models().resnet18(weights=None).eval()
    own = network.encoder.features.state_dict()
    model.load_state_dict({**model.state_dict(), **own})
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        first = model.relu(model.bn1(model.conv1(image)))
        second = model.layer1(model.maxpool(first))
        found = network.encoder(image)
    torch.testing.assert_close(found[0], first)
    torch.testing.assert_close(found[1], second)


def test_weights_of_a_library_are_used_or_refused(tmp_path: Path) -> None:
    model = torchvision_models().resnet18(weights=None)
    torch.save(model.state_dict(), tmp_path / "resnet18.pth")
    network = GFM("torchvision:resnet18", Rosta.TT, tmp_path / "resnet18.pth")
    assert torch.equal(network.encoder.features.state_dict()["layer4.1.conv2.weight"], model.layer4[1].conv2.weight)
    with pytest.raises(InputError, match=r"not torchvision's resnet34: lacks layer1\.2"):
        GFM("torchvision:resnet34", Rosta.TT, tmp_path / "resnet18.pth")


def test_timm_weights_with_their_classifier_are_used(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    model = timm.create_model("resnet10t", pretrained=False)
    torch.save(model.state_dict(), tmp_path / "a.pth")
    network = GFM("timm:resnet10t", Rosta.TT, tmp_path / "a.pth")
    assert torch.equal(network.encoder.features.state_dict()["layer4.0.conv1.weight"], model.layer4[0].conv1.weight)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision:resnet", "torchvision.models has no resnet"),
        ("torchvision:swin_t", "not a pyramid up to 32 px"),
        ("timm:vit_tiny_patch16_224", "not a pyramid up to 32 px"),
        ("timm:nothing", "timm has no nothing"),
        ("vgg", "unknown; choose one of r34, d121, .*, tiny, or torchvision:MODEL or timm:MODEL"),
    ],
)
def test_what_gives_no_pyramid_is_refused(name: str, message: str) -> None:
    if name.startswith("timm:"):
        pytest.importorskip("timm")
    with pytest.raises(InputError, match=message):
        GFM(name, Rosta.TT)


def test_timm_is_named_with_its_extra_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(DependencyError, match=r"timm is not installed: pip install 'rssn\[timm\]'"):
        GFM("timm:resnet18", Rosta.TT)


@pytest.mark.slow
def test_timm_may_be_the_first_to_need_torchvision() -> None:
    pytest.importorskip("timm")
    words = ["-m", "train.cli", "describe", "--backbone", "timm:resnet10t", "--rosta", "TT", "--no-time"]
    said = subprocess.run([sys.executable, *words], check=True, stdout=subprocess.PIPE, text=True).stdout
    assert "GFM-TT(timm:resnet10t)" in said


@pytest.mark.parametrize("name", ["tiny", "timm:mobilenetv3_small_050"])
def test_batch_norms_over_all_gpus_keep_what_follows_them(name: str) -> None:
    if name.startswith("timm:"):
        pytest.importorskip("timm")
    network = seeded_gfm(name, Rosta.TT, 0).eval()
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(image).focus
    converted = synchronised(network)
    with torch.inference_mode():
        torch.testing.assert_close(converted(image).focus, expected)
    norms = [each for each in converted.modules() if isinstance(each, torch.nn.modules.batchnorm._BatchNorm)]
    assert norms
    assert all(isinstance(each, torch.nn.SyncBatchNorm) for each in norms)
