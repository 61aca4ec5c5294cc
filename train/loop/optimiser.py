"""The optimiser of a network, its learning rate at each step, and how it takes over the state of an earlier one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

import torch

from train.config import TrainConfig
from train.network.network import MattingNetwork
from train.network.networks import OptimiserKind, Span, Update


def build_optimiser(config: TrainConfig, network: MattingNetwork, update: Update) -> torch.optim.Optimizer:
    """One for what an update trains, as far as it is not frozen.

    Weights decay; biases and the scales of norms, which have one dimension, do not.

    Each group knows its `share` of the learning rate, which the encoder may have another of than the decoders.
    """
    learning = [
        (name, each)
        for name, each in network.named_parameters()
        if each.requires_grad and (not update.trains or name.startswith(tuple(f"{part}." for part in update.trains)))
    ]
    if update.optimiser:
        return _KINDS[update.optimiser.kind](
            [{"params": learning}], lr=update.optimiser.rate, betas=update.optimiser.betas
        )
    encoders = tuple(f"{place}." for place in network.encoders)
    groups = [
        {
            "params": [
                (name, each)
                for name, each in learning
                if (name.startswith(encoders), each.ndim > 1) == (encoder, decays)
            ],
            "share": config.encoder_rate if encoder else 1.0,
            "weight_decay": config.weight_decay if decays else 0.0,
        }
        for encoder, decays in product((True, False), repeat=2)
    ]
    return _KINDS[config.optimiser]([group for group in groups if group["params"]], lr=config.learning_rate)


_KINDS: Mapping[OptimiserKind, Callable[..., torch.optim.Optimizer]] = {
    "adam": partial(torch.optim.Adam, fused=True),
    "adamw": partial(torch.optim.AdamW, fused=True),
    "sgd": partial(torch.optim.SGD, momentum=0.9),
}


def learning_rate(config: TrainConfig, step: int, span: Span | None = None) -> float:
    """The rate of a step, counted from 0, by the settings alone: a linear warm-up, times what the schedule leaves.

    Each stage has a schedule of its own. `constant` leaves all of it. `cosine` leaves half a wave, from all at the
    start to nothing after the last step (Loshchilov and Hutter 2017, one period); where no warm-up is given, it has one
    of a tenth of the steps, of 50 at most. `poly` leaves (1 - done)^0.9.
    """
    length, step = (span.length, step - span.start) if span else (config.max_steps, step)
    steps = config.warm_up
    if steps is None:
        steps = min(50, length // 10) if config.schedule == "cosine" else 0
    warm_up = min(1.0, (step + 1) / (steps + 1))
    return config.learning_rate * warm_up * _LEFT[config.schedule](min(1.0, step / length))


_LEFT: Mapping[str, Callable[[float], float]] = {
    "constant": lambda _: 1.0,
    "poly": lambda done: (1.0 - done) ** 0.9,
    "cosine": lambda done: 0.5 * (1.0 + math.cos(math.pi * done)),
}


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the next step; each group takes its share of it."""
    for group in optimiser.param_groups:
        group["lr"] = group["share"] * rate


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
    for parameter, moved in optimiser.state.items():  # a fused step reads them in the order of the parameter's memory
        fitting = {at: value for at, value in moved.items() if value.shape == parameter.shape}
        moved |= {at: torch.empty_like(parameter).copy_(value) for at, value in fitting.items()}
