"""Light and colour of F moved towards B's."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import AfterValidator, Field

from rssn.image.arrays import Alpha, Image
from rssn.route.step import Scene, Stage, Step, Values
from rssn.storage.settings import ascending, settings

Strength = Annotated[float, Field(ge=0, le=1)]
_LEAST = 1e-3  # deviation of a channel, Lab units: below it, it is flat
_TO_GREEN = 0.5  # of max_colour: skin is that near to green


@settings
class Harmonise(Step):
    """Moves mean and deviation of F's light and colour towards those of the B that shows.

    No pixel's a or b changes by more than `max_colour`, and a by half of it towards green, so that no skin turns green.
    """

    strengths: Annotated[
        tuple[Strength, Strength], AfterValidator(ascending), Field(description="least and most; 1 takes B's over")
    ] = (0.3, 0.7)
    max_light: Annotated[float, Field(ge=0, le=100, description="largest change of the mean, L of CIE Lab")] = 15.0
    max_colour: Annotated[
        float, Field(ge=0, le=100, description="largest change of a pixel, a and b of CIE Lab; half towards green")
    ] = 6.0
    max_contrast: Annotated[float, Field(ge=1, le=10, description="largest factor on a deviation, and its inverse")] = (
        1.3
    )

    name: ClassVar[str] = "harmonise"
    acts_on: ClassVar[Literal["foreground"]] = "foreground"
    stage: ClassVar[Stage] = "frame"
    reference: ClassVar[str] = "Reinhard et al. 2001, Color Transfer between Images, in CIE Lab; not in the paper"
    columns: ClassVar = {"strength": pa.float64()}
    searched: ClassVar[tuple[str, ...]] = ("strengths",)

    def draw(self, dice: np.random.Generator) -> Values:
        """The strength, each as likely."""
        low, high = self.strengths
        return {"strength": low + float(dice.random()) * (high - low)}

    def apply_to_scene(self, scene: Scene, values: Values) -> Scene:
        """F with other light and colour, in [0, 1]; as it is where F or B does not show at all."""
        front, back = _lab(scene.foreground), _lab(scene.background)
        if not scene.alpha.max() > 0 or not scene.alpha.min() < 1:
            return scene
        mean, deviation = _moments(front, scene.alpha)
        other_mean, other_deviation = _moments(back, 1 - scene.alpha)
        shift = values["strength"] * (other_mean - mean)
        shift[0] = np.clip(shift[0], -self.max_light, self.max_light)
        ratio = (np.maximum(other_deviation, _LEAST) / np.maximum(deviation, _LEAST)) ** values["strength"]
        ratio = np.clip(ratio, 1 / self.max_contrast, self.max_contrast)
        moved = (front - mean.astype(np.float32)) * ratio.astype(np.float32) + (mean + shift).astype(np.float32)
        return replace(scene, foreground=_rgb(self._limited(front, moved)))

    def _limited(self, front: Image, moved: Image) -> Image:
        least = np.array([-_TO_GREEN * self.max_colour, -self.max_colour], np.float32)
        moved[..., 1:] = front[..., 1:] + np.clip(moved[..., 1:] - front[..., 1:], least, np.float32(self.max_colour))
        return moved

    def describe(self, values: Values) -> str:
        """The strength."""
        return f"{values['strength']:.2f} of the way"

    @property
    def cpu_seconds(self) -> float:
        """F there and back, and B, in another colour space."""
        return 0.1


def _lab(image: Image) -> Image:
    return np.asarray(cv2.cvtColor(np.clip(image, 0, 1), cv2.COLOR_RGB2LAB), dtype=np.float32)


def _rgb(lab: Image) -> Image:
    return np.clip(np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), dtype=np.float32), 0, 1)


def _moments(lab: Image, weight: Alpha) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Weighted mean and deviation of each channel."""
    shares = weight.astype(np.float64) / float(weight.sum(dtype=np.float64))
    mean = np.tensordot(shares, lab, axes=([0, 1], [0, 1]))
    squares = np.tensordot(shares, np.square(lab - mean), axes=([0, 1], [0, 1]))
    return mean, np.sqrt(squares)
