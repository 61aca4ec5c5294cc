"""Patches that lie wholly in F or wholly in B, and what every cue reads of them.

Nothing outside a patch is looked at, so that what is beyond the alpha matte's edge is no part of either side.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt
from scipy.fft import dctn

from rssn.image.arrays import Pixels

SIDE = 32
"""Of a patch, px; a multiple of JPEG's blocks of 8, whose grid begins at the picture's upper left corner."""
OPAQUE, CLEAR = 253, 2
"""A patch of F is nowhere below the first, one of B nowhere above the second, of 255."""

BANDS = ((16, 32), (8, 16), (4, 8), (2, 4))
"""Rings of the spectrum of a patch, the finest first: wave lengths of 2 to 4, 4 to 8, 8 to 16 and 16 to 32 px."""

Values = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Patches:
    """N patches of a picture.

    Attributes:
        colours: N x 32 x 32 x 3, 8-bit RGB.
        in_foreground: N, whether a patch lies in F; it lies in B otherwise.
        places: N x 2, row and column in the grid of patches.
    """

    colours: Pixels
    in_foreground: Flags
    places: npt.NDArray[np.int32]

    @cached_property
    def planes(self) -> Values:
        """3 x N x 32 x 32: luma, and the colour differences Cr and Cb of JPEG, in 8-bit units; 128 is grey."""
        flat = self.colours.reshape(-1, SIDE, 3).astype(np.float32)
        converted = np.asarray(cv2.cvtColor(flat, cv2.COLOR_RGB2YCrCb), np.float32)
        planes = np.ascontiguousarray(np.moveaxis(converted, -1, 0)).reshape(3, -1, SIDE, SIDE)
        planes[1:] += np.float32(127.5)  # OpenCV has 0.5 for grey in floats
        return planes

    @property
    def luma(self) -> Values:
        """N x 32 x 32, 8-bit units."""
        return np.asarray(self.planes[0])

    @cached_property
    def bands(self) -> Values:
        """3 x N x 4: log standard deviation in each of `BANDS` of each plane, 8-bit units."""
        spectrum = dctn(self.planes, axes=(2, 3), norm="ortho")
        spectrum *= spectrum
        found = spectrum.reshape(3, -1, SIDE * SIDE) @ _RINGS
        return np.asarray(0.5 * np.log(found / SIDE**2 + _FLOOR), np.float32)

    @cached_property
    def residuals(self) -> Values:
        """2 x N x 30 x 30: luma and Cr through the noise filter of Immerkaer (1996), scaled to keep a noise's sigma."""
        x = self.planes[:2]
        across = x[..., :-2] - 2 * x[..., 1:-1] + x[..., 2:]
        both = across[..., :-2, :] - 2 * across[..., 1:-1, :] + across[..., 2:, :]
        return np.asarray(both / np.float32(6.0), np.float32)

    def __len__(self) -> int:
        return len(self.colours)


_FLOOR = np.float32(1 / 48)
"""A quarter of the variance that rounding to 8 bits leaves: keeps logarithms of flat patches finite."""


def _rings() -> Values:
    """1024 x 4: which coefficients of a patch's cosine transform are in a band; number k has k / 64 cycles a px."""
    radius = np.hypot(*np.mgrid[:SIDE, :SIDE])
    return np.stack([(radius >= low) & (radius < high) for low, high in BANDS], -1).reshape(-1, len(BANDS)).astype("f4")


_RINGS = _rings()


def cut_patches(pixels: Pixels, alpha: Pixels) -> Patches:
    """All patches of a grid that lie wholly in F or wholly in B.

    Args:
        pixels: H x W x 3, 8-bit RGB.
        alpha: H x W, 8 bits.

    Raises:
        ValueError: If the two differ in size.
    """
    if pixels.shape[:2] != alpha.shape:
        raise ValueError(f"the picture has {pixels.shape[:2]} px, its alpha {alpha.shape}")
    rows, columns = (length // SIDE for length in alpha.shape)
    least, most = (reduce(_tiles(alpha, rows, columns), axis=(2, 3)) for reduce in (np.min, np.max))
    foreground, background = least >= OPAQUE, most <= CLEAR
    chosen = foreground | background
    colours = _tiles(pixels, rows, columns)[chosen]
    return Patches(np.ascontiguousarray(colours), foreground[chosen], np.argwhere(chosen).astype(np.int32))


def _tiles(values: Pixels, rows: int, columns: int) -> Pixels:
    """Rows x columns x 32 x 32 (x channels), a view where it can be one."""
    whole = values[: rows * SIDE, : columns * SIDE]
    return whole.reshape(rows, SIDE, columns, SIDE, *values.shape[2:]).swapaxes(1, 2)
