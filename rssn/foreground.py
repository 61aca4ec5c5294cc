"""Closed-form foreground and background layers: what the subject looks like where something shines through.

Compositing the photograph itself (or alpha times the photograph) carries the old background's colour into the new
picture along every hair (the paper's Figure 3c). Levin et al. 2007 solve for F and B under equation 1.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np

from rssn.errors import InputError, Rejected
from rssn.images import Alpha, Image

ForegroundMethod: TypeAlias = Literal["levin", "multilevel"]

REGULARIZATION = 1e-5
"""Smoothness weight of the closed form, as in pymatting and in Levin's published code."""


def estimate_foreground(image: Image, alpha: Alpha, method: ForegroundMethod = "levin") -> tuple[Image, Image]:
    """Estimate complete foreground and background pictures from a photograph and its alpha (section 4.1, step 5).

    Args:
        image: Photograph, H x W x 3 RGB float32 in [0, 1].
        alpha: Matte, H x W float32 in [0, 1].
        method: `levin`, the closed form the paper uses (about 5 CPU-seconds and 0.7 GB a megapixel), or `multilevel`,
            Germer et al. 2020, thirty times faster and less exact.

    Returns:
        Foreground and background, each H x W x 3 float32 in [0, 1]. The foreground equals the image where alpha is 1,
        the background where alpha is 0; elsewhere both are continued smoothly.

    Raises:
        InputError: If shapes do not fit, values leave [0, 1] or the method is unknown.
        Rejected: stage `foreground`, reason `solver`, if the linear solver does not converge.
    """
    if method not in get_args(ForegroundMethod):
        raise InputError(f"foreground method {method!r} is unknown; choose {' or '.join(get_args(ForegroundMethod))}")
    _check(image, alpha)
    if float(np.ptp(alpha)) == 0.0:
        known = image.astype(np.float32)  # nothing tells the layers apart; one photograph as both fits equation 1
        return known, known.copy()
    foreground, background = _solve(image.astype(np.float64), alpha.astype(np.float64), method)
    foreground = np.clip(foreground, 0.0, 1.0).astype(np.float32)
    background = np.clip(background, 0.0, 1.0).astype(np.float32)
    foreground[alpha == 1.0] = image[alpha == 1.0]
    background[alpha == 0.0] = image[alpha == 0.0]
    return foreground, background


def warm_up() -> None:
    """Compile pymatting's kernels into its cache once, before workers start (half a minute on a new machine)."""
    import pymatting  # noqa: F401, PLC0415


def _solve(
    image: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    alpha: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    method: ForegroundMethod,
) -> tuple[np.ndarray, np.ndarray]:
    import pymatting  # noqa: PLC0415  (its import compiles or loads numba kernels)

    if method == "multilevel":
        layers = pymatting.estimate_foreground_ml(image, alpha, REGULARIZATION, return_background=True)
        return layers[0], layers[1]
    try:
        layers = pymatting.estimate_foreground_cf(image, alpha, REGULARIZATION, return_background=True)
    except ValueError as error:
        raise Rejected("foreground", "solver", f"the closed-form solver gave up: {error}") from error
    return layers[0], layers[1]


def _check(image: Image, alpha: Alpha) -> None:
    if image.ndim != 3 or image.shape[2] != 3:
        raise InputError(f"image has the shape {image.shape}; expected H x W x 3")
    if alpha.shape != image.shape[:2]:
        raise InputError(f"alpha has the shape {alpha.shape}; the image is {image.shape[:2]}")
    if image.size == 0:
        raise InputError(f"image has the shape {image.shape}: it has no pixels")
    for name, values in (("image", image), ("alpha", alpha)):
        low, high = float(values.min()), float(values.max())
        if not (low >= -1e-6 and high <= 1.0 + 1e-6):
            raise InputError(f"{name} has values in [{low:g}, {high:g}]; expected [0, 1] without NaN")
