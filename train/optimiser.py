"""The optimiser of a network, and how it takes up the state of an earlier one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from train.config import TrainConfig


def build_optimiser(config: TrainConfig, network: nn.Module) -> torch.optim.Optimizer:
    """Weights decay; biases and the scales of norms, which have one dimension, do not."""
    kind = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
    named = list(network.named_parameters())
    groups = [
        {"params": [each for each in named if each[1].ndim > 1], "weight_decay": config.weight_decay},
        {"params": [each for each in named if each[1].ndim <= 1], "weight_decay": 0.0},
    ]
    return kind(groups, lr=config.learning_rate)


def take_up(optimiser: torch.optim.Optimizer, stored: Mapping[str, Any], names: Sequence[str]) -> None:
    """Give an optimiser the moments of a stored one, each parameter its own by name; its settings stay.

    A parameter that was frozen before, or that the stored optimiser did not know, starts without.

    Args:
        optimiser: Made with names of its parameters.
        stored: A `state_dict` of one for the same network.
        names: Of all parameters in the network's order, for states without names, as earlier versions stored them.

    Raises:
        Exception: Whatever a foreign state makes it raise.
    """
    own = optimiser.state_dict()
    before = [name for group in stored["param_groups"] for name in group.get("param_names", names)]
    moments = {name: stored["state"][at] for at, name in enumerate(before) if at in stored["state"]}
    places = [
        (at, name)
        for group in own["param_groups"]
        for at, name in zip(group["params"], group["param_names"], strict=True)
    ]
    state = {at: moments[name] for at, name in places if name in moments}
    optimiser.load_state_dict({"state": state, "param_groups": own["param_groups"]})
