"""The complexity of networks beside the paper's Table 4: parameters, multiply-adds at 800 x 800 px, and time here.

The paper counts what is built, also where it is never run: ImageNet's classifiers, and a branch. `counted` has it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from train.network.network import MattingNetwork, build_network
from train.network.networks import NETWORKS, NetworkRow
from train.network.published import PUBLISHED_BACKBONES, released_count
from train.targets.rosta import Rosta

SIDE = 800
"""Side of the picture in Table 4, px."""

TABLE_4 = {"r34": (55.29, 132.28), "d121": (46.96, 244.0), "r34_2b": (126.85, 1526.79)}
"""The paper's GFM-TT: million parameters, GMac. Other networks' figures are in their rows."""


@dataclass(frozen=True)
class Complexity:
    """What a network costs.

    Attributes:
        name: As the paper's tables call it.
        parameters: That a matte needs.
        counted: Parameters with those that the paper counts and no matte needs; None where there are none.
        gmac: Multiply-adds of convolutions and matrix products, 10^9.
        seconds: Of one forward here; None where it was not measured.
        paper: Table 4's million parameters and GMac; None where it has none.
        operations: Of the paper's figure, for a multiply and an add.
    """

    name: str
    parameters: int
    counted: int | None
    gmac: float
    seconds: float | None
    paper: tuple[float, float] | None = None
    operations: int = 1


def measure_gfm(backbone: str, rosta: Rosta, *, timed: bool, side: int = SIDE) -> Complexity:
    """Count a GFM's parameters and multiply-adds; `timed` runs it once on a picture, too.

    Args:
        backbone: A name that `train.network.backbones.backbone_named` knows.
        rosta: The representation.
        timed: Whether to run it; nothing is allocated otherwise.
        side: Of the picture, px.
    """
    with torch.device("meta"):
        released = released_count(backbone, rosta)[0] if backbone in PUBLISHED_BACKBONES else None
    network = _built("gfm", backbone, timed=timed, rosta=str(rosta))
    return _measured(network, released, TABLE_4.get(backbone) if rosta is Rosta.TT else None, 1, timed, side)


def measure(row: NetworkRow, *, timed: bool, side: int = SIDE) -> Complexity:
    """As `measure_gfm`, of a network with the encoder that it has in the paper.

    What training alone needs, such as a discriminator, does not count, as in the paper.
    """
    network = _built(row.name, row.defaults["backbone"], timed=timed)
    counted = _parameters(network) + sum(each.parameters for each in row.unused) if row.unused else None
    return _measured(network, counted, row.paper, row.operations, timed, side)


def _built(name: str, backbone: str, *, timed: bool, rosta: str = "TT") -> MattingNetwork:
    with torch.device("cpu" if timed else "meta"):
        return build_network({"network": name, "backbone": backbone, "rosta": rosta}).eval()


def _parameters(network: MattingNetwork) -> int:
    beside = tuple(f"{part}." for part in network.beside)
    return sum(each.numel() for name, each in network.named_parameters() if not name.startswith(beside))


def _measured(
    network: MattingNetwork,
    counted: int | None,
    paper: tuple[float, float] | None,
    operations: int,
    timed: bool,
    side: int,
) -> Complexity:
    image = torch.rand(1, 3, side, side, device=network.mean.device)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        start = time.perf_counter()
        network(image)
        seconds = time.perf_counter() - start
    gmac = counter.get_total_flops() / 2e9
    found = Complexity(network.name, _parameters(network), counted, gmac, seconds if timed else None, paper)
    return replace(found, operations=operations)


HEADINGS = ("network", "M params", "with unused", "paper", "GMac", "paper", "s here")
"""Of `cells`."""


def cells(found: Complexity) -> tuple[str, ...]:
    """A row of the table, empty where there is nothing to say."""
    paper = found.paper
    times = f" / {found.operations}" if found.operations > 1 else ""
    return (
        found.name,
        f"{found.parameters / 1e6:.2f}",
        f"{found.counted / 1e6:.2f}" if found.counted else "",
        f"{paper[0]:.2f}" if paper else "",
        f"{found.gmac:.2f}",
        f"{paper[1]:.2f}{times}" if paper else "",
        f"{found.seconds:.2f}" if found.seconds is not None else "",
    )


def notes(names: Sequence[str]) -> list[str]:
    """What the figures of these networks count, in sentences."""
    rows = [NETWORKS[name] for name in names]
    lines = [f"{row.name}: with {each.parameters:,} of {each.why}" for row in rows for each in row.unused]
    lines += [f"{row.name}: the paper's GMac count a multiply and an add as two" for row in rows if row.operations > 1]
    return lines
