"""Validation during a run: the metrics on photographs, and a strip of pictures of the worst."""

from __future__ import annotations

import copy
from pathlib import Path

from rssn.images import encode_png
from train.checkpoint import Checkpoint
from train.config import TrainConfig
from train.evaluate import Judge, evaluate, strip
from train.inference import Strategy
from train.network.gfm import GFM

_SHOWN = 4


def validate(network: GFM, state: Checkpoint, config: TrainConfig) -> dict[str, float]:
    """Judge a network as it is now; writes `validation/step-<n>.png` into the run's folder.

    Args:
        network: The one in training; it is left as it is.
        state: Its checkpoint; where it has averaged weights, those are judged.
        config: The run's settings.

    Returns:
        The metrics by the name `validation_<metric>`, means over the photographs.

    Raises:
        InputError: If no photograph could be judged.
    """
    judged = copy.deepcopy(network).eval()
    judged.load_state_dict({**state.model, **state.ema})
    judge = Judge([judged], Strategy(config.validation_side))
    result = evaluate(judge, Path(str(config.validation)), lambda _: None, config.out)
    path = config.out / "validation" / f"step-{state.step:08d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(strip(result.worst[:_SHOWN])))
    return {f"validation_{name}": value for name, value in result.mean.items()}
