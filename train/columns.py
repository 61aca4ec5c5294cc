"""The columns of the paper's Table 1; no torch, no kernels."""

from __future__ import annotations

from typing import Final

METRICS: Final = ("sad", "mse", "mad", "grad", "conn", "sad_tran", "sad_fg", "sad_bg")
"""The keys of `train.evaluation.metrics.matting_metrics`, in the table's order."""

HEADINGS: Final = ("SAD", "MSE", "MAD", "Grad", "Conn", "SAD-TRAN", "SAD-FG", "SAD-BG")
DECIMALS: Final = (2, 4, 4, 2, 2, 2, 2, 2)
