"""Pipeline 1, lines 16 to 23: place, fit, steps in the frame, blend, steps on the composite. Float32 to the end.

Nothing here rolls dice, and steps on sources were applied before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from rssn.errors import InputError
from rssn.image.arrays import Alpha, Image, Pixels
from rssn.route.draw import Draw
from rssn.route.recipe import Fit, Recipe
from rssn.route.step import Applied, CutOut, Scene

_Picture = TypeVar("_Picture", Image, Pixels)


@dataclass(frozen=True)
class Crop:
    """Where a frame lies in the resized background, px."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Composite:
    """A composite and the layers as they are stored: as they were blended."""

    image: Image  # H x W x 3, may leave [0, 1] by noise; `to_uint8` clips
    alpha: Alpha  # H x W
    foreground: Image  # H x W x 3
    background: Image  # H x W x 3


def compose(cut_out: CutOut, background: Image, recipe: Recipe, drawn: Draw) -> Composite:
    """The steps in the frame, the blend, and the steps on the composite, as drawn.

    Args:
        cut_out: F, H x W x 3 float32 in [0, 1], and alpha, H x W float32 in [0, 1], after the steps that place them.
        background: B, already fitted to H x W.
        recipe: The steps in their order.
        drawn: What the dice said.
    """
    scene = Scene(cut_out.foreground, background, cut_out.alpha)
    scene = reduce(lambda made, one: one.on_scene(made), drawn.applied(recipe, "frame"), scene)
    after = list(drawn.applied(recipe, "composite"))
    image = apply_steps(blend(scene.foreground, scene.background, scene.alpha), after)
    alike = [one for one in after if one.step.also_on_layers]
    return Composite(image, scene.alpha, apply_steps(scene.foreground, alike), apply_steps(scene.background, alike))


def place(cut_out: CutOut, steps: Iterable[Applied], others: Iterable[CutOut]) -> CutOut:
    """F and alpha after the steps that place them; `cut_out` itself where there is none.

    Args:
        cut_out: F and alpha at their own size.
        steps: Those at the stage `placement` that were drawn.
        others: Other foregrounds, for a step that takes one.
    """
    return reduce(lambda made, one: one.on_cut_out(made, others), steps, cut_out)


def apply_steps(pixels: Image, steps: Iterable[Applied]) -> Image:
    """One step after the other; `pixels` itself where there is none."""
    return reduce(lambda picture, one: one(picture), steps, pixels)


def blend(foreground: Image, background: Image, alpha: Alpha) -> Image:
    """Equation 1: `alpha F + (1 - alpha) B`, exactly F where alpha is 1 and exactly B where it is 0."""
    if foreground.shape != background.shape or foreground.shape[:2] != alpha.shape:
        raise InputError(f"shapes differ: F {foreground.shape}, B {background.shape}, alpha {alpha.shape}")
    weight = np.asarray(cv2.merge([alpha] * 3), dtype=np.float32)  # to broadcast over channels takes twice the time
    blended = weight * foreground
    np.subtract(np.float32(1.0), weight, out=weight)
    weight *= background
    blended += weight
    return blended


def fitted_size(size: tuple[int, int], frame: tuple[int, int], fit: Fit) -> tuple[int, int]:
    """Width and height to which a background is resized before it is cropped to the frame.

    Args:
        size: Width and height of the background.
        frame: Width and height of the foreground.
        fit: `cover` keeps the aspect ratio, `stretch` (what the authors' code does) gives the frame itself.
    """
    if fit == "stretch":
        return frame
    scale = max(frame[0] / size[0], frame[1] / size[1])
    return max(frame[0], math.floor(size[0] * scale + 0.5)), max(frame[1], math.floor(size[1] * scale + 0.5))


def place_crop(fitted: tuple[int, int], frame: tuple[int, int], draw: Draw) -> Crop:
    """The frame's place in a fitted background, as the draw says; every place is equally likely."""
    x = int(draw.crop_x * (fitted[0] - frame[0] + 1))
    y = int(draw.crop_y * (fitted[1] - frame[1] + 1))
    return Crop(x, y, frame[0], frame[1])


def fit_background(background: _Picture, fitted: tuple[int, int], crop: Crop) -> _Picture:
    """Resize a background and cut the frame out of it.

    Args:
        background: H x W x 3 float32 in [0, 1], or uint8, any size; the result is of the same kind.
        fitted: Width and height after resizing, see `fitted_size`.
        crop: The frame's place, see `place_crop`.
    """
    resized = _resize(background, *fitted)
    frame = resized[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]
    return np.ascontiguousarray(frame) if frame.dtype == np.uint8 else np.clip(frame, 0.0, 1.0)  # cubics overshoot


def upscaling(sizes: npt.NDArray[np.int32], frame: tuple[int, int]) -> npt.NDArray[np.float64]:
    """How much each background has to be enlarged to cover a frame; below 1 it is shrunk.

    Args:
        sizes: N x 2, width and height of each background.
        frame: Width and height of the foreground.
    """
    width, height = frame
    return np.asarray(np.maximum(width / sizes[:, 0], height / sizes[:, 1]), dtype=np.float64)


def _resize(image: _Picture, width: int, height: int) -> _Picture:
    if (width, height) == (image.shape[1], image.shape[0]):
        return image
    enlarge = width > image.shape[1] or height > image.shape[0]
    interpolation = cv2.INTER_CUBIC if enlarge else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), dtype=image.dtype)
