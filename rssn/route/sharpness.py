"""How sharp a picture is: the deviation of the Gaussian that its sharpest edges were blurred with."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from rssn.image.arrays import Alpha, Image

Mask: TypeAlias = npt.NDArray[np.bool_]

_FINE, _COARSE = 1.0, 2.0  # px: deviations of the two blurs whose gradients are compared
_SHARE = 0.02  # of the pixels, those with the steepest gradients: edges
_LEAST_EDGES = 50
_LEAST_STEP = 2.0 / 255.0  # of a gradient, a px: below it, it is noise
_DIFFERENCE = 1 / 3  # px^2: a difference over two pixels is the derivative after a box of that width
_MOST = 10.0  # px: what is blurred more has no edges to measure
_HIDDEN = np.float32(1e-3)  # of a weight: a quarter of an 8-bit step, where nothing shows


def estimate_spread(image: Image, weight: Alpha | None = None) -> float | None:
    """Standard deviation of a picture's point spread, px (Zhuo and Sim 2011, by two blurs instead of one).

    The gradient of a step that was blurred by s has its peak at 1 / s. Two further blurs a < b make that
    1 / sqrt(s^2 + a^2) and 1 / sqrt(s^2 + b^2), and s follows from their ratio. Both blurs quench noise; fine texture,
    which is no step, looks a little sharper than it is.

    Args:
        image: H x W x 3 RGB, float32.
        weight: H x W; pixels below 0.95 are left out. None: all count.

    Returns:
        The median over the peaks of the steepest gradients, at most 10; 0 for a step from one pixel to the next. None
        where there are too few edges to say.
    """
    luma = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.float32)
    fine, coarse = _Gradient(luma, _FINE), _Gradient(luma, _COARSE)
    counts = np.ones(luma.shape, bool) if weight is None else _inside(weight)
    steep = fine.length[counts]
    if steep.size < _LEAST_EDGES:
        return None
    least = max(float(np.quantile(steep, 1 - _SHARE)), _LEAST_STEP)
    edges = counts & (fine.length >= least) & fine.peaks
    if np.count_nonzero(edges) < _LEAST_EDGES:
        return None
    ratio = np.square(fine.length[edges].astype(np.float64) / np.maximum(coarse.length[edges], 1e-9))
    squares = (_COARSE**2 - ratio * _FINE**2) / np.maximum(ratio - 1, 1e-9) - _DIFFERENCE
    return float(np.sqrt(np.clip(np.median(squares), 0.0, _MOST**2)))


def blur_to(image: Image, spread: float, wanted: float, weight: Alpha | None = None) -> Image:
    """A picture blurred from one point spread to another.

    Args:
        image: H x W x 3 RGB, float32.
        spread: What it has, px.
        wanted: What it is to have, px.
        weight: H x W in [0, 1]; colours are averaged by it, so that what lies hidden where it is 0 does not show. None:
            all count.

    Returns:
        The blurred picture; `image` itself where it is not sharper.
    """
    missing = wanted**2 - spread**2
    if missing <= 0:
        return image
    if weight is None:
        return _gaussian(image, float(np.sqrt(missing)))
    shown = _gaussian(image * weight[..., None], float(np.sqrt(missing)))
    share = _gaussian(weight, float(np.sqrt(missing)))[..., None]
    return np.where(share > _HIDDEN, shown / np.maximum(share, _HIDDEN), image)


def _gaussian(picture: Image, deviation: float) -> Image:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), deviation, borderType=cv2.BORDER_REFLECT_101), dtype=np.float32)


class _Gradient:
    def __init__(self, luma: Image, deviation: float) -> None:
        smooth = cv2.GaussianBlur(luma, (0, 0), deviation, borderType=cv2.BORDER_REFLECT_101)
        self._down, self._across = (np.asarray(each, np.float32) for each in np.gradient(np.asarray(smooth)))
        self.length = np.asarray(np.hypot(self._down, self._across), dtype=np.float32)  # a px

    @property
    def peaks(self) -> Mask:
        """Where it is longest along its own direction, to the nearer axis."""
        sides = [cv2.dilate(self.length, np.ones(shape, np.uint8)) for shape in ((3, 1), (1, 3))]
        along = np.where(np.abs(self._down) > np.abs(self._across), *sides)
        return np.asarray(self.length >= along, dtype=bool)


def _inside(weight: Alpha) -> Mask:
    """Pixels that count, with all that the coarse blur sees of them."""
    reach = 2 * int(3 * _COARSE) + 1
    full = (weight >= 0.95).astype(np.uint8)
    return np.asarray(cv2.erode(full, np.ones((reach, reach), np.uint8), borderValue=1), dtype=bool)
