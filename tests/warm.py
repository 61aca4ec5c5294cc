"""Compiles the kernels, which are kept, once before tests that run side by side: `python -m tests.warm`."""

from __future__ import annotations

import numpy as np

from bg20k.hamming import near_pairs
from rssn.route import foreground
from rssn.route.steps import shipped_steps
from train.metrics.paper import matting_metrics

if __name__ == "__main__":
    foreground.warm_up("levin")
    for step in shipped_steps().values():
        step().warm_up()
    near_pairs(np.arange(2, dtype=np.uint64), 1)
    alpha = np.tile(np.linspace(0, 1, 32, dtype=np.float32), (32, 1))
    matting_metrics(alpha[::-1, ::-1], alpha, np.full(alpha.shape, 128, np.uint8))
