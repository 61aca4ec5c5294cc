"""The drawing board of synthetic pictures: a supersampled canvas that becomes exact alpha and colours, and noise.

Every sample of the canvas is either empty or fully covered by one colour, so averaging samples gives premultiplied
colour and coverage that agree exactly; nothing is matted afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rssn.image.arrays import Alpha, Image

Floats = npt.NDArray[np.floating]

_SAMPLES = 4  # per pixel and axis
_SHIFT = 4  # fractional bits of OpenCV's coordinates
_LENS_SIGMA = 0.42  # px; what a sharp lens and the sensor's filter do to an edge
_SECTIONS = 3  # a hair changes colour and width this often


@dataclass(frozen=True)
class Hairs:
    """A bundle of N curved strokes, painted in order.

    Attributes:
        points: N x K x 2, x and y in px, from root to tip; K - 1 is a multiple of 3.
        root: N x 3, colour at the root, in [0, 1].
        tip: N x 3, colour at the tip.
        width: N, px at the root; the tip has half of it.
    """

    points: Floats
    root: Floats
    tip: Floats
    width: Floats


class Canvas:
    """A picture of `width` x `height` px, painted in layers from back to front with 4 x 4 samples per pixel."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._samples = np.zeros((height * _SAMPLES, width * _SAMPLES, 4), np.uint8)

    def polygon(self, points: Floats, colour: Floats) -> None:
        """Fill a polygon; `points` is K x 2 in px, `colour` RGB in [0, 1]."""
        cv2.fillPoly(self._samples, [_fixed(points)], _ink(colour), cv2.LINE_8, _SHIFT)

    def line(self, points: Floats, colour: Floats, width: float) -> None:
        """Draw an open line through `points` (K x 2 in px), `width` px wide (at least a quarter of a pixel)."""
        thickness = max(1, round(width * _SAMPLES))
        cv2.polylines(self._samples, [_fixed(points)], False, _ink(colour), thickness, cv2.LINE_8, _SHIFT)

    def tube(self, points: Floats, colour: Floats, width: float) -> None:
        """Draw a line that is lit from the upper left like a round rod."""
        offset = np.float32(width) * np.array([-0.16, -0.2], np.float32)
        for share, shift, light in ((1.0, 0.0, 0.5), (0.7, 0.4, 0.85), (0.4, 0.9, 1.1), (0.14, 1.2, 1.5)):
            if share == 1.0 or width * share * _SAMPLES >= 1:
                self.line(points + shift * offset, np.clip(colour * light, 0, 1), width * share)

    def hairs(self, hairs: Hairs) -> None:
        """Draw a bundle of hairs, one over the other, thinner and nearer to the tip's colour section by section."""
        links = (hairs.points.shape[1] - 1) // _SECTIONS
        points = _fixed(hairs.points)
        share = np.linspace(0.1, 1, _SECTIONS)[:, None, None]
        colours = np.clip(hairs.root + share * (hairs.tip - hairs.root), 0, 1) * 255
        inks = np.concatenate([colours, np.full((*colours.shape[:2], 1), 255.0)], axis=2).tolist()
        widths = hairs.width * np.linspace(1, 0.5, _SECTIONS)[:, None] * _SAMPLES
        thickness = np.maximum(1, np.rint(widths)).astype(int).tolist()
        for index in range(len(points)):
            for section in range(_SECTIONS):
                part = points[index, section * links : (section + 1) * links + 1]
                ink, thick = inks[section][index], thickness[section][index]
                cv2.polylines(self._samples, [part], False, ink, thick, cv2.LINE_8, _SHIFT)

    def develop(self) -> tuple[Alpha, Image]:
        """Average the samples through the lens.

        Returns:
            Alpha, H x W, with exact zeros and ones where 8 bits could not tell the difference; and the foreground
            colours, H x W x 3, exact wherever alpha is not 0 and smoothly continued elsewhere.
        """
        mean = np.zeros((self.height, self.width, 4), np.float32)
        for row in range(_SAMPLES):
            for column in range(_SAMPLES):
                mean += self._samples[row::_SAMPLES, column::_SAMPLES]
        mean /= np.float32(255 * _SAMPLES**2)
        seen = np.asarray(cv2.GaussianBlur(mean, (0, 0), _LENS_SIGMA), np.float32)
        foreground = _continued(seen[..., :3], seen[..., 3])
        alpha = np.clip(seen[..., 3], 0, 1)
        alpha = np.where(alpha > 1 - 1 / 512, np.float32(1), np.where(alpha < 1 / 512, np.float32(0), alpha))
        return alpha.astype(np.float32), foreground


def fractal_noise(rng: np.random.Generator, shape: tuple[int, int], cell: float, stretch: float = 1.0) -> Alpha:
    """Cloud-like noise of zero mean and about unit variance.

    Args:
        rng: The source of all its values.
        shape: Height and width in px.
        cell: Size of the coarsest structures in px; each octave halves it until 2 px (at most six octaves).
        stretch: How many times wider than high the structures are.
    """
    height, width = shape
    total, power, weight = np.zeros(shape, np.float32), 0.0, 1.0
    for _ in range(6):
        rows, columns = (int(np.ceil(s / c)) + 2 for s, c in ((height, cell), (width, cell * stretch)))
        grid = rng.standard_normal((min(rows, height), min(columns, width)), dtype=np.float32)
        total += np.float32(weight) * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        power, weight, cell = power + weight**2, weight * 0.6, cell / 2
        if cell < 2:
            break
    return np.asarray(total / np.float32(np.sqrt(power) * 0.75), np.float32)


def smoothstep(values: Floats, low: float, high: float) -> Alpha:
    """0 below `low`, 1 above `high`, a smooth cubic between them."""
    t = np.clip((values - low) / (high - low), 0, 1).astype(np.float32)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def mix(first: Floats, second: Floats, share: Floats | float) -> Image:
    """Colours between `first` and `second`; `share` is H x W (or one number) and says how much of the second."""
    weight = np.asarray(share, np.float32)
    weight = weight[..., None] if weight.ndim else weight
    return np.asarray(first + weight * (second - first), np.float32)


def rgb(red: float, green: float, blue: float) -> Image:
    """One colour as an array of three."""
    return np.array([red, green, blue], np.float32)


def _fixed(points: Floats) -> npt.NDArray[np.int32]:
    samples = points * _SAMPLES + (_SAMPLES - 1) / 2
    return np.asarray(np.rint(samples * (1 << _SHIFT)), np.int32)


def _ink(colour: Floats) -> list[float]:
    return [*(np.asarray(colour, np.float64) * 255).tolist(), 255.0]


def _continued(premultiplied: Image, alpha: Alpha) -> Image:
    """Colours outside the alpha from ever coarser averages of those inside: a pyramid pulled up, then pushed down."""
    height, width = alpha.shape
    own = np.asarray(premultiplied / np.maximum(alpha, 1e-6)[..., None], np.float32)
    if max(height, width) == 1:
        return np.clip(own, 0, 1)
    coarse = _continued(_halved(premultiplied), _halved(alpha))
    below = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    return np.clip(mix(below, own, smoothstep(alpha, 0, 1 / 64)), 0, 1)


def _halved(values: Image) -> Image:
    height, width = ((size + 1) // 2 for size in values.shape[:2])
    smaller = cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(smaller, np.float32).reshape(height, width, *values.shape[2:])
