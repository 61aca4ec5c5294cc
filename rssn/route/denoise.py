"""Denoising behind one door: what the route calls BM3D (section 4.3), and who does it.

`native` is our own BM3D, free to ship; `bm3d` is the reference package, licensed for non-commercial use and optional;
`nlmeans` is OpenCV's non-local means, not as good. Which one ran is written into every row.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Literal, TypeAlias, get_args

import cv2
import numpy as np

from rssn.errors import DependencyError, InputError
from rssn.image.arrays import Image, to_float, to_uint8
from rssn.storage.machine import threads_of_a_picture
from rssn.versions import version

DenoiseBackend: TypeAlias = Literal["native", "bm3d", "nlmeans"]

SMALLEST_SIDE = 9
"""Smaller pictures are continued by reflection up to it: bm4d refuses sides below its block size of 8 px, and 8 x 8 px
end the process (bm4d 4.2.5)."""


def denoise(image: Image, sigma: float, backend: DenoiseBackend = "native", threads: int | None = None) -> Image:
    """Remove Gaussian noise of a known standard deviation.

    Args:
        image: H x W x 3 RGB or H x W grey, float32 in [0, 1].
        sigma: Standard deviation of the noise in the same units; 10 in 8-bit units is `10 / 255`.
        backend: `native` or `bm3d` (Dabov et al. 2007, both stages), or `nlmeans`.
        threads: Of `native`; the result is the same for any number. The others use one. None: as many as
            `rssn.storage.machine.picture_threads` says, one where it says nothing.

    Returns:
        The same shape, float32 in [0, 1], every value finite. A sigma of 0 gives a copy.

    Raises:
        InputError: If the image is not float in [0, 1], sigma is not in [0, 1], threads is below 1, or the backend is
            unknown.
        DependencyError: If the backend's package is not installed.
    """
    if backend not in _BACKENDS:
        raise InputError(f"denoiser {backend!r} is unknown; choose {' or '.join(get_args(DenoiseBackend))}")
    threads = threads_of_a_picture(threads)
    _check(image, sigma)
    image = np.clip(image.astype(np.float32, copy=False), 0.0, 1.0)
    if sigma == 0:
        return image
    height, width = image.shape[:2]
    bottom, right = max(0, SMALLEST_SIDE - height), max(0, SMALLEST_SIDE - width)
    if bottom or right:
        image = np.asarray(cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REFLECT), dtype=np.float32)
    return np.clip(_BACKENDS[backend](image, sigma, threads)[:height, :width], 0.0, 1.0)


def require_backend(backend: DenoiseBackend) -> None:
    """Say before the work starts that a backend's package is missing.

    Raises:
        DependencyError: With the command that installs it and the way around it.
    """
    if backend == "bm3d" and find_spec("bm3d") is None:
        raise DependencyError(
            "the denoiser 'bm3d' is not installed: pip install 'rssn[bm3d]' (non-commercial licence), "
            "or choose --denoiser native"
        )


def backend_version(backend: DenoiseBackend) -> str:
    """Versions of the packages that decide a backend's values.

    Raises:
        DependencyError: If the backend's package is not installed.
    """
    require_backend(backend)
    packages = {"native": ("rssn", "numba"), "bm3d": ("bm3d", "bm4d"), "nlmeans": ("opencv-python",)}
    return " ".join(f"{name} {version(name)}" for name in packages[backend])


def warm_up(backend: DenoiseBackend) -> None:
    """Compile what a backend needs into its cache once, before workers start."""
    if backend == "native":
        denoise(np.zeros((SMALLEST_SIDE, SMALLEST_SIDE), dtype=np.float32), 0.1, backend)


def _native(image: Image, sigma: float, threads: int) -> Image:
    from rssn.kernels.bm3d.native import bm3d  # noqa: PLC0415  (its import loads numba)

    if image.ndim == 3 and _is_grey(image):  # the noise of three equal channels is not that of three
        return np.repeat(bm3d(np.ascontiguousarray(image[:, :, 0]), sigma, threads)[:, :, None], 3, axis=2)
    return bm3d(image, sigma, threads)


def _bm3d(image: Image, sigma: float, _threads: int) -> Image:
    require_backend("bm3d")
    import bm3d  # noqa: PLC0415  (optional extra)

    profile = bm3d.BM3DProfile()
    profile.num_threads = 1  # workers are the parallelism; more threads may also change the result
    pixels = image.astype(np.float64)

    def channel(values: np.ndarray) -> np.ndarray:
        return values if np.ptp(values) == 0 else np.asarray(bm3d.bm3d(values, sigma, profile)).reshape(values.shape)

    if image.ndim == 2:
        return channel(pixels).astype(np.float32)
    if _is_grey(pixels):
        return np.repeat(channel(pixels[:, :, 0])[:, :, None], 3, axis=2).astype(np.float32)
    if _has_flat_chroma(pixels):
        return np.stack([channel(pixels[:, :, c]) for c in range(3)], axis=2).astype(np.float32)
    return np.asarray(bm3d.bm3d_rgb(pixels, sigma, profile), dtype=np.float32)


def _nlmeans(image: Image, sigma: float, _threads: int) -> Image:
    strength = sigma * 255.0
    if image.ndim == 2:
        return to_float(np.asarray(cv2.fastNlMeansDenoising(to_uint8(image), None, strength, 7, 21), dtype=np.uint8))
    pixels = cv2.cvtColor(to_uint8(image), cv2.COLOR_RGB2BGR)  # its inner CIELAB takes BGR for granted
    cleaned = cv2.fastNlMeansDenoisingColored(pixels, None, strength, strength, 7, 21)
    return to_float(np.asarray(cv2.cvtColor(cleaned, cv2.COLOR_BGR2RGB), dtype=np.uint8))


_BACKENDS: dict[str, Callable[[Image, float, int], Image]] = {"native": _native, "bm3d": _bm3d, "nlmeans": _nlmeans}


def _is_grey(pixels: np.ndarray) -> bool:
    red, green, blue = pixels[:, :, 0], pixels[:, :, 1], pixels[:, :, 2]
    return np.array_equal(red, green) and np.array_equal(red, blue)


def _has_flat_chroma(pixels: np.ndarray) -> bool:
    """Whether `bm3d_rgb` would divide by a channel's zero range in its opponent space and return NaN."""
    red, green, blue = pixels[:, :, 0], pixels[:, :, 1], pixels[:, :, 2]
    opponent = (red + green + blue, red - blue, red - 2.0 * green + blue)
    return any(np.ptp(values) < 1e-9 for values in opponent)


def _check(image: Image, sigma: float) -> None:
    if not 0 <= sigma <= 1:
        raise InputError(f"sigma is {sigma}; expected a value in [0, 1], as the image's: 10 in 8-bit units is 10 / 255")
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise InputError(f"image has the shape {image.shape}; expected H x W or H x W x 3")
    if image.size == 0:
        raise InputError(f"image has the shape {image.shape}: it has no pixels")
    if not np.issubdtype(image.dtype, np.floating):
        raise InputError(f"image is {image.dtype}; expected float32 in [0, 1]")
    low, high = float(np.min(image, initial=0.0)), float(np.max(image, initial=0.0))
    if not (low >= -1e-6 and high <= 1.0 + 1e-6):
        raise InputError(f"image has values in [{low:g}, {high:g}]; expected [0, 1] without NaN")
