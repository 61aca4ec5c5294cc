"""LF against its tables, written down again plainly, and the trap of its blend."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rssn.vision import torchvision_models
from tests.train.network.plain import convolution, give, picture, run, shake
from tests.train.network.test_shm import batch_of
from train.network.lf import LF, Blend, Branches, blend

CHANNELS = (64, 256, 512, 1792, 1920)
WIDE, FUSED, COLOURS = 32, (16, 16, 8, 8), 8  # 256, 128 and 64 times 0.125


class PlainDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(each, WIDE, 1) for each in CHANNELS)
        self.blocks = nn.ModuleList(
            nn.ModuleList([*convolution(WIDE if number == 5 else 2 * WIDE, WIDE), *convolution(WIDE, WIDE)])
            for number in range(1, 6)
        )
        self.sides = nn.ModuleList(nn.Conv2d(WIDE, 1, 3, padding=1) for _ in CHANNELS)

    def forward(self, features: list[torch.Tensor]) -> list[torch.Tensor]:
        x = run(self.blocks[4], self.laterals[4](features[4]))
        found = [x]
        for level in (3, 2, 1, 0):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = run(self.blocks[level], torch.cat([x, self.laterals[level](features[level])], dim=1))
            found.insert(0, x)
        return found


class PlainLF(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = torchvision_models().densenet201().features
        self.foreground, self.background = PlainDecoder(), PlainDecoder()
        self.colours = nn.ModuleList(convolution(3, COLOURS))
        pairs = zip((2 * WIDE + COLOURS, *FUSED), FUSED, strict=False)
        self.fusion = nn.ModuleList(layer for pair in pairs for layer in convolution(*pair))
        self.beta = nn.Conv2d(FUSED[-1], 1, 3, padding=1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        d = self.dense
        c1 = torch.relu(d.norm0(d.conv0(x)))
        c2 = d.denseblock1(d.pool0(c1))
        c3 = d.denseblock2(d.transition1(c2))
        c4 = d.denseblock3(d.transition2(c3))
        c5 = torch.relu(d.norm5(d.denseblock4(d.transition3(c4))))
        features = [c1, c2, c3, c4, c5]

        def full(feature: torch.Tensor) -> torch.Tensor:
            return F.interpolate(feature, x.shape[2:], mode="bilinear", align_corners=False)

        found, blocks = {}, []
        for name, decoder in (("foreground", self.foreground), ("background", self.background)):
            blocks.append(decoder(features))
            found[name] = torch.cat([full(side(b)) for side, b in zip(decoder.sides, blocks[-1], strict=True)], dim=1)
        seen = torch.cat([full(blocks[0][0]), full(blocks[1][0]), run(self.colours, x)], dim=1)
        return {**found, "beta": self.beta(run(self.fusion, seen))}


def test_forward_is_the_sheets_tables() -> None:
    torch.manual_seed(4)
    network = LF("d201", 0.125).eval()
    shake(network)
    plain = PlainLF().eval()
    give(network, plain)
    image, seen = picture(network)
    with torch.inference_mode():
        expected, found, branches = plain(seen), network(image), network.branches(image)
    for name in ("foreground", "background"):
        torch.testing.assert_close(getattr(branches, name), expected[name], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(getattr(found, name), expected[name][:, :1].sigmoid(), rtol=1e-5, atol=1e-5)
    front, back, beta = (expected[name][:, :1].sigmoid() for name in ("foreground", "background", "beta"))
    torch.testing.assert_close(found.alpha, beta * front + (1 - beta) * (1 - back), rtol=1e-5, atol=1e-5)


def test_the_blend_lies_between_and_beta_learns_only_where_the_branches_differ() -> None:
    front, back = torch.tensor([0.9, 0.7, 0.2]), torch.tensor([0.1, 0.8, 0.8])
    beta = torch.full((3,), 0.25, requires_grad=True)
    alpha = blend(front, back, beta)
    torch.testing.assert_close(alpha, torch.tensor([0.9, 0.25 * 0.7 + 0.75 * 0.2, 0.2]))
    torch.autograd.backward(alpha.sum())
    assert beta.grad is not None
    torch.testing.assert_close(beta.grad, torch.tensor([0.0, 0.5, 0.0]), atol=1e-6, rtol=0)


def test_losses_are_the_direct_forms() -> None:
    alpha = torch.rand(1, 1, 8, 8)
    alpha[..., :3], alpha[..., 6:] = 0.0, 1.0
    batch = batch_of(alpha, torch.zeros(1, 8, 8, dtype=torch.int64))
    network = LF("tiny", 0.02)
    found = Branches(torch.randn(1, 3, 8, 8), torch.randn(1, 3, 8, 8))
    sums = dict.fromkeys(("cross_entropy", "difference", "gradient"), 0.0)
    for logits, target in ((found.foreground, alpha), (found.background, 1 - alpha)):
        for side in range(3):
            guess, inside = logits[0, side].sigmoid(), (alpha[0, 0] > 0) & (alpha[0, 0] < 1)
            truth = target[0, 0]
            claimed = (truth > 0).float()
            entropy = -(claimed * guess.log() + (1 - claimed) * (1 - guess).log())
            sums["cross_entropy"] += float((entropy * torch.where(inside, 0.5, 1.0)).mean())
            apart = guess - truth
            sums["difference"] += float(torch.where(inside, apart.abs(), apart**2).mean())
            slopes = [(guess[:, 1:] - guess[:, :-1]) - (truth[:, 1:] - truth[:, :-1])]
            slopes.append((guess[1:] - guess[:-1]) - (truth[1:] - truth[:-1]))
            sums["gradient"] += float(sum(each.abs().mean() for each in slopes))
    losses = network.losses(found, batch, dict.fromkeys(sums, 1.0))
    assert {name: float(losses[name]) for name in sums} == pytest.approx(sums, rel=1e-5)
    assert float(losses["total"]) == pytest.approx(sum(sums.values()), rel=1e-5)
    guess = torch.rand(1, 1, 8, 8)
    weight = torch.where((alpha > 0) & (alpha < 1), 1.0, 0.1)
    fused = network.losses(Blend(guess, guess, guess, guess), batch, {"fusion": 1.0})["fusion"]
    torch.testing.assert_close(fused, (weight * (guess - alpha).abs()).mean())


def test_both_branches_claim_the_transition() -> None:
    """The binary targets of both are 1 there, so that F + B is above 1 and the blend has room."""
    alpha = torch.full((1, 1, 4, 4), 0.3)
    batch = batch_of(alpha, torch.ones(1, 4, 4, dtype=torch.int64))
    network, sure, unsure = LF("tiny", 0.02), torch.full((1, 1, 4, 4), 5.0), torch.full((1, 1, 4, 4), -5.0)
    both, front, none = (
        float(network.losses(Branches(*pair), batch, {"cross_entropy": 1.0})["total"])
        for pair in ((sure, sure), (sure, unsure), (unsure, unsure))
    )
    assert both < front < none
