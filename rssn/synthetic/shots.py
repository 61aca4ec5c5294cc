"""Synthetic photographs: a foreground in front of a scene that is out of focus, with everything exactly known."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rssn.image.arrays import Alpha, Image
from rssn.synthetic.backgrounds import add_grain, render_scene
from rssn.synthetic.canvas import Canvas
from rssn.synthetic.creatures import draw_creature
from rssn.synthetic.structures import draw_structure

_SCENE_SEEDS = 1_000_000_007  # keeps the scenes behind foregrounds apart from the backgrounds of small seeds


@dataclass(frozen=True)
class SyntheticShot:
    """One photograph with its ground truth, float32 in [0, 1].

    Attributes:
        image: H x W x 3, equal to alpha * foreground + (1 - alpha) * background.
        alpha: H x W, with exact zeros and ones.
        foreground: H x W x 3, the object's own colours; smoothly continued where alpha is 0.
        background: H x W x 3, the whole scene behind it, out of focus.
    """

    image: Image
    alpha: Alpha
    foreground: Image
    background: Image


def render_shot(seed: int, width: int, height: int) -> SyntheticShot:
    """Render a photograph with known layers: an even seed gives a furry animal, an odd one a thin-structured object.

    Foreground and background carry the same camera noise (up to 2 levels of 255), as one exposure does.

    Args:
        seed: Any integer from 0; the same seed gives the same values.
        width: In px.
        height: In px.
    """
    rng = np.random.default_rng([seed, 2])
    canvas = Canvas(width, height)
    (draw_structure if seed % 2 else draw_creature)(canvas, seed // 2, rng)
    alpha, foreground = canvas.develop()
    scene = render_scene(_SCENE_SEEDS + int(rng.integers(1 << 30)), width, height)
    background = _out_of_focus(scene, max(width, height) * rng.uniform(0.012, 0.026))
    sigma, grain = rng.uniform(0.3, 2.0) / 255, int(rng.integers(1 << 30))
    foreground = add_grain(foreground, np.random.default_rng(grain), sigma)
    background = add_grain(background, np.random.default_rng(grain), sigma)
    share = alpha[..., None]
    return SyntheticShot(share * foreground + (1 - share) * background, alpha, foreground, background)


def _out_of_focus(scene: Image, radius: float) -> Image:
    """Average linear light over a disc of `radius` px, as an open lens does."""
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    light = cv2.filter2D(scene**2.2, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT)
    return np.asarray(np.clip(light, 0, 1) ** (1 / 2.2), np.float32)
