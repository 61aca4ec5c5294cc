"""Rendered photographs for the curation tests."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from rssn.image.arrays import Pixels

Render = Callable[[int, int, int], Pixels]


@pytest.fixture
def render() -> Render:
    """`render(seed, width, height)`: soft coloured shapes with fine grain, the same scene at any size."""

    def scene(seed: int, width: int, height: int) -> Pixels:
        rng = np.random.default_rng(seed)
        coarse = cv2.resize(rng.uniform(0, 255, (7, 9, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
        grain = cv2.resize(rng.normal(0, 6, (90, 120, 3)), (width, height), interpolation=cv2.INTER_LINEAR)
        return np.clip(coarse + grain, 0, 255).astype(np.uint8)

    return scene
