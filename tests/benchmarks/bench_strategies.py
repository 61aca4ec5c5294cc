"""How networks should see whole photographs: scale x border x weights, mean SAD on sets of photographs with mattes.

`python -m tests.benchmarks.bench_strategies --checkpoint RUN/last.pt --data AM-2k/validation` prints the table
behind `train.network.strategy.Strategy.as_trained` and `train.evaluation.inference`'s stretching. What the product
does not do is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rssn.image.arrays import Alpha, Image, to_float, to_uint8
from train.checkpoint import Network, load_checkpoint, load_network
from train.config import WEIGHTS
from train.evaluation.examples import Truth, find_examples
from train.evaluation.inference import predict_alpha, resized
from train.network.gfm import decide, fuse
from train.network.strategy import STRIDE, Strategy

SIDES = (256, 320, 384, 480, 640, 800, 1080, 0)
HYBRIDS = ((1 / 4, 1 / 3), (1 / 3, 1 / 2), (1 / 2, 1 / 2), (1 / 2, 1.0))

Border = Callable[[Network, Image], tuple[Tensor, Tensor]]
"""Scores and focus of a picture of any size."""


def table(networks: Mapping[str, Network], sets: Mapping[str, Sequence[Truth]]) -> Iterator[str]:
    """The rows, as text; the first is the default's."""
    yield "".join(f"{each:>16}" for each in ("weights", "border", "scale", *sets))
    for weights, network in networks.items():
        own = Strategy.as_trained(network.scales)
        for border, strategy in _strategies(own):
            matte = _by(border, network, strategy)
            sads = [np.mean([sad(matte(truth.picture), truth.alpha) for truth in truths]) for truths in sets.values()]
            yield "".join(
                f"{each:>16}" for each in (weights, border, _short(strategy), *(f"{each:.1f}" for each in sads))
            )


def sad(alpha: Alpha, truth: Alpha) -> float:
    """In thousands, of the rounded matte, as `train.metrics.paper` has it."""
    return float(np.abs(to_float(to_uint8(alpha)).astype(np.float64) - truth).sum()) / 1000


def _strategies(own: Strategy) -> Iterator[tuple[str, Strategy]]:
    yield "stretch", own
    yield from ((border, own) for border in BORDERS)
    for border in ("stretch", *BORDERS):
        yield from ((border, Strategy(side)) for side in SIDES)
    yield from (("stretch", Strategy(0, hybrid)) for hybrid in HYBRIDS)


def _short(strategy: Strategy) -> str:
    if strategy.hybrid:
        return "hybrid " + " ".join(f"{share:.2f}" for share in strategy.hybrid)
    size = f"{strategy.max_side} px" if strategy.max_side else "whole"
    return size if strategy.share == 1.0 else f"{strategy.share:.2f} of {size}"


def _by(border: str, network: Network, strategy: Strategy) -> Callable[[Image], Alpha]:
    if border == "stretch":
        return lambda image: predict_alpha([network], image, strategy)
    evidence = BORDERS[border]

    def matte(image: Image) -> Alpha:
        height, width = image.shape[:2]
        scale = strategy.limit(width, height) * strategy.share
        seen = resized(image, (max(1, round(width * scale)), max(1, round(height * scale))))
        with torch.inference_mode():
            scores, focus = evidence(network, seen)
        alpha = fuse(decide(scores), focus, network.rosta)[0, 0].numpy()
        return np.clip(resized(alpha, (width, height)), 0.0, 1.0)

    return matte


def _padded(mode: str) -> Border:
    """The border repeated, or mirrored, to the right and below; cut off afterwards."""

    def evidence(network: Network, image: Image) -> tuple[Tensor, Tensor]:
        height, width = image.shape[:2]
        tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
        scores, focus = network.evidence(F.pad(tensor, (0, -width % STRIDE, 0, -height % STRIDE), mode=mode))
        return scores[:, :, :height, :width], focus[:, :, :height, :width]

    return evidence


def _masked(network: Network, image: Image) -> tuple[Tensor, Tensor]:
    """Padding that every convolution sees as 0 and no pooling sees: what zero padding at the border itself would be."""
    height, width = image.shape[:2]
    whole = (height + -height % STRIDE, width + -width % STRIDE)
    tensor = torch.zeros((1, 3, *whole))
    tensor[:, :, :height, :width] = torch.from_numpy(image.transpose(2, 0, 1))
    with _hooked(network, (height / whole[0], width / whole[1])):
        scores, focus = network.evidence(tensor)
    return scores[:, :, :height, :width], focus[:, :, :height, :width]


@contextmanager
def _hooked(network: nn.Module, share: tuple[float, float]) -> Iterator[None]:
    def inner(feature: Tensor) -> Tensor:
        height, width = (-(-side * part // 1) for side, part in zip(feature.shape[2:], share, strict=True))
        return feature[:, :, : int(height), : int(width)]

    def blank(_: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        kept = inner(given[0])
        if kept.shape == given[0].shape or given[0].shape[2] * given[0].shape[3] < STRIDE:
            return given  # whole, or cells of a pooling
        masked = torch.zeros_like(given[0])
        masked[:, :, : kept.shape[2], : kept.shape[3]] = kept
        return (masked,)

    hooks = [each.register_forward_pre_hook(blank) for each in network.modules() if isinstance(each, nn.Conv2d)]
    hooks += [
        each.register_forward_pre_hook(lambda _, given: (inner(given[0]),))
        for each in network.modules()
        if isinstance(each, nn.AdaptiveAvgPool2d)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


BORDERS: Mapping[str, Border] = {"replicate": _padded("replicate"), "reflect": _padded("reflect"), "masked": _masked}


@click.command()
@click.option("--checkpoint", type=click.Path(path_type=Path), required=True)
@click.option("--data", "sets", type=click.Path(path_type=Path), multiple=True, required=True)
def main(checkpoint: Path, sets: tuple[Path, ...]) -> None:
    """Print the table of a checkpoint, for its raw weights and their average."""
    kinds = WEIGHTS if load_checkpoint(checkpoint).ema else ("raw",)
    networks = {kind: load_network(checkpoint, torch.device("cpu"), kind) for kind in kinds}
    truths = {path.name: [example.load() for example in find_examples(path).examples] for path in sets}
    for line in table(networks, truths):
        click.echo(line)


if __name__ == "__main__":
    main()
