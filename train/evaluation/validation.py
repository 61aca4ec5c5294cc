"""Validation during a run: the metrics on photographs, and strips of pictures of the worst and of the first."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from rssn.image.arrays import Pixels, encode_png
from rssn.report.page import contact_sheet
from rssn.storage.atomic import write_bytes
from train.checkpoint import Checkpoint
from train.config import TrainConfig
from train.evaluation.evaluate import Evaluation, Evaluator, evaluate_examples, strip
from train.evaluation.examples import ExampleSet
from train.evaluation.method import TrainedNetworks
from train.network.network import MattingNetwork

_SHOWN = 4


@dataclass(frozen=True)
class Validation:
    """What a validation found.

    Attributes:
        metrics: By the name `validation/<set>/<metric>`, means over the photographs; where there is a moving average of
            the weights, of that, and of the raw ones by the name `validation/<set>/raw/<metric>`.
        photographs: How many of each set could be evaluated.
        pictures: Of each set the first photographs, their mattes and the true ones: always the same photographs.
        notes: Sentences about what could not be evaluated, and about odd mattes.
    """

    metrics: dict[str, float]
    photographs: dict[str, int]
    pictures: dict[str, Pixels]
    notes: tuple[str, ...]


def validate(
    network: MattingNetwork, state: Checkpoint, config: TrainConfig, examples: Mapping[str, ExampleSet], folder: Path
) -> Validation:
    """Evaluate a network as it is now; writes `validation/<set>/step-<n>.png`.

    Args:
        network: The one in training; it is left as it is.
        state: Its checkpoint; where it has averaged weights, these are evaluated and shown, and the raw ones too.
        config: The run's settings.
        examples: Of its validation sets, by their names.
        folder: Its files.

    Raises:
        InputError: If no photograph of a set could be evaluated.
    """
    metrics: dict[str, float] = {}
    photographs: dict[str, int] = {}
    pictures: dict[str, Pixels] = {}
    notes: list[str] = []
    shown = _with_weights(network, {**state.model, **state.ema})
    raw = _with_weights(network, state.model) if state.ema else None
    for name, found in examples.items():
        result = _evaluated(shown, name, found, config)
        path = folder / "validation" / name / f"step-{state.step:08d}.png"
        write_bytes(path, encode_png(strip(result.worst[:_SHOWN])), durable=False, only_writer=True)
        metrics |= _named(result, f"validation/{name}")
        if raw:
            metrics |= _named(_evaluated(raw, name, found, config), f"validation/{name}/raw")
        photographs[name], pictures[name] = len(result.counted), _first(result)
        notes += [f"{name}: {note}" for note in _notes(result)]
    return Validation(metrics, photographs, pictures, tuple(notes))


def _with_weights(network: MattingNetwork, weights: Mapping[str, Tensor]) -> MattingNetwork:
    copied = copy.deepcopy(network).eval()
    copied.load_state_dict(weights)
    return copied


def _evaluated(network: MattingNetwork, name: str, found: ExampleSet, config: TrainConfig) -> Evaluation:
    evaluator = Evaluator(TrainedNetworks([network], config.validation_strategy))
    return evaluate_examples(evaluator, found, lambda _: None, f"--validation {name}")


def _named(result: Evaluation, prefix: str) -> dict[str, float]:
    return {f"{prefix}/{metric}": value for metric, value in result.mean.items()}


def _first(result: Evaluation) -> Pixels:
    rows = [each.tiles[:3] for each in result.first]  # without the error
    return contact_sheet(rows, ("photo", "prediction", "truth"), side=160)


def _notes(result: Evaluation) -> Iterator[str]:
    failures = result.failures
    if failures:
        named = "; ".join(f"{failure.name}: {failure.reason}" for failure in failures[:_SHOWN])
        more = f"; and {len(failures) - _SHOWN} more" if len(failures) > _SHOWN else ""
        yield f"{len(failures)} photographs could not be evaluated, {len(result.rows)} were: {named}{more}"
    yield from result.doubts
