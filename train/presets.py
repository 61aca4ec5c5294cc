"""Named settings of `train run`: the paper's, to the letter (section 5.2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Preset:
    """What an option has by default under a preset."""

    epochs: int  # passes through all rows, where no number of steps is given
    values: Mapping[str, Any]  # by the names of `train.config.TrainConfig`

    def steps(self, rows: int, step_size: int) -> int:
        """So many as show every row `epochs` times."""
        return -(-self.epochs * rows // step_size)

    def batch_size(self, backbone: str) -> int:
        """Samples of a step, of all processes together."""
        return 4 if backbone == "d121" else 32


def _paper(epochs: int, learning_rate: float) -> Preset:
    fixed = {"optimiser": "adam", "schedule": "constant", "warm_up": 0, "weight_decay": 0.0, "clip": 0.0, "ema": 0.0}
    whole = {"encoder_rate": 1.0, "precision": "fp32", "learning_rate": learning_rate}
    sizes = {"backbone": "r34", "crop_sizes": (640, 960, 1280), "input_size": 320}
    return Preset(epochs, {**fixed, **sizes, **whole})


PRESETS: Mapping[str, Preset] = {"paper-comp": _paper(100, 1e-5), "paper-ori": _paper(500, 1e-4)}
"""The COMP-Track, on five composites a foreground; the ORI-Track, on photographs."""
