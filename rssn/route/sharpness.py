"""How sharp a picture is: the deviation of the Gaussian that its sharpest edges were blurred with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from rssn.image.arrays import Alpha, Image
from rssn.route.noise_level import estimate_floor

Mask: TypeAlias = npt.NDArray[np.bool_]

_FINE = (1.0, 2**0.5)  # px of a level: deviations of the first of two blurs whose gradients are compared
_COARSE = 2.0  # times that: the second one
_LEVELS = 5  # of a pyramid, each half as high and wide
_LIKE = 1.8  # times the first blur: what is softer looks the softer the less it is Gaussian, and is looked at coarser
_SHARE = 0.02  # of the pixels, those with the steepest gradients: edges
_LEAST_EDGES, _LEAST_SHARE = 30, 2e-4  # of the pixels: fewer may be chance
_LEAST_STEP = 2.0 / 255.0  # of a gradient, a px: below it, it is noise
_OF_NOISE = 5.0  # times `estimate_floor`: the steepest gradients, a px, that a blur of 1 px leaves of a sensor's noise
_MOST = 40.0  # px: what is softer has no scale here that is as coarse
_DIFFERENCE = 1 / 3  # px^2: a difference over two pixels is the derivative after a box of that width
_HIDDEN = np.float32(1e-3)  # of a weight: a quarter of an 8-bit step, where nothing shows


def estimate_spread(image: Image, weight: Alpha | None = None) -> float | None:
    """Standard deviation of a picture's point spread, px (Zhuo and Sim 2011, by two blurs instead of one).

    The gradient of a step that was blurred by s has its peak at 1 / s. Two further blurs a < b make that
    1 / sqrt(s^2 + a^2) and 1 / sqrt(s^2 + b^2), and s follows from their ratio. Both blurs quench noise; fine texture,
    which is no step, looks a little sharper than it is. Wide blurs are seen at scales as coarse as they are: it goes
    from coarse to fine as long as s is at most 1.8 a, for noise is sharp again at scales finer than the blur. So boxes
    of up to 60 px and discs of up to 24 px are found within a quarter, also under noise.

    Args:
        image: H x W x 3 RGB, float32.
        weight: H x W; pixels below 0.95 are left out. None: all count.

    Returns:
        The median over the peaks of the steepest gradients, at most 40; 0 for a step from one pixel to the next. Where
        the picture is too small for a scale as coarse as its blur, what the coarsest one with edges says. None where
        none has any.
    """
    found = None
    for scale in _scales(image, weight):
        square = _square(scale)
        if square is None:
            continue
        spread = min(_MOST, scale.pixel * float(np.sqrt(square)))
        if square > (_LIKE * scale.blur) ** 2:
            return spread if found is None else found
        found = spread
    return found


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


@dataclass(frozen=True)
class _Scale:
    luma: Image
    weight: Alpha
    pixel: int  # side of one of its pixels, px of the picture
    blur: float  # the first one's deviation, in its own pixels
    noise: float  # of the picture's finest detail

    @property
    def least_step(self) -> float:
        """Of a gradient, a pixel of its own: below it, it may be noise."""
        return max(_LEAST_STEP, _OF_NOISE * self.noise / (self.pixel * self.blur**2))

    @property
    def averaged(self) -> float:
        """Variance of the box that its pixels are means over, beside that of the picture's own; in its own pixels."""
        return (1 - self.pixel**-2) / 12


def _scales(image: Image, weight: Alpha | None) -> Iterator[_Scale]:
    """From coarse to fine."""
    luma = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.float32)
    levels = [(luma, np.ones(luma.shape, np.float32) if weight is None else weight)]
    while len(levels) < _LEVELS:
        levels.append((_halved(levels[-1][0]), _halved(levels[-1][1])))
    noise = estimate_floor(image, weight) or 0.0
    for level, (luma, counts) in reversed(list(enumerate(levels))):
        yield from (_Scale(luma, counts, 2**level, blur, noise) for blur in reversed(_FINE))


def _halved(plane: Image) -> Image:
    height, width = plane.shape
    size = (max(1, width // 2), max(1, height // 2))
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def _square(scale: _Scale) -> float | None:
    """The point spread's variance at one scale, in its own pixels; None where too few edges are seen."""
    fine, coarse = (_Gradient(scale.luma, blur) for blur in (scale.blur, _COARSE * scale.blur))
    counts = _inside(scale.weight, _COARSE * scale.blur)
    steep = fine.length[counts]
    if steep.size < _LEAST_EDGES:
        return None
    least = float(np.quantile(steep, 1 - _SHARE))
    edges = counts & (fine.length >= max(least, scale.least_step)) & fine.peaks
    if np.count_nonzero(edges) < max(_LEAST_EDGES, _LEAST_SHARE * steep.size):
        return None
    ratio = np.square(fine.length[edges].astype(np.float64) / np.maximum(coarse.length[edges], 1e-9))
    squares = scale.blur**2 * (_COARSE**2 - ratio) / np.maximum(ratio - 1, 1e-9)
    return max(0.0, float(np.median(squares)) - _DIFFERENCE - scale.averaged)


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


def _inside(weight: Alpha, blur: float) -> Mask:
    """Pixels that count, with all that a blur sees of them."""
    reach = 2 * int(3 * blur) + 1
    full = (weight >= 0.95).astype(np.uint8)
    return np.asarray(cv2.erode(full, np.ones((reach, reach), np.uint8), borderValue=1), dtype=bool)
