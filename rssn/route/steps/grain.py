"""A sensor's noise on the composite, in linear light and through a demosaic."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import AfterValidator, Field

from rssn.image.arrays import Image
from rssn.route import transfer
from rssn.route.observed import Observed, spread_of
from rssn.route.step import Stage, Step, Values
from rssn.route.transfer import linear, to_linear, to_srgb
from rssn.storage.settings import ascending, settings

Sigma = Annotated[float, Field(ge=0.05, le=100, description="8-bit units")]

_MID_GREY = linear(0.5)
_SLOPE = 1.055 / 2.4 * _MID_GREY ** (1 / 2.4 - 1)  # of sRGB over linear light, there
_KEPT = 7 / 12  # of the mosaic's variance after the demosaic: 5/8 in green, 9/16 in red and blue
FLOOR = (2 * 1 / 4 + math.sqrt(3) / 4) / 3 / math.sqrt(_KEPT)
"""What `estimate_floor` reads of grain of deviation 1, 0.41: of the mosaic's deviation, Haar's diagonal band holds 1/4
in red and blue and sqrt(3)/4 in green. White noise reads as what it is."""

_CHANNELS = ((0, 1), (1, 2))  # of the mosaic's even and odd rows and columns: RG over GB (Bayer 1976)
_CROSS = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]], np.float32) / 4
_SQUARE = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], np.float32) / 4


@settings
class Grain(Step):
    """A sensor's noise on the composite: stronger with light, in the colours too, and as coarse as a demosaic makes it.

    Each pixel of a Bayer mosaic gets Gaussian noise of variance gain * light + read^2, and the noise is demosaiced
    bilinearly. So it adds to each pixel's linear light on average nothing, also in black, where it goes below 0 until
    8 bits clip it. Towards white it fades, at most half of what is left to white: what a sensor clips has no noise.
    """

    sigma: Annotated[
        tuple[Sigma, Sigma],
        AfterValidator(ascending),
        Field(description="smallest and largest deviation of mid grey (128 of 255), all channels, 8-bit units"),
    ] = (1.0, 5.0)
    read_share: Annotated[float, Field(ge=0, le=1, description="share of mid grey's variance without light")] = 0.01

    name: ClassVar[str] = "grain"
    acts_on: ClassVar[Literal["composite"]] = "composite"
    stage: ClassVar[Stage] = "composite"
    reference: ClassVar[str] = "not in the paper; Foi et al., IEEE TIP 17 (10), 2008, for the variance"
    columns: ClassVar = {"sigma": pa.float64(), "seed": pa.uint64()}
    searched: ClassVar[tuple[str, ...]] = ("sigma",)

    def draw(self, dice: np.random.Generator) -> Values:
        """A strength, evenly on a logarithmic scale as a camera's ISO steps are, and the seed of the noise."""
        low, high = self.sigma
        sigma = min(high, low * math.exp(dice.random() * math.log(high / low)))
        return {"sigma": sigma, "seed": int(dice.integers(1 << 64, dtype=np.uint64))}

    def apply(self, pixels: Image, values: Values) -> Image:
        """See `add_grain`."""
        return add_grain(pixels, values["sigma"] / 255, self.read_share, values["seed"])

    def fitted_to(self, observed: Observed) -> Step:
        """The levels of most of the photographs, as grain whose finest detail is as strong as theirs."""
        grain = observed.grain()
        if not grain:
            return self
        low, high = spread_of([level / FLOOR for level in grain])
        return replace(self, sigma=(max(0.05, low), max(0.05, high)))

    def describe(self, values: Values) -> str:
        """The strength."""
        return f"sigma {values['sigma']:.1f}"

    @property
    def cpu_seconds(self) -> float:
        """A normal value for each pixel, the curves and the demosaic."""
        return 0.05

    def warm_up(self) -> None:
        """Compile the curves."""
        transfer.warm_up()


def add_grain(image: Image, sigma: float, read_share: float, seed: int) -> Image:
    """Add a sensor's noise; the result may leave [0, 1] and is not clipped here.

    Args:
        image: H x W x 3 float32 sRGB.
        sigma: Root mean square of the noise of mid grey over all pixels and channels, in the image's units.
        read_share: Share of its variance that is there without light.
        seed: Makes the same noise again for the same shape.
    """
    light = to_linear(image)
    sampled = np.clip(_mosaic(light), 0, 1)
    variance = (sigma / _SLOPE) ** 2 / _KEPT  # of mid grey on the mosaic
    gain, read = variance * (1 - read_share) / _MID_GREY, variance * read_share
    deviation = np.minimum(np.sqrt(np.float32(gain) * sampled + np.float32(read)), (1 - sampled) / 2)
    noise = np.random.Generator(np.random.Philox(seed)).standard_normal(sampled.shape, dtype=np.float32)
    noise *= deviation
    return to_srgb(light + demosaic(noise))


def demosaic(mosaic: npt.NDArray[np.float32]) -> Image:
    """Bilinear: a channel that a pixel did not see is the mean of its two or four neighbours that did.

    Args:
        mosaic: H x W float32, red in even rows and columns, blue in odd ones, green elsewhere.

    Returns:
        H x W x 3; beyond the border the mosaic goes on as its mirror image, which has the same pattern.
    """
    planes = np.zeros((3, *mosaic.shape), np.float32)
    for row, column in np.ndindex(2, 2):
        planes[_CHANNELS[row][column], row::2, column::2] = mosaic[row::2, column::2]
    full = [cv2.filter2D(plane, -1, kernel) for plane, kernel in zip(planes, (_SQUARE, _CROSS, _SQUARE), strict=True)]
    return np.asarray(cv2.merge(full), np.float32)


def _mosaic(image: Image) -> npt.NDArray[np.float32]:
    mosaic = np.empty(image.shape[:2], np.float32)
    for row, column in np.ndindex(2, 2):
        mosaic[row::2, column::2] = image[row::2, column::2, _CHANNELS[row][column]]
    return mosaic
