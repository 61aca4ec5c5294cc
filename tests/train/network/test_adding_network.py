"""A network is a class and a row: the README's example trains, is loaded and refused by name, and predicts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType

import pytest
import torch

from rssn.errors import InputError
from tests.train.readme import run_example
from train.checkpoint import load_network
from train.config import TrainConfig
from train.loop.loop import train
from train.network.networks import NETWORKS

MODULE = "example_network"


@pytest.fixture
def _added() -> Iterator[None]:
    before = dict(NETWORKS)
    sys.modules[MODULE] = module = ModuleType(MODULE)
    vars(module).update(run_example("How to add a network", MODULE))
    yield
    del sys.modules[MODULE]
    NETWORKS.clear()
    NETWORKS.update(before)


@pytest.mark.usefixtures("_added")
def test_it_learns_and_predicts(config: TrainConfig) -> None:
    heard: list[dict[str, float]] = []
    config = replace(config, network="plain", max_steps=30)
    path = train(config, lambda report: heard.append(report.losses)).checkpoint
    assert set(heard[0]) == {"alpha", "total"}
    assert heard[-1]["total"] < 0.8 * heard[0]["total"]
    network = load_network(path, torch.device("cpu"))
    assert network.name == "Plain"
    with torch.inference_mode():
        assert network.matte(network.evidence(torch.rand(1, 3, 64, 96))).shape == (1, 1, 64, 96)


def test_without_the_row_there_is_no_such_network(config: TrainConfig) -> None:
    with pytest.raises(InputError, match="--network plain: unknown; choose one of gfm, shm"):
        replace(config, network="plain")
