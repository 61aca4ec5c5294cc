"""Gaussian noise on the composite (Pipeline 1, lines 21 to 23)."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from rssn.image.arrays import Image
from rssn.route.observed import Observed
from rssn.route.step import Stage, Step, Values
from rssn.storage.settings import settings


@settings
class Noise(Step):
    """Independent Gaussian noise on every value of the composite."""

    sigma: Annotated[float, Field(ge=0, le=255, description="8-bit units")] = 10.0

    name: ClassVar[str] = "noise"
    acts_on: ClassVar[Literal["composite"]] = "composite"
    stage: ClassVar[Stage] = "composite"
    reference: ClassVar[str] = "section 4.3"
    columns: ClassVar = {"sigma": pa.float64(), "seed": pa.uint64()}
    searched: ClassVar[tuple[str, ...]] = ("sigma",)

    def draw(self, dice: np.random.Generator) -> Values:
        """The seed that makes the same noise again."""
        return {"sigma": self.sigma, "seed": int(dice.integers(1 << 64, dtype=np.uint64))}

    def apply(self, pixels: Image, values: Values) -> Image:
        """See `add_noise`."""
        return add_noise(pixels, values["sigma"] / 255.0, values["seed"])

    def fitted_to(self, observed: Observed) -> Step:
        """The median of the photographs' noise."""
        grain = observed.grain()
        return replace(self, sigma=round(float(np.median(grain)), 2)) if grain else self

    def describe(self, values: Values) -> str:
        """The strength."""
        return f"sigma {values['sigma']:g}"

    @property
    def cpu_seconds(self) -> float:
        """Three normal values for each pixel."""
        return 0.04


def add_noise(image: Image, sigma: float, seed: int) -> Image:
    """Add independent Gaussian noise to every value (section 4.3); not clipped here.

    Args:
        image: H x W x 3 float32.
        sigma: Standard deviation in the image's units; 10 in 8-bit units is `10 / 255`.
        seed: Makes the same noise again for the same shape.
    """
    noise = np.random.Generator(np.random.Philox(seed)).standard_normal(image.shape, dtype=np.float32)
    noise *= np.float32(sigma)
    noise += image
    return noise
