"""Which layers are the foreground: neither paper says.

So there are two answers: one that a program can give without the truth, and the best that there is, an upper bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

import numpy as np

from rssn.image.arrays import Alpha, Image

Layers: TypeAlias = tuple[int, ...]
"""Indices of the layers that are the foreground."""


@dataclass(frozen=True)
class CentreRule:
    """Layers that lie in the middle more than they touch the frame.

    The cue is a centre prior: 1 in the middle, falling as a Gaussian towards the frame. A layer is taken where the mean
    of the cue over it, less its weighted border contact, is more than a half; if none is, the layer of the largest
    difference. The contact is the share that it covers of the upper, left and right border: subjects stand, or are cut
    off, at the lower one. `tests.benchmarks.bench_sss_choice` compares rules.
    """

    reach: float = 1.0  # standard deviation of the centre prior, in halves of each side
    weight: float = 2.0  # of the border contact
    lower: bool = False  # whether the lower border is one, too

    def choose(self, layers: Image) -> Layers:
        """Choose among K x H x W layers in [0, 1]."""
        score = [self._overlap(layer) - self.weight * self._contact(layer) for layer in layers]
        chosen = tuple(index for index, each in enumerate(score) if each > 0.5)
        return chosen or (int(np.argmax(score)),)

    def _overlap(self, layer: Alpha) -> float:
        rows, columns = (np.linspace(-1, 1, side) / self.reach for side in layer.shape)
        prior = np.exp(-(rows[:, None] ** 2 + columns**2) / 2)
        return float((layer * prior).sum() / max(float(layer.sum()), 1e-6))

    def _contact(self, layer: Alpha) -> float:
        frame = [layer[0], layer[1:, 0], layer[1:, -1], *([layer[-1, 1:-1]] if self.lower else [])]
        return float(np.concatenate(frame).mean())


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
