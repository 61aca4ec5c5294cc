"""Small networks that tests start from."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

from train.network.gfm import GFM
from train.network.network import build_network
from train.targets.rosta import Rosta


def seeded_gfm(backbone: str, rosta: Rosta, seed: int, ablations: Collection[str] = ()) -> GFM:
    """A GFM whose random starting values depend on the seed alone."""
    settings = {"backbone": backbone, "rosta": str(rosta), "ablations": [str(each) for each in ablations]}
    return cast("GFM", build_network(settings, seed=seed))
