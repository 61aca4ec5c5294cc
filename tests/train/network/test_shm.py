"""SHM against its tables, written down again plainly, and against the traps that others fell into."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rssn.errors import InputError
from rssn.vision import torchvision_models
from tests.train.network.plain import convolution, give, picture, run, shake
from train.batch import Batch
from train.network.network import build_network
from train.network.shm import SHM, Prediction, Refinement, Segmentation, VGGEncoder, fuse, unpool

WIDTH = 0.125
POOLED, WIDE, NARROW = 128, 32, 8  # 1024, 256 and 64 times the width
ENCODED = ((8, 8), (16, 16), (32, 32, 32), (64, 64, 64), (64, 64, 64))
DECODED = (64, 32, 16, 8, 8)


class PlainTNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.resnet = torchvision_models().resnet50(replace_stride_with_dilation=[False, True, True])
        del self.resnet.fc
        self.pooled = nn.ModuleList(nn.Conv2d(2048, 2048, 1, bias=False) for _ in range(4))
        self.bottleneck = nn.Conv2d(10240, POOLED, 1)
        pairs = ((POOLED, WIDE), (WIDE, NARROW), (NARROW, NARROW))
        self.ups = nn.ModuleList(
            nn.ModuleList([nn.Conv2d(*pair, 3, padding=1), nn.BatchNorm2d(pair[1]), nn.PReLU()]) for pair in pairs
        )
        self.head = nn.Conv2d(NARROW, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        r = self.resnet
        x = r.maxpool(torch.relu(r.bn1(r.conv1(x))))
        x = r.layer4(r.layer3(r.layer2(r.layer1(x))))
        size = x.shape[2:]
        pools = [
            F.interpolate(layer(F.adaptive_avg_pool2d(x, n)), size, mode="bilinear", align_corners=True)
            for n, layer in zip((1, 2, 3, 6), self.pooled, strict=True)
        ]
        x = torch.relu(self.bottleneck(torch.cat([*pools, x], dim=1)))
        for layer, norm, slope in self.ups:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            x = slope(norm(layer(x)))
        return self.head(x)


class PlainMNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        before, self.encoder = 6, nn.ModuleList()
        for widths in ENCODED:
            stage = nn.ModuleList()
            for after in widths:
                stage.extend(convolution(before, after))
                before = after
            self.encoder.append(stage)
        self.decoder = nn.ModuleList()
        for after in DECODED:
            self.decoder.append(nn.ModuleList(convolution(before, after, (5, 5))))
            before = after
        self.out = nn.Conv2d(before, 1, 5, padding=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pool, unpooling, kept = nn.MaxPool2d(2, 2, return_indices=True), nn.MaxUnpool2d(2, 2), []
        for number, stage in enumerate(self.encoder):
            x = run(stage, x)
            if number < 4:
                x, places = pool(x)
                kept.append(places)
        x = run(self.decoder[0], x)
        for block in self.decoder[1:]:
            x = run(block, unpooling(x, kept.pop()))
        return self.out(x)


@pytest.fixture(scope="module")
def network() -> SHM:
    torch.manual_seed(3)
    made = SHM("r50_8", WIDTH).eval()
    shake(made)
    return made


def test_forward_is_the_sheets_tables(network: SHM) -> None:
    tnet, mnet = PlainTNet().eval(), PlainMNet().eval()
    give(network.tnet, tnet)
    give(network.mnet, mnet)
    image, seen = picture(network)
    with torch.inference_mode():
        logits = tnet(seen)
        background, unknown, foreground = logits.softmax(dim=1).unbind(dim=1)
        raw = mnet(torch.cat([seen, logits.softmax(dim=1)], dim=1))
        found = network(image)
        torch.testing.assert_close(found.logits, logits, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found.raw, raw, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found.alpha[:, 0], foreground + unknown * raw[:, 0], rtol=1e-5, atol=1e-5)
        evidence = network.evidence(image)
        torch.testing.assert_close(evidence[0][:, 0], background)
        assert torch.equal(network.matte(evidence), fuse(*evidence).clamp(0, 1))


def test_the_order_of_the_classes_is_that_of_the_targets(network: SHM) -> None:
    """Background, unknown, foreground: a public re-implementation splits the true trimap in another order."""
    labels = torch.tensor([[[0, 1, 2]]])
    classes = F.one_hot(labels, 3).permute(0, 3, 1, 2).float()
    assert fuse(classes, torch.full((1, 1, 1, 3), 0.25)).flatten().tolist() == [0.0, 0.25, 1.0]
    image, seen = picture(network, 32, 32)
    trimap = torch.zeros(1, 32, 32, dtype=torch.int64)
    trimap[:, 8:16], trimap[:, 16:] = 1, 2
    with torch.inference_mode():
        found = network.refine(image, trimap)
        raw = network.mnet(torch.cat([seen, *(((trimap == label).float()[:, None]) for label in range(3))], dim=1))
    torch.testing.assert_close(found.alpha[:, :, :8], torch.zeros_like(raw[:, :, :8]))
    torch.testing.assert_close(found.alpha[:, :, 8:16], raw[:, :, 8:16])
    torch.testing.assert_close(found.alpha[:, :, 16:], torch.ones_like(raw[:, :, 16:]))


def test_a_pixel_of_any_class_has_a_gradient_to_both_networks() -> None:
    logits, raw = torch.zeros(1, 3, 4, 4, requires_grad=True), torch.full((1, 1, 4, 4), 0.5, requires_grad=True)
    torch.autograd.backward(fuse(logits.softmax(dim=1), raw).sum())
    assert logits.grad is not None
    assert raw.grad is not None
    assert bool((logits.grad[:, (0, 2)] != 0).all())
    torch.testing.assert_close(raw.grad, torch.full_like(raw, 1 / 3))


def test_unpooling_is_torchs() -> None:
    feature = torch.rand(2, 3, 8, 12)
    values, places = F.max_pool2d(feature, 2, return_indices=True)
    other = torch.rand_like(values)
    assert torch.equal(unpool(other, places, feature), F.max_unpool2d(other, places, 2))


def batch_of(alpha: torch.Tensor, labels: torch.Tensor) -> Batch:
    dice = torch.Generator().manual_seed(1)
    front, back = (torch.rand((*alpha.shape[:1], 3, *alpha.shape[2:]), generator=dice) for _ in range(2))
    image = alpha * front + (1 - alpha) * back
    unknown = (labels == 1).float()[:, None]
    return Batch(image, alpha, front, back, labels, alpha, unknown, torch.empty(0), torch.empty(0), ("a",) * len(alpha))


def test_losses_are_the_direct_forms(network: SHM) -> None:
    alpha = torch.rand(2, 1, 16, 16)
    batch = batch_of(alpha, torch.randint(3, (2, 16, 16)))
    logits, raw = torch.randn(2, 3, 16, 16), torch.randn(2, 1, 16, 16)
    guess = fuse(logits.softmax(dim=1), raw)
    entropy = -torch.log(logits.softmax(dim=1)).gather(1, batch.glance[:, None]).mean()
    distance = ((guess - alpha) ** 2 + 1e-6).sqrt().mean()
    composed = guess * batch.foreground + (1 - guess) * batch.background
    colours = ((composed - batch.image) ** 2 + 1e-6).sqrt().mean()
    weights = {"alpha": 0.5, "composition": 0.5, "cross_entropy": 0.01}
    found = network.losses(Prediction(logits, raw, guess), batch, weights)
    for name, expected in (("alpha", distance), ("composition", colours), ("cross_entropy", entropy)):
        torch.testing.assert_close(found[name], expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found["total"], 0.5 * distance + 0.5 * colours + 0.01 * entropy, rtol=1e-5, atol=1e-6)
    apart = network.losses(Segmentation(logits), batch, {"cross_entropy": 1.0})
    torch.testing.assert_close(apart["total"], entropy, rtol=1e-5, atol=1e-6)
    spared = network.losses(
        Refinement(raw, guess), batch._replace(foreground=torch.empty(0)), {"alpha": 0.5, "composition": 0}
    )
    torch.testing.assert_close(spared["total"], 0.5 * distance, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("normed", [False, True])
def test_mnet_starts_from_a_vgg_and_ignores_what_it_did_not_know(tmp_path: Path, normed: bool) -> None:
    library = torchvision_models().vgg
    source = nn.ModuleDict({"features": library.make_layers(library.cfgs["D"], batch_norm=normed)})
    torch.save(source.state_dict(), tmp_path / "vgg.pth")
    encoder = VGGEncoder(1.0, tmp_path / "vgg.pth")
    first, *_, last = [each for each in encoder.modules() if isinstance(each, nn.Conv2d)]
    theirs = [each for each in source.modules() if isinstance(each, nn.Conv2d)]
    assert torch.equal(first.weight[:, :3], theirs[0].weight)
    assert not first.weight[:, 3:].any()
    assert torch.equal(last.weight, theirs[-1].weight)
    assert torch.equal(last.bias, theirs[-1].bias)
    assert len(encoder.published) == 13 * (2 + 5 * normed)
    with pytest.raises(InputError, match="VGG-16 fits a --width of 1 alone"):
        VGGEncoder(0.5, tmp_path / "vgg.pth")


def test_any_backbone_of_a_stride_of_8_or_more_serves(network: SHM) -> None:
    tiny = build_network({"network": "shm", "backbone": "tiny", "width": 0.05}, seed=1).eval()
    with torch.inference_mode():
        assert tiny(torch.rand(1, 3, 64, 96)).alpha.shape == (1, 1, 64, 96)
    assert tiny.name == "SHM(tiny)"
    assert network.name == "SHM(r50_8)"
