"""HATT against its tables, written down again plainly, SSIM's sign, and its discriminator."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rssn.vision import torchvision_models
from tests.train.network.plain import convolution, give, picture, run, shake
from tests.train.network.test_shm import batch_of
from train.network.hatt import HATT, Judgement, Prediction, patch_discriminator, structural_similarity

WIDE, HALF, SQUEEZED = 32, 16, 2  # 256, 128 and 16 times 0.125


def bare(before: int, after: int, size: int, rate: int = 1) -> list[nn.Module]:
    padding = rate if size == 3 else 0
    return [nn.Conv2d(before, after, size, padding=padding, dilation=rate, bias=False), nn.BatchNorm2d(after)]


class PlainHATT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.resnet = torchvision_models().resnet50(replace_stride_with_dilation=[False, True, True])
        del self.resnet.fc
        self.point = nn.ModuleList(bare(2048, WIDE, 1))
        self.dilated = nn.ModuleList(nn.ModuleList(bare(2048, WIDE, 3, rate)) for rate in (6, 12, 18))
        self.whole = nn.ModuleList(bare(2048, WIDE, 1))
        self.projection = nn.ModuleList(bare(5 * WIDE, WIDE, 1))
        self.squeeze, self.excite = nn.Conv2d(WIDE, SQUEEZED, 1), nn.Conv2d(SQUEEZED, WIDE, 1)
        self.entry = nn.ModuleList(convolution(WIDE, WIDE))
        self.path1 = nn.ModuleList([*convolution(WIDE, WIDE, (1, 7)), *convolution(WIDE, HALF, (7, 1))])
        self.path2 = nn.ModuleList([*convolution(WIDE, WIDE, (7, 1)), *convolution(WIDE, HALF, (1, 7))])
        self.map = nn.Conv2d(2 * HALF, 1, 1)
        self.cues = nn.ModuleList(convolution(64, HALF))
        self.fusion = nn.ModuleList(convolution(WIDE + HALF, WIDE))
        self.out = nn.Conv2d(WIDE, 1, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        r = self.resnet
        low = torch.relu(r.bn1(r.conv1(x)))
        deep = r.layer4(r.layer3(r.layer2(r.layer1(r.maxpool(low)))))
        whole = run(self.whole, deep.mean((2, 3), keepdim=True)).expand(-1, -1, *deep.shape[2:])
        parts = [run(self.point, deep), *(run(each, deep) for each in self.dilated), whole]
        x = run(self.projection, torch.cat(parts, dim=1))
        x = F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=False)
        pooled = [F.adaptive_avg_pool2d(x, 1), F.adaptive_max_pool2d(x, 1)]
        x = x * sum(self.excite(torch.relu(self.squeeze(each))) for each in pooled).sigmoid()
        h = run(self.entry, x)
        places = self.map(torch.cat([run(self.path1, h), run(self.path2, h)], dim=1)).sigmoid()
        x = run(self.fusion, torch.cat([h, run(self.cues, low * places)], dim=1))
        return F.interpolate(self.out(x), scale_factor=2, mode="bilinear", align_corners=False).sigmoid()


def test_forward_is_the_sheets_tables() -> None:
    torch.manual_seed(5)
    network = HATT("r50_8", 0.125).eval()
    shake(network)
    plain = PlainHATT().eval()
    give(network, plain, beside=("discriminator",))
    image, seen = picture(network)
    with torch.inference_mode():
        torch.testing.assert_close(network(image).alpha, plain(seen), rtol=1e-5, atol=1e-5)


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    """SSIM window by window."""
    at = np.arange(11) - 5
    row = np.exp(-(at**2) / (2 * 1.5**2))
    window = np.outer(row, row) / row.sum() ** 2
    found = []
    for y in range(one.shape[0] - 10):
        for x in range(one.shape[1] - 10):
            a, b = (each[y : y + 11, x : x + 11].astype(np.float64) for each in (one, other))
            mean = (window * a).sum(), (window * b).sum()
            spread = (window * (a - mean[0]) ** 2).sum(), (window * (b - mean[1]) ** 2).sum()
            shared = (window * (a - mean[0]) * (b - mean[1])).sum()
            above = (2 * mean[0] * mean[1] + 1e-4) * (2 * shared + 9e-4)
            found.append(above / ((mean[0] ** 2 + mean[1] ** 2 + 1e-4) * (sum(spread) + 9e-4)))
    return float(np.mean(found))


def test_similarity_is_the_direct_form() -> None:
    one, other = np.random.default_rng(2).random((2, 18, 15)).astype(np.float32)
    found = structural_similarity(*(torch.from_numpy(each)[None, None] for each in (one, other)))
    assert float(found) == pytest.approx(similarity(one, other), abs=1e-5)
    assert float(structural_similarity(*[torch.from_numpy(one)[None, None]] * 2)) == pytest.approx(1.0, abs=1e-6)


def test_what_is_alike_costs_less() -> None:
    """SSIM is taken from 1: two re-implementations add it, and reward mattes that are unlike."""
    alpha = torch.rand(1, 1, 32, 32)
    batch = batch_of(alpha, torch.zeros(1, 32, 32, dtype=torch.int64))
    network = HATT("tiny", 0.02)
    same, near, far = (
        float(network.losses(Prediction(each), batch, {"structure": 1.0})["total"])
        for each in (alpha, (alpha + 0.1 * torch.rand_like(alpha)).clamp(0, 1), 1 - alpha)
    )
    assert same == pytest.approx(0.0, abs=1e-5)
    assert same < near < far


def test_losses_are_the_direct_forms_and_the_network_does_not_teach_its_judge() -> None:
    alpha = torch.rand(2, 1, 64, 64)
    batch = batch_of(alpha, torch.zeros(2, 64, 64, dtype=torch.int64))
    network = HATT("tiny", 0.1)
    guess = torch.rand(2, 1, 64, 64, requires_grad=True)
    weights = {"squared": 1.0, "structure": 0.1, "adversarial": 0.05}
    losses = network.losses(Prediction(guess), batch, weights)
    fooled = F.softplus(-network.discriminator(torch.cat([batch.image, guess], dim=1))).mean()  # -log sigmoid
    torch.testing.assert_close(losses["squared"], ((guess - alpha) ** 2).mean())
    torch.testing.assert_close(losses["adversarial"], fooled)
    expected = losses["squared"] + 0.1 * losses["structure"] + 0.05 * fooled
    torch.testing.assert_close(losses["total"], expected)
    torch.autograd.backward(losses["total"])
    assert guess.grad is not None
    assert all(each.grad is None for each in network.discriminator.parameters())
    judged = network.judge(batch.image, alpha, guess.detach())
    direct = (F.softplus(-judged.real).mean() + F.softplus(judged.fake).mean()) / 2
    losses = network.losses(judged, batch, {"discriminator": 1.0})
    torch.testing.assert_close(losses["discriminator"], direct)
    torch.autograd.backward(losses["total"])
    assert all(each.grad is not None for each in network.discriminator.parameters())
    assert isinstance(judged, Judgement)


def test_the_discriminator_sees_70_px_at_a_time() -> None:
    judge = patch_discriminator()
    assert sum(each.numel() for each in judge.parameters()) == pytest.approx(2.8e6, rel=0.02)
    field = torch.zeros(1, 4, 142, 142, requires_grad=True)
    plain = nn.Sequential(*(layer for layer in judge if not isinstance(layer, nn.InstanceNorm2d)))
    logits = plain(field)
    torch.autograd.backward(logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2])
    assert field.grad is not None
    rows = torch.nonzero(field.grad.abs().sum((0, 1, 3)))
    assert int(rows.max() - rows.min()) + 1 == 70
