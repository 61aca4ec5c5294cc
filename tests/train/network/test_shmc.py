"""SHMC against its tables, written down again plainly, its three sizes, and its masks."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rssn.errors import InputError
from rssn.vision import torchvision_models
from tests.train.network.plain import convolution, give, picture, run, shake
from tests.train.network.test_shm import batch_of
from train.network.shmc import SHMC, Masks, Refined, Unified, cut, degraded, reduced

WEIGHTS = {"foreground": 0.5, "background": 0.5}


class PlainUNet(nn.Module):
    def __init__(self, inputs: int, outputs: int, masks: int = 0) -> None:
        super().__init__()
        self.resnet = torchvision_models().resnet34()
        self.resnet.conv1 = nn.Conv2d(inputs, 64, 7, stride=2, padding=3, bias=False)
        del self.resnet.fc
        self.join = nn.ModuleList(convolution(64 + masks, 64) if masks else [])
        self.centre = nn.ModuleList(convolution(512, 512))
        pairs = ((128, 64), (192, 64), (384, 128), (768, 256))
        self.ups = nn.ModuleList(nn.ModuleList(convolution(*pair)) for pair in pairs)
        self.full = nn.ModuleList([*convolution(64, 64), *convolution(64, 64)])
        self.head = nn.Conv2d(64, outputs, 3, padding=1)

    def forward(self, image: torch.Tensor, masks: torch.Tensor | None = None) -> torch.Tensor:
        r = self.resnet
        f0 = torch.relu(r.bn1(r.conv1(image)))
        x = r.maxpool(f0)
        if masks is not None:
            x = run(self.join, torch.cat([x, masks], dim=1))
        f1 = r.layer1(x)
        f2 = r.layer2(f1)
        f3 = r.layer3(f2)
        x = run(self.centre, r.layer4(f3))
        for up, skip in zip(reversed(self.ups), (f3, f2, f1, f0), strict=True):
            x = F.interpolate(x, skip.shape[2:], mode="bilinear", align_corners=False)
            x = run(up, torch.cat([x, skip], dim=1))
        x = F.interpolate(x, image.shape[2:], mode="bilinear", align_corners=False)
        return self.head(run(self.full, x))


def test_forward_is_the_sheets_tables_at_three_sizes() -> None:
    torch.manual_seed(6)
    network = SHMC("r34").eval()
    for number, part in enumerate((network.mpn, network.qun, network.mrn)):
        shake(part, number)
        with torch.no_grad():
            next(part.encoder.parameters()).add_(0.01)  # filters of masks are 0 at the start
    plain = [PlainUNet(3, 2), PlainUNet(5, 2), PlainUNet(3, 4, masks=2)]
    for part, each in zip((network.mpn, network.qun, network.mrn), plain, strict=True):
        give(part, each.eval())
    image, seen = picture(network, 96, 160)
    small = seen.unflatten(2, (24, 4)).unflatten(4, (40, 4)).mean((3, 5))
    with torch.inference_mode():
        coarse = plain[0](small).sigmoid()
        unified = plain[1](torch.cat([small, coarse], dim=1)).sigmoid()
        expected = plain[2](seen, unified)
        found = network(image)
        torch.testing.assert_close(network.masks(image).masks, coarse, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found.alpha, expected[:, :1].sigmoid(), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found.colours, expected[:, 1:], rtol=1e-5, atol=1e-4)
    assert unified.shape == (1, 2, 24, 40)
    assert found.alpha.shape == (1, 1, 96, 160)


def test_filters_of_masks_start_at_nothing() -> None:
    network = SHMC("tiny")
    first = next(each for each in network.qun.encoder.modules() if isinstance(each, nn.Conv2d))
    assert first.weight.shape[1] == 5
    assert not first.weight[:, 3:].any()
    assert first.weight[:, :3].any()


def test_losses_are_the_direct_forms() -> None:
    alpha = torch.rand(2, 1, 32, 32)
    alpha[..., :8] = 0
    batch = batch_of(alpha, torch.zeros(2, 32, 32, dtype=torch.int64))
    network = SHMC("tiny")
    mask = alpha.unflatten(2, (8, 4)).unflatten(4, (8, 4)).mean((3, 5))
    one, other = torch.rand(2, 2, 8, 8), torch.rand(2, 2, 8, 8)
    both = torch.cat([mask, 1 - mask], dim=1)
    coarse = network.losses(Masks(one), batch, WEIGHTS)["total"]
    halves = 0.5 * (one[:, :1] - mask).abs().mean() + 0.5 * (one[:, 1:] - (1 - mask)).abs().mean()
    torch.testing.assert_close(coarse, halves)
    unity = network.losses(Unified(one, other), batch, {"identity": 0.25, "repair": 0.25, "consistency": 0.5})["total"]
    same = 0.25 * (one - both).abs().mean() + 0.25 * (other - both).abs().mean() + 0.5 * (one - other).abs().mean()
    torch.testing.assert_close(unity, same)
    guess, colours = torch.rand(2, 1, 32, 32), torch.rand(2, 3, 32, 32)
    fine = network.losses(Refined(guess, colours), batch, {"alpha": 0.5, "colours": 0.5})["total"]
    inside = ((colours - batch.foreground).abs() * (alpha > 0)).mean()
    torch.testing.assert_close(fine, 0.5 * (guess - alpha).abs().mean() + 0.5 * inside)
    spared = network.losses(
        Refined(guess, colours), batch._replace(foreground=torch.empty(0)), {"alpha": 0.5, "colours": 0.0}
    )
    assert set(spared) == {"alpha", "total"}


def test_a_degraded_mask_is_near_the_true_one_and_not_it() -> None:
    mask = torch.zeros(1, 1, 48, 64)
    mask[:, :, 12:36, 16:48] = 1
    torch.manual_seed(0)
    apart = [float((degraded(mask) - mask).abs().mean()) for _ in range(20)]
    assert min(apart) > 0.01
    assert max(apart) < 0.25
    assert len(set(apart)) > 5
    torch.manual_seed(0)
    assert float((degraded(mask) - mask).abs().mean()) == apart[0]
    assert reduced(mask).shape == (1, 1, 12, 16)


def test_mrn_learns_from_a_crops_part_of_the_mask_of_what_is_around_it() -> None:
    torch.manual_seed(2)
    network = SHMC("tiny").eval()
    shake(network, 1)
    context, window = torch.rand(2, 3, 64, 64), torch.tensor([[0.5, 0.25, 1.0, 0.75], [0.0, 0.5, 0.5, 1.0]])
    crops = torch.stack([context[0, :, 16:48, 32:], context[1, :, 32:, :32]])
    with torch.inference_mode():
        small = reduced(network.normalised(context))
        masks = network.qun(torch.cat([small, network.mpn(small).sigmoid()], dim=1)).sigmoid()
        parts = torch.stack([masks[0, :, 4:12, 8:], masks[1, :, 8:, :8]])
        expected = network.mrn(network.normalised(crops), parts)[:, :1].sigmoid()
        torch.testing.assert_close(network.refine(crops, context, window).alpha, expected)
        torch.testing.assert_close(cut(masks, window, (8, 8)), parts)
        every = torch.tensor([[0.0, 0.0, 1.0, 1.0]] * 2)
        torch.testing.assert_close(network.refine(context, context, every), network(context))


def test_a_backbone_that_masks_cannot_join_is_refused() -> None:
    with pytest.raises(InputError, match="--backbone torchvision:resnet18: SHMC's masks join inside the encoder"):
        SHMC("torchvision:resnet18")
