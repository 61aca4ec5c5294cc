"""Validation during a run: the metrics on photographs, and a strip of pictures of the worst."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from rssn.images import encode_png
from train.checkpoint import Checkpoint
from train.config import TrainConfig
from train.evaluate import Evaluation, Judge, evaluate, strip
from train.inference import Strategy
from train.network.gfm import GFM

_SHOWN = 4


@dataclass(frozen=True)
class Validation:
    """What a validation found.

    Attributes:
        metrics: By the name `validation_<metric>`, means over the photographs; where there is a moving average of the
            weights, of that, and of the raw ones by the name `validation_raw_<metric>`.
        notes: Sentences about what could not be judged, and about odd mattes.
    """

    metrics: dict[str, float]
    notes: tuple[str, ...]


def validate(network: GFM, state: Checkpoint, config: TrainConfig) -> Validation:
    """Judge a network as it is now; writes `validation/step-<n>.png` into the run's folder.

    Args:
        network: The one in training; it is left as it is.
        state: Its checkpoint; where it has averaged weights, they are judged and shown, and the raw ones judged too.
        config: The run's settings.

    Raises:
        InputError: If no photograph could be judged.
    """
    result = _judged(network, {**state.model, **state.ema}, config)
    path = config.out / "validation" / f"step-{state.step:08d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(strip(result.worst[:_SHOWN])))
    metrics = {f"validation_{name}": value for name, value in result.mean.items()}
    if state.ema:
        raw = _judged(network, state.model, config)
        metrics |= {f"validation_raw_{name}": value for name, value in raw.mean.items()}
    return Validation(metrics, tuple(_notes(result)))


def _judged(network: GFM, weights: Mapping[str, Tensor], config: TrainConfig) -> Evaluation:
    judged = copy.deepcopy(network).eval()
    judged.load_state_dict(weights)
    judge = Judge([judged], Strategy(config.validation_side))
    return evaluate(judge, Path(str(config.validation)), lambda _: None, config.out, config.alpha_scale)


def _notes(result: Evaluation) -> Iterator[str]:
    failures = result.failures
    if failures:
        named = "; ".join(f"{failure.name}: {failure.reason}" for failure in failures[:_SHOWN])
        more = f"; and {len(failures) - _SHOWN} more" if len(failures) > _SHOWN else ""
        yield f"{len(failures)} photographs could not be judged, {len(result.rows)} were: {named}{more}"
    yield from result.doubts
