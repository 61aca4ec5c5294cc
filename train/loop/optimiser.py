"""The optimiser of a network, its learning rate at each step, and how it takes over the state of an earlier one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import torch
from torch import nn

from train.config import TrainConfig


def build_optimiser(config: TrainConfig, network: nn.Module) -> torch.optim.Optimizer:
    """One for what is not frozen. Weights decay; biases and the scales of norms, which have one dimension, do not.

    Each group knows its `share` of the learning rate, which the encoder may have another of than the decoders.
    """
    kind = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
    learning = [(name, each) for name, each in network.named_parameters() if each.requires_grad]
    groups = [
        {
            "params": [(name, each) for name, each in learning if _kind(name, each) == (encoder, decays)],
            "share": config.encoder_rate if encoder else 1.0,
            "weight_decay": config.weight_decay if decays else 0.0,
        }
        for encoder, decays in product((True, False), repeat=2)
    ]
    return kind([group for group in groups if group["params"]], lr=config.learning_rate)


def learning_rate(config: TrainConfig, step: int) -> float:
    """The rate of a step, counted from 0, by the settings alone: a linear warm-up, times what the schedule leaves.

    `constant` leaves all of it. `cosine` leaves half a wave, from all at the start to nothing after `max_steps`
    (Loshchilov and Hutter 2017, one period). Where no warm-up is given, a cosine has one of a tenth of the steps, of
    50 at most.
    """
    steps = config.warm_up
    if steps is None:
        steps = min(50, config.max_steps // 10) if config.schedule == "cosine" else 0
    warm_up = min(1.0, (step + 1) / (steps + 1))
    return config.learning_rate * warm_up * _LEFT[config.schedule](min(1.0, step / config.max_steps))


_LEFT: Mapping[str, Callable[[float], float]] = {
    "constant": lambda _: 1.0,
    "cosine": lambda done: 0.5 * (1.0 + math.cos(math.pi * done)),
}


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the next step; each group takes its share of it."""
    for group in optimiser.param_groups:
        group["lr"] = group["share"] * rate


def _kind(name: str, parameter: nn.Parameter) -> tuple[bool, bool]:
    """Whether it belongs to the encoder, and whether it decays."""
    return name.startswith("encoder."), parameter.ndim > 1


def load_optimiser(optimiser: torch.optim.Optimizer, stored: Mapping[str, Any], names: Sequence[str]) -> None:
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
