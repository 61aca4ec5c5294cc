"""The complexity of GFM beside the paper's Table 4: parameters, multiply-adds at 800 x 800 px, and time here."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from train.network.gfm import GFM
from train.network.published import PUBLISHED_BACKBONES, released_count
from train.targets.rosta import Rosta

SIDE = 800
"""Side of the picture in Table 4, px."""

TABLE_4 = {"r34": (55.29, 132.28), "d121": (46.96, 244.0), "r34_2b": (126.85, 1526.79)}
"""The paper's GFM-TT: million parameters, GMac."""


@dataclass(frozen=True)
class Complexity:
    """What a network costs."""

    backbone: str
    rosta: Rosta
    parameters: int
    released: int | None  # of the authors' state dict, with what their network never uses; None where there is none
    gmac: float  # convolutions and matrix products
    seconds: float | None  # of one forward here, None where it was not measured


def measure(backbone: str, rosta: Rosta, *, timed: bool, side: int = SIDE) -> Complexity:
    """Count a network's parameters and multiply-adds; `timed` runs it once on a picture, too.

    Args:
        backbone: A name that `train.network.backbones.backbone_named` knows.
        rosta: The representation.
        timed: Whether to run it; nothing is allocated otherwise.
        side: Of the picture, px.
    """
    with torch.device("cpu" if timed else "meta"):
        network, image = GFM(backbone, rosta).eval(), torch.rand(1, 3, side, side)
    with torch.device("meta"):
        released = released_count(backbone, rosta)[0] if backbone in PUBLISHED_BACKBONES else None
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        start = time.perf_counter()
        network(image)
        seconds = time.perf_counter() - start
    return Complexity(
        backbone=backbone,
        rosta=rosta,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        released=released,
        gmac=counter.get_total_flops() / 2e9,
        seconds=seconds if timed else None,
    )


HEADINGS = ("network", "M params", "released", "paper", "GMac", "paper", "s here")
"""Of `cells`."""


def cells(found: Complexity) -> tuple[str, ...]:
    """A row of the table, empty where there is nothing to say."""
    paper = TABLE_4.get(found.backbone) if found.rosta is Rosta.TT else None
    return (
        f"GFM-{found.rosta}({found.backbone})",
        f"{found.parameters / 1e6:.2f}",
        f"{found.released / 1e6:.2f}" if found.released else "",
        f"{paper[0]:.2f}" if paper else "",
        f"{found.gmac:.2f}",
        f"{paper[1]:.2f}" if paper else "",
        f"{found.seconds:.2f}" if found.seconds is not None else "",
    )
