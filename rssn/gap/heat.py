"""What gives a picture away: its patches, coloured by what they add to its score."""

from __future__ import annotations

import cv2
import numpy as np

from rssn.gap.classifiers import Linear
from rssn.gap.cues import LOW_LEVEL
from rssn.gap.patches import SIDE, cut_patches
from rssn.gap.pictures import Floats, Pictures, patch_values
from rssn.image.arrays import Pixels

_MOST = 0.65  # of the colour, where a patch adds the most
_COMPOSITE, _PHOTOGRAPH = (220, 30, 30), (30, 90, 220)


def patch_heat(pixels: Pixels, alpha: Pixels, model: Linear, photographs: Pictures) -> tuple[Floats, Floats]:
    """What each patch adds to a picture's score, against the photographs' mean.

    A patch that is off by some amount moves its side's mean and its quantile; here it moves both by that amount.
    Patches of F count with the model's weights, those of B with their opposite, for a vector is F minus B.

    Returns:
        N values, above 0 where a patch looks like a composite's; and N x 2, its row and column in the grid.
    """
    patches = cut_patches(pixels, alpha)
    weights = model.weights.reshape(2, len(LOW_LEVEL)).sum(0)
    middle = photographs.sides[:, :, 0, LOW_LEVEL].mean(0)  # of F and of B
    values, inside = patch_values(patches)[:, LOW_LEVEL], patches.in_foreground
    heat = np.where(inside, (values - middle[0]) @ weights, -(values - middle[1]) @ weights)
    return np.asarray(heat, np.float64), patches.places.astype(np.float64)


def heat_picture(pixels: Pixels, heat: Floats, places: Floats) -> Pixels:
    """The picture with its patches in red, where they look like a composite's, and in blue, like a photograph's.

    The colour is full at the picture's 95 % quantile; between F and B, where no patch is, the picture is as it was.
    """
    unit = max(float(np.quantile(np.abs(heat), 0.95)), 1e-9)
    grey = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    shown = np.asarray(grey, np.float32)
    for value, (row, column) in zip(heat.tolist(), places.astype(int).tolist(), strict=True):
        share = _MOST * min(abs(value) / unit, 1.0)
        part = shown[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]
        part *= 1 - share
        part += np.float32(share) * np.array(_COMPOSITE if value > 0 else _PHOTOGRAPH, np.float32)
    return np.asarray(np.clip(np.rint(shown), 0, 255), np.uint8)
