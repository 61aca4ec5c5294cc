"""The learning rate of each step: a function of the settings and the step alone, so nothing of it is stored."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from train.config import TrainConfig


def learning_rate(config: TrainConfig, step: int) -> float:
    """The rate of a step, counted from 0: a straight warm-up, times what the schedule leaves of the rate.

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
