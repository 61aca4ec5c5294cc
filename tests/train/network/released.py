"""The released network written out as one function of its state dict, from the published facts; no code is ours."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

State = Mapping[str, Tensor]


def shapes(shared: Path, backbone: str, rosta: str) -> dict[str, list[int]]:
    """Names and shapes of a released state dict."""
    stored = json.loads((shared / "published/gfm_state_dicts.json").read_text())
    found = dict(stored[f"{backbone}_TT"])
    if rosta != "TT":
        changes = stored[f"{backbone}_{rosta}"]
        found = {name: shape for name, shape in found.items() if name not in changes["removed"]}
        found.update(changes["changed_or_added"])
    return found


def random_state(named: Mapping[str, list[int]], seed: int) -> dict[str, Tensor]:
    """Random values that keep activations in range; the heads' are spread so that every class occurs."""
    rng = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in named.items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        elif name.endswith("running_var"):
            state[name] = 0.5 + torch.rand(shape, generator=rng)
        elif len(shape) == 1:
            positive = name.endswith("weight")
            state[name] = positive * 0.5 + torch.rand(shape, generator=rng) - (not positive) * 0.5
        else:
            state[name] = torch.randn(shape, generator=rng) * math.sqrt(2 / math.prod(shape[1:]))
    return state


def conv(s: State, name: str, x: Tensor, stride: int = 1, padding: int = 0, dilation: int = 1) -> Tensor:
    return F.conv2d(x, s[f"{name}.weight"], s.get(f"{name}.bias"), stride, padding, dilation)


def norm(s: State, name: str, x: Tensor) -> Tensor:
    keys = ("running_mean", "running_var", "weight", "bias")
    return F.batch_norm(x, *(s[f"{name}.{key}"] for key in keys), training=False)


