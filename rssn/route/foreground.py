"""Closed-form foreground and background layers: what the subject looks like where something shines through.

Compositing the photograph itself (or alpha times the photograph) carries the old background's colour into the new
picture along every hair (the paper's Figure 3c). Levin et al. 2007 solve for F and B under equation 1.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from rssn.errors import InputError
from rssn.image.arrays import Alpha, Image
from rssn.storage.machine import threads_of_a_picture

ForegroundMethod: TypeAlias = Literal["levin", "multilevel", "multiply"]

_CPU_SECONDS: dict[ForegroundMethod, float] = {"levin": 0.2, "multilevel": 0.2, "multiply": 0.02}

REGULARIZATION = 1e-5
"""Smoothness weight of the closed form, as in pymatting and in Levin's published code."""


class Layers(NamedTuple):
    """The two layers of a photograph, and how they were really made."""

    foreground: Image  # H x W x 3
    background: Image  # H x W x 3
    method: str  # the method asked for, or `levin-fallback-library`, `levin-fallback-shift`, `levin-fallback-ml`


def foreground_cpu_seconds(method: ForegroundMethod | Literal["given"]) -> float:
    """About what F costs for a megapixel, for forecasts: rounded up from a machine with AVX-512 (`make bench`)."""
    return _CPU_SECONDS[method] if method != "given" else 0.0


def estimate_foreground(
    image: Image, alpha: Alpha, method: ForegroundMethod = "levin", threads: int | None = None
) -> tuple[Image, Image]:
    """Closed-form foreground and background of a photograph (section 4.1, step 5); see `estimate_layers` for more.

    Args:
        image: Photograph, H x W x 3 RGB float32 in [0, 1].
        alpha: Matte, H x W float32 in [0, 1].
        method: `levin`, `multilevel` or `multiply`.
        threads: Of `levin`; the result is the same for any number. The others use one. None: as many as
            `rssn.storage.machine.picture_threads` says, one where it says nothing.

    Returns:
        F and B, each H x W x 3 float32 in [0, 1]; `rssn.compose` takes F as `foreground`, or with `alpha` as `other`.

    Raises:
        InputError: If shapes do not fit, values leave [0, 1], threads is below 1 or more than the system grants, or the
            method is unknown.
    """
    layers = estimate_layers(image, alpha, method, threads)
    return layers.foreground, layers.background


def estimate_layers(
    image: Image, alpha: Alpha, method: ForegroundMethod = "levin", threads: int | None = None
) -> Layers:
    """Estimate complete foreground and background pictures from a photograph and its alpha (section 4.1, step 5).

    Args:
        image: Photograph, H x W x 3 RGB float32 in [0, 1].
        alpha: Matte, H x W float32 in [0, 1].
        method: `levin`, the closed form the paper uses; `multilevel`, Germer et al. 2020, not cheaper and less exact;
            `multiply`, alpha times the photograph, the paper's Figure 3c, to compare with.
        threads: Of `levin`, see `estimate_foreground`.

    Returns:
        Foreground and background, each H x W x 3 float32 in [0, 1]. But for `multiply` the foreground equals the image
        where alpha is 1, the background where alpha is 0, and elsewhere both are continued smoothly. Where our solver
        gives up, pymatting's is tried, also with a stronger preconditioner, and then `multilevel`; `method` says so.

    Raises:
        InputError: If shapes do not fit, values leave [0, 1], threads is below 1 or more than the system grants, or the
            method is unknown.
    """
    threads = threads_of_a_picture(threads)
    if method not in get_args(ForegroundMethod):
        raise InputError(f"foreground method {method!r} is unknown; choose {' or '.join(get_args(ForegroundMethod))}")
    _check(image, alpha)
    known = np.require(image, np.float32, ["C", "W"])  # what cannot be written would be compiled for anew
    matte = np.ascontiguousarray(np.clip(alpha, 0.0, 1.0), dtype=np.float32)
    if method == "multiply":
        weight = matte[:, :, None]
        return Layers(weight * known, (np.float32(1.0) - weight) * known, method)
    if float(np.ptp(matte)) == 0.0:
        return Layers(known.copy(), known.copy(), method)  # nothing tells the layers apart; the photograph fits as both
    return _solve(known, matte, method, threads)


def warm_up(method: ForegroundMethod) -> None:
    """Compile what a method needs into its cache once, before workers start."""
    edge = np.linspace(0.0, 1.0, 12, dtype=np.float32)
    estimate_layers(np.ones((12, 12, 3), dtype=np.float32), np.tile(edge, (12, 1)), method)


_LADDER: tuple[tuple[str, dict[str, Any]], ...] = (
    ("levin-fallback-library", {}),
    ("levin-fallback-shift", {"shifts": [0.1, 0.5, 1.0, 10.0], "discard_threshold": 1e-3}),
)
"""Settings of pymatting's incomplete Cholesky preconditioner, in the order they are tried."""


def _solve(image: Image, alpha: Alpha, method: ForegroundMethod, threads: int) -> Layers:
    if method == "levin":
        from rssn.kernels.closed_form import native as closed_form  # noqa: PLC0415  (its import loads numba)

        solution = closed_form.solve(image, alpha, REGULARIZATION, threads)
        if solution.steps >= 0:
            return Layers(solution.foreground, solution.background, method)
    foreground, background, used = _solve_by_library(image, alpha, method)
    opaque, clear = (alpha == 1.0)[:, :, None], (alpha == 0.0)[:, :, None]
    return Layers(
        np.where(opaque, image, np.clip(foreground, 0.0, 1.0).astype(np.float32)),
        np.where(clear, image, np.clip(background, 0.0, 1.0).astype(np.float32)),
        used,
    )


def _solve_by_library(
    image: Image, alpha: Alpha, method: ForegroundMethod
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating], str]:
    import pymatting  # noqa: PLC0415  (its import compiles or loads numba kernels)

    doubles = image.astype(np.float64), alpha.astype(np.float64)
    for name, settings in _LADDER if method == "levin" else ():
        with suppress(ValueError):  # not positive definite, too many non-zeros, or no convergence
            layers = pymatting.estimate_foreground_cf(
                *doubles, REGULARIZATION, return_background=True, ichol_kwargs=settings
            )
            return layers[0], layers[1], name
    layers = pymatting.estimate_foreground_ml(*doubles, REGULARIZATION, return_background=True)
    return layers[0], layers[1], "levin-fallback-ml" if method == "levin" else method


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
            hint = "; divide 8-bit values by 255" if values.dtype == np.uint8 or 2 <= high <= 255 else ""
            raise InputError(f"{name} has values in [{low:g}, {high:g}]; expected floats in [0, 1] without NaN{hint}")
