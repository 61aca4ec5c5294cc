"""The guided filter (He, Sun and Tang 2010): smooths values along the edges of a picture, and enlarges them to it.

In each window the values are taken for a linear function of the guide's colours; it is found by least squares with a
small weight on its slope.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from rssn.image.arrays import Image

Doubles: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class GuidedFilter:
    """A filter that follows one picture.

    Attributes:
        guide: H x W x 3 RGB in [0, 1].
        radius: Of the square windows, px; at the frame they are cut off.
        epsilon: Weight on the slope, in squares of the guide's values.
    """

    guide: Image
    radius: int
    epsilon: float

    def apply(self, values: Image) -> Image:
        """H x W x C values -> smoothed ones, float32; C is at most 42, as OpenCV has at most 128 channels."""
        slopes, offsets = self.coefficients(values)
        smoothed = np.einsum("hwgc,hwg->hwc", slopes, self.guide.astype(np.float64)) + offsets
        return np.asarray(smoothed, dtype=np.float32)

    def enlarge(self, values: Image, large: Image) -> Image:
        """H x W values -> those of a larger version of the guide, by its colours; the coefficients are interpolated.

        Args:
            values: H x W, of the guide's size.
            large: The guide at another size, RGB in [0, 1].

        Returns:
            float32 of the height and width of `large`.
        """
        slopes, offsets = self.coefficients(values[..., None])
        size = (large.shape[1], large.shape[0])
        result = np.asarray(cv2.resize(offsets[..., 0].astype(np.float32), size, interpolation=cv2.INTER_LINEAR))
        for colour in range(3):
            slope = cv2.resize(slopes[..., colour, 0].astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
            result = result + np.asarray(slope) * large[..., colour]
        return np.asarray(result, dtype=np.float32)

    def coefficients(self, values: Image) -> tuple[Doubles, Doubles]:
        """Slopes (H x W x 3 x C) and offsets (H x W x C) of the linear functions, means over the windows of each px."""
        mean = self._mean(values)
        products = [self._mean(self.guide[..., colour, None] * values) for colour in range(3)]
        covariance = np.stack(products, axis=2) - self._colour[..., None] * mean[:, :, None]
        slopes = np.einsum("hwij,hwjc->hwic", self._inverse, covariance)
        offsets = mean - np.einsum("hwi,hwic->hwc", self._colour, slopes)
        height, width, _, channels = slopes.shape
        smooth = self._mean(slopes.reshape(height, width, 3 * channels))
        return smooth.reshape(slopes.shape), self._mean(offsets)

    @cached_property
    def _colour(self) -> Doubles:
        return self._mean(self.guide)

    @cached_property
    def _inverse(self) -> Doubles:
        """H x W x 3 x 3: of the colours' covariance in each window, with epsilon on its diagonal."""
        products = self.guide[..., :, None] * self.guide[..., None, :].astype(np.float64)
        height, width = self.guide.shape[:2]
        second = self._mean(products.reshape(height, width, 9)).reshape(height, width, 3, 3)
        covariance = second - self._colour[..., :, None] * self._colour[..., None, :]
        return np.asarray(np.linalg.inv(covariance + self.epsilon * np.eye(3)))

    def _mean(self, values: npt.NDArray[np.floating]) -> Doubles:
        """Over the window of each px, as far as it lies inside the frame."""
        return _box_sum(values, self.radius) / self._count

    @cached_property
    def _count(self) -> Doubles:
        return _box_sum(np.ones((*self.guide.shape[:2], 1)), self.radius)


def _box_sum(values: npt.NDArray[np.floating], radius: int) -> Doubles:
    """H x W x C: sums over windows of 2 x radius + 1 px; 0 beyond the frame."""
    side = 2 * radius + 1
    doubles = np.ascontiguousarray(values, dtype=np.float64)
    summed = cv2.boxFilter(doubles, -1, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(summed, dtype=np.float64).reshape(values.shape)