def up(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def basic(s: State, name: str, x: Tensor, stride: int) -> Tensor:
    y = F.relu(norm(s, f"{name}.bn1", conv(s, f"{name}.conv1", x, stride, 1)))
    y = norm(s, f"{name}.bn2", conv(s, f"{name}.conv2", y, 1, 1))
    if f"{name}.downsample.0.weight" in s:
        x = norm(s, f"{name}.downsample.1", conv(s, f"{name}.downsample.0", x, stride))
    return F.relu(x + y)


def bottleneck(s: State, name: str, x: Tensor, stride: int) -> Tensor:
    y = F.relu(norm(s, f"{name}.bn1", conv(s, f"{name}.conv1", x)))
    y = F.relu(norm(s, f"{name}.bn2", conv(s, f"{name}.conv2", y, stride, 1)))
    y = norm(s, f"{name}.bn3", conv(s, f"{name}.conv3", y))
    if f"{name}.downsample.0.weight" in s:
        x = norm(s, f"{name}.downsample.1", conv(s, f"{name}.downsample.0", x, stride))
    return F.relu(x + y)


def stack(s: State, name: str, x: Tensor, numbers: range, stride: int) -> Tensor:
    for number in numbers:
        residual = bottleneck if f"{name}.{number}.conv3.weight" in s else basic
        x = residual(s, f"{name}.{number}", x, stride if number == numbers[0] else 1)
    return x


def dense(s: State, name: str, x: Tensor, layers: int) -> Tensor:
    for number in range(1, layers + 1):
        at = f"{name}.denselayer{number}"
        y = conv(s, f"{at}.conv1", F.relu(norm(s, f"{at}.norm1", x)))
        x = torch.cat([x, conv(s, f"{at}.conv2", F.relu(norm(s, f"{at}.norm2", y)), padding=1)], 1)
    return x


def encode(s: State, backbone: str, x: Tensor) -> list[Tensor]:
    two_b = backbone == "r34_2b"
    e0 = F.relu(norm(s, "encoder0.1", conv(s, "encoder0.0", x, *((1, 1) if two_b else (2, 3)))))
    if backbone == "d121":
        found = [e0]
        for level, layers in ((1, 6), (2, 12), (3, 24)):
            y = dense(s, f"encoder{level}.0", found[-1], layers)
            y = conv(s, f"encoder{level}.1.conv", F.relu(norm(s, f"encoder{level}.1.norm", y)))
            found.append(F.avg_pool2d(y, 2))
        y = dense(s, "encoder4.0", found[-1], 16)
        y = F.relu(norm(s, "encoder4.2", conv(s, "encoder4.1", y, padding=1)))
        return [*found, F.max_pool2d(y, 2, 2, ceil_mode=True)]
    first = "encoder1" if two_b else "encoder1.1"
    found = [e0, stack(s, first, e0 if two_b else F.max_pool2d(e0, 3, 2, 1), range(3), 1)]
    for level, blocks in ((2, 4), (3, 23 if backbone == "r101" else 6), (4, 3)):
        found.append(stack(s, f"encoder{level}", found[-1], range(blocks), 2))
    for level in (5, 6) if two_b else ():
        found.append(stack(s, f"encoder{level}", F.max_pool2d(found[-1], 2, 2, ceil_mode=True), range(1, 4), 1))
    return found


def block(s: State, name: str, x: Tensor, factor: int) -> Tensor:
    if f"{name}.3.weight" not in s:
        return conv(s, f"{name}.0", x, padding=1)
    x = F.relu(norm(s, f"{name}.1", conv(s, f"{name}.0", x, padding=1)))
    x = F.relu(norm(s, f"{name}.4", conv(s, f"{name}.3", x, padding=1)))
    x = conv(s, f"{name}.6", x, padding=1)
    if f"{name}.7.weight" in s:
        x = F.relu(norm(s, f"{name}.7", x))
    return up(x, factor) if factor > 1 else x


def calibrate(s: dict[str, Tensor], backbone: str, image: Tensor) -> None:
    """Move the heads so that no sigmoid saturates and every class occurs."""
    for letter, found in zip("gf", logits(s, backbone, image), strict=True):
        head = f"decoder0_{letter}.{0 if backbone == 'r34_2b' else 6}"
        mean, deviation = found.mean((0, 2, 3)), found.std((0, 2, 3))
        s[f"{head}.weight"] = s[f"{head}.weight"] / deviation.view(-1, 1, 1, 1)
        s[f"{head}.bias"] = (s[f"{head}.bias"] - mean) / deviation


def logits(s: State, backbone: str, image: Tensor) -> tuple[Tensor, Tensor]:
    """What both heads say before their sigmoids."""
    return decode(s, backbone, encode(s, backbone, image))


def decode(s: State, backbone: str, e: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The same, from the features of the encoder."""
    top, two_b = len(e) - 1, backbone == "r34_2b"
    size = e[top].shape[2:]
    pooled = [
        F.interpolate(conv(s, f"psp_module.stages.{n}.1", F.adaptive_avg_pool2d(e[top], cells)), size,
                      mode="bilinear", align_corners=True)
        for n, cells in enumerate((1, 3, 5))
    ]  # fmt: skip
    psp = F.relu(conv(s, "psp_module.bottleneck", torch.cat([*pooled, e[top]], 1)))
    bridge = e[top]
    for n in (0, 3, 6):
        bridge = F.relu(norm(s, f"bridge_block.{n + 1}", conv(s, f"bridge_block.{n}", bridge, 1, 2, 2)))
    factor = {level: 1 if two_b and level < 2 else 2 for level in range(top + 1)}
    g = block(s, f"decoder{top}_g", torch.cat([psp, e[top]], 1), 2)
    f = block(s, f"decoder{top}_f", torch.cat([bridge, e[top]], 1), 2)
    for level in range(top - 1, -1, -1):
        if not (two_b and level == 0):
            at = f"psp{level + 1}"
            branch = up(F.relu(norm(s, f"{at}.1", conv(s, f"{at}.0", psp, padding=1))), 2 ** (top - level))
            g, f = torch.cat([branch, g], 1), torch.cat([f, e[level]], 1)
        g, f = block(s, f"decoder{level}_g", g, factor[level]), block(s, f"decoder{level}_f", f, factor[level])
    return g, f


def released(s: State, backbone: str, rosta: str, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Glance and focus after their sigmoids, and alpha."""
    glance, focus = (found.sigmoid() for found in logits(s, backbone, image))
    label = glance.max(1)[1][:, None]
    if rosta == "TT":
        return glance, focus, (label == 1) * focus + (label == 2)
    return glance, focus, (label + focus if rosta == "FT" else label - focus).clamp(0, 1)
