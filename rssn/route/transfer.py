"""Between sRGB and linear light (IEC 61966-2-1), the same bits on every processor.

The powers of numpy and of OpenCV differ in their last bits between processors with and without AVX-512. Here libm makes
a table of either curve once, and pixels lie on the lines between its entries, which are at most 5e-7 off the curve.

Steps that filter or add noise leave [0, 1] on the way. Below 0 the curves go on as their mirror images, so that noise
around black keeps its mean; above 1 as their tangents.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from rssn.image.arrays import Image

_TO_LINEAR_STEPS, _TO_SRGB_STEPS = 1 << 12, 1 << 16  # the second curve is bent more, near black
_SLOPE_AT_WHITE = 2.4 / 1.055


def linear(value: float) -> float:
    """Linear light of an sRGB value, both in [0, 1]."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def srgb(light: float) -> float:
    """The sRGB value of linear light, both in [0, 1]."""
    return 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055


def to_linear(image: Image) -> Image:
    """Linear light of sRGB values, any shape; black 0, white 1."""
    return _curve(image, _to_linear_table(), _SLOPE_AT_WHITE)


def to_srgb(light: Image) -> Image:
    """The sRGB values of linear light, any shape."""
    return _curve(light, _to_srgb_table(), 1 / _SLOPE_AT_WHITE)


def warm_up() -> None:
    """Compile the curves into the cache once, before workers start."""
    to_srgb(to_linear(np.zeros(3, np.float32)))


@cache
def _to_linear_table() -> Image:
    return np.array([linear(step / _TO_LINEAR_STEPS) for step in range(_TO_LINEAR_STEPS + 1)], np.float32)


@cache
def _to_srgb_table() -> Image:
    return np.array([srgb(step / _TO_SRGB_STEPS) for step in range(_TO_SRGB_STEPS + 1)], np.float32)


def _curve(values: Image, table: Image, slope: float) -> Image:
    from rssn.kernels.curve import interpolate  # noqa: PLC0415  (its import loads numba)

    made = np.empty(values.shape, np.float32)
    interpolate(np.ascontiguousarray(values).reshape(-1), table, np.float32(slope), made.reshape(-1))
    return made
