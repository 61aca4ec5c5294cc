from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.seeded import seeded_gfm
from train.config import TrainConfig
from train.loop.optimiser import build_optimiser, learning_rate, load_optimiser
from train.network.networks import OptimiserKind, network_named
from train.targets.rosta import Rosta

CONFIG = TrainConfig(data=("shards",), out=Path("run"), learning_rate=0.1, max_steps=8, schedule="constant", warm_up=0)


def rates(config: TrainConfig) -> list[float]:
    return [learning_rate(config, step) for step in range(config.max_steps)]


def test_a_constant_rate_stays_and_a_warm_up_rises_to_it() -> None:
    assert rates(CONFIG) == [0.1] * 8
    assert rates(replace(CONFIG, warm_up=4)) == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1, 0.1, 0.1, 0.1])


def test_a_cosine_falls_from_all_to_nothing() -> None:
    found = rates(replace(CONFIG, schedule="cosine"))
    assert found[0] == 0.1
    assert found[4] == pytest.approx(0.05)
    assert found == sorted(found, reverse=True)
    assert learning_rate(replace(CONFIG, schedule="cosine"), 8) == pytest.approx(0.0)
    assert rates(replace(CONFIG, schedule="cosine", warm_up=1))[1] == pytest.approx(0.05 * (1 + math.cos(math.pi / 8)))


def test_a_cosine_warms_up_where_nothing_else_is_said() -> None:
    for steps, warm_up in ((9, 0), (40, 4), (10_000, 50)):
        said = replace(CONFIG, schedule="cosine", warm_up=warm_up, max_steps=steps)
        assert rates(replace(said, warm_up=None)) == rates(said)
    assert rates(replace(CONFIG, warm_up=None)) == rates(CONFIG)


def test_it_is_torchs_cosine() -> None:
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=8)
    for rate in rates(replace(CONFIG, schedule="cosine")):
        assert rate == pytest.approx(theirs.get_last_lr()[0])
        optimiser.step()
        theirs.step()


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_moments_of_another_layout_are_those_of_the_same_weights(kind: OptimiserKind) -> None:
    """A fused step walks through memory; what a run with --channels-last stored is in another order there."""
    start = seeded_gfm("tiny", Rosta.TT, 0).state_dict()
    stored: dict[str, Any] = {}
    ends = []
    for layout in (torch.channels_last, torch.contiguous_format):
        network = seeded_gfm("tiny", Rosta.TT, 0).to(memory_format=layout)
        optimiser = build_optimiser(replace(CONFIG, optimiser=kind), network, network_named("gfm").stages[0].updates[0])
        for each in network.parameters():
            each.grad = (100 * each.detach()).cos()
        if stored:
            load_optimiser(optimiser, stored, ())
        else:
            optimiser.step()
            stored = copy.deepcopy(optimiser.state_dict())
            network.load_state_dict(start)
        optimiser.step()
        ends.append(network.state_dict())
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], rtol=1e-6, atol=1e-7)
    assert not torch.equal(ends[0]["focus.blocks.0.0.weight"], start["focus.blocks.0.0.weight"])
