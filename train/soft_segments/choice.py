"""Which layers are the foreground: neither paper says.

So there are two answers: one that a program can give without the truth, and the best that there is, an upper bound.
"""

from __future__ import annotations

from itertools import combinations
from typing import TypeAlias

import numpy as np

from rssn.image.arrays import Alpha, Image

Layers: TypeAlias = tuple[int, ...]
"""Indices of the layers that are the foreground."""

_REACH = 1.0  # standard deviation of the centre prior, in halves of each side
_CONTACT = 2.0  # weight
_HALF = 0.5


def choose_automatically(layers: Image) -> Layers:
    """Layers that lie in the middle more than they touch the frame.

    The cue is a centre prior: 1 in the middle, falling as a Gaussian towards the frame. A layer is taken where the mean
    of the cue over it, less twice the share that it covers of the frame's upper, left and right border, is more than a
    half; if none is, the layer of the largest difference. Subjects stand, or are cut off, at the lower border. Figures
    of other rules stand in `train/README.md`.

    Args:
        layers: K x H x W in [0, 1].
    """
    score = [_overlap(layer) - _CONTACT * _border_contact(layer) for layer in layers]
    chosen = tuple(index for index, each in enumerate(score) if each > _HALF)
    return chosen or (int(np.argmax(score)),)


def choose_by_truth(layers: Image, alpha: Alpha) -> Layers:
    """Of all unions of layers the one with the smallest sum of absolute differences from the true matte.

    Args:
        layers: K x H x W.
        alpha: H x W, the true one.
    """
    count = len(layers)
    unions = [each for size in range(1, count + 1) for each in combinations(range(count), size)]
    errors = [float(np.abs(unite(layers, each) - alpha).sum(dtype=np.float64)) for each in unions]
    return unions[int(np.argmin(errors))]


def unite(layers: Image, chosen: Layers) -> Alpha:
    """The sum of layers, in [0, 1]."""
    return np.asarray(np.clip(layers[list(chosen)].sum(axis=0), 0, 1), dtype=np.float32)


def _overlap(layer: Alpha) -> float:
    rows, columns = (np.linspace(-1, 1, side) / _REACH for side in layer.shape)
    prior = np.exp(-(rows[:, None] ** 2 + columns**2) / 2)
    return float((layer * prior).sum() / max(float(layer.sum()), 1e-6))


def _border_contact(layer: Alpha) -> float:
    frame = (layer[0], layer[1:, 0], layer[1:, -1])
    return float(np.concatenate(frame).mean())
